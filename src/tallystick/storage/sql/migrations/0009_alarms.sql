-- Findings on their way to the webhook of the operator's own.

create table tallystick.alarms (
    tenant text not null,
    mode text not null,
    alarm text not null,
    code text not null,
    subject text not null,
    message text not null,
    raised_at bigint not null,
    state text not null check (state in ('due','told','given_up')),
    attempt integer not null,
    due_at bigint not null,
    primary key (tenant, mode, alarm)
) $clustered;
create index $prefixalarms_due on tallystick.alarms (due_at) where state = 'due';
