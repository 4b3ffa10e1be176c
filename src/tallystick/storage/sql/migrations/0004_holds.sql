-- Holds: when each is due, and which wait for a person's decision.
-- (rows from before stand at 0: the first sweep looks at them and gives them their instant)

alter table tallystick.open_holds add column due_at bigint not null default 0;
alter table tallystick.open_holds add column overdue smallint not null default 0;
create index $prefixopen_holds_due on tallystick.open_holds (due_at) where overdue = 0;
