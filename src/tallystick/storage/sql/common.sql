-- Queries that both dialects share. Each is named; `:rows` takes many rows.

-- name: identity
select ledger from tallystick.identity

-- name: insert_identity
insert into tallystick.identity (only_one, ledger, created_at) values (1, :ledger, :created_at)
on conflict do nothing

-- name: insert_meters
-- rows: text, text, text, smallint
insert into tallystick.meters (tenant, meter, formula, decimals)
:rows
on conflict do nothing

-- name: find_meters
select meter, formula, decimals from tallystick.meters where tenant = :tenant

-- name: insert_resolutions
-- rows: smallint, bytea, smallint, text, text, bytea
insert into tallystick.resolutions (lane, hold, outcome, reason, resolved_by, mark)
:rows
on conflict do nothing

-- name: find_resolutions
-- rows: smallint, bytea
with r (l, h) as (:rows)
select x.lane, x.hold, x.outcome, x.reason, x.resolved_by, x.mark
from r
join tallystick.resolutions x on x.lane = r.l and x.hold = r.h

-- name: insert_keys
-- rows: smallint, text, text, text, text, text, bytea, bytea
insert into tallystick.entry_keys (lane, tenant, mode, customer, meter, key, entry, content)
:rows
on conflict do nothing

-- name: find_keys
-- rows: smallint, text, text, text, text, text
with r (l, t, m, c, n, k) as (:rows)
select x.lane, x.tenant, x.mode, x.customer, x.meter, x.key, x.entry, x.content
from r
join tallystick.entry_keys x
  on x.lane = r.l and x.tenant = r.t and x.mode = r.m and x.customer = r.c and x.meter = r.n and x.key = r.k

-- name: insert_unsequenced
-- rows: smallint, bytea
insert into tallystick.unsequenced (lane, entry)
:rows
on conflict do nothing

-- name: insert_obligations
-- rows: smallint, bytea, bigint
insert into tallystick.obligations (lane, entry, due_at)
:rows
on conflict do nothing

-- name: find_entries
-- rows: smallint, bytea
with r (l, e) as (:rows)
select x.lane, x.entry, x.kind, x.tenant, x.mode, x.account, x.customer, x.meter, x.quantity, x.key, x.refers,
       x.attributes, x.occurred_at, x.recorded_at
from r
join tallystick.entries x on x.lane = r.l and x.entry = r.e

-- name: find_committed
-- rows: smallint, bytea
with r (l, e) as (:rows)
select x.entry from r join tallystick.entries x on x.lane = r.l and x.entry = r.e

-- name: find_positions
-- rows: smallint, bytea
with r (l, e) as (:rows)
select x.lane, x.entry from r join tallystick.positions x on x.lane = r.l and x.entry = r.e

-- name: heads
select lane, position, hash from tallystick.heads

-- name: move_head
update tallystick.heads set position = :position, hash = :hash where lane = :lane and position = :before

-- name: insert_head
insert into tallystick.heads (lane, position, hash) values (:lane, :position, :hash) on conflict do nothing

-- name: insert_positions
-- rows: smallint, bigint, bytea, bytea
insert into tallystick.positions (lane, position, entry, hash)
:rows

-- name: insert_open_holds
-- rows: smallint, bytea, bigint
insert into tallystick.open_holds (lane, entry, due_at)
:rows
on conflict do nothing

-- name: sweep_open_holds
delete from tallystick.open_holds
where (lane, entry) in (
    select h.lane, h.entry from tallystick.open_holds h
    join tallystick.resolutions r on r.lane = h.lane and r.hold = h.entry
    limit :limit
)

-- name: open_holds
select e.lane, e.entry, e.kind, e.tenant, e.mode, e.account, e.customer, e.meter, e.quantity, e.key,
       e.refers, e.attributes, e.occurred_at, e.recorded_at
from (select lane, entry from tallystick.open_holds
      union
      select u.lane, u.entry from tallystick.unsequenced u) h
join tallystick.entries e on e.lane = h.lane and e.entry = h.entry
where e.kind = 1 and e.tenant = :tenant and e.mode = :mode
  and not exists (select 1 from tallystick.resolutions r where r.lane = h.lane and r.hold = h.entry)
order by e.recorded_at
limit :limit

-- name: due_holds
select e.lane, e.entry, e.kind, e.tenant, e.mode, e.account, e.customer, e.meter, e.quantity, e.key,
       e.refers, e.attributes, e.occurred_at, e.recorded_at
from (select lane, entry from tallystick.open_holds o
      where overdue = 0 and due_at <= :now
        and not exists (select 1 from tallystick.resolutions r where r.lane = o.lane and r.hold = o.entry)
      order by due_at limit :limit) h
join tallystick.entries e on e.lane = h.lane and e.entry = h.entry

-- name: overdue_holds
select e.lane, e.entry, e.kind, e.tenant, e.mode, e.account, e.customer, e.meter, e.quantity, e.key,
       e.refers, e.attributes, e.occurred_at, e.recorded_at
from tallystick.open_holds h
cross join tallystick.entries e
where h.overdue = 1 and e.lane = h.lane and e.entry = h.entry and e.tenant = :tenant and e.mode = :mode
  and not exists (select 1 from tallystick.resolutions r where r.lane = h.lane and r.hold = h.entry)
order by e.recorded_at
limit :limit

-- name: mark_holds
-- rows: smallint, bytea, bigint, smallint
with r (l, e, at, late) as (:rows)
update tallystick.open_holds as h set due_at = r.at, overdue = r.late
from r where h.lane = r.l and h.entry = r.e

-- name: note_progress
-- rows: smallint, bytea, text, bigint, bigint
insert into tallystick.hold_progress (lane, hold, meter, quantity, noted_at)
:rows
on conflict (lane, hold, meter) do update set quantity = excluded.quantity, noted_at = excluded.noted_at

-- name: find_progress
-- rows: smallint, bytea
with r (l, h) as (:rows)
select p.lane, p.hold, p.meter, p.quantity, p.noted_at
from r
join tallystick.hold_progress p on p.lane = r.l and p.hold = r.h

-- name: clear_progress
delete from tallystick.hold_progress
where (lane, hold) in (
    select p.lane, p.hold from tallystick.hold_progress p
    join tallystick.resolutions r on r.lane = p.lane and r.hold = p.hold
    limit :limit
)

-- name: entries_referring
-- rows: smallint, text, text, bigint, bytea
-- (by the customer's time index, from the entry referred to on: an index of its own would cost every posting)
with r (l, c, m, since, h) as (:rows)
select x.lane, x.entry, x.kind, x.tenant, x.mode, x.account, x.customer, x.meter, x.quantity, x.key, x.refers,
       x.attributes, x.occurred_at, x.recorded_at
from r
join tallystick.entries x
  on x.lane = r.l and x.customer = r.c and x.meter = r.m and x.kind > 1 and x.recorded_at >= r.since
 and x.refers = r.h

-- name: entries_of_customer
select lane, entry, kind, tenant, mode, account, customer, meter, quantity, key, refers, attributes,
       occurred_at, recorded_at
from tallystick.entries
where lane = :lane and tenant = :tenant and mode = :mode and customer = :customer
  and meter = :meter and kind > 1
  and recorded_at >= :since and recorded_at < :until
order by recorded_at, entry
limit :limit

-- name: corrections_of_customer
select refers, sum(quantity)
from tallystick.entries
where lane = :lane and tenant = :tenant and mode = :mode and customer = :customer and meter = :meter
  and kind > 1 and kind = 3 and recorded_at >= :since
group by refers

-- name: usages_of_customer
select entry, recorded_at, quantity, attributes
from tallystick.entries
where lane = :lane and tenant = :tenant and mode = :mode and customer = :customer and meter = :meter
  and kind > 1 and kind = 2 and recorded_at < :until
  and recorded_at >= :after and (recorded_at > :after or entry > :behind)
order by recorded_at, entry
limit :limit

-- name: last_usage_of_customer
select entry, recorded_at, quantity, attributes
from tallystick.entries
where lane = :lane and tenant = :tenant and mode = :mode and customer = :customer and meter = :meter
  and kind > 1 and kind = 2 and recorded_at >= :since and recorded_at < :until
order by recorded_at desc, entry desc
limit 1

-- name: homes
-- (the instant a correction belongs to is that of what it corrects)
-- rows: smallint, bytea
with r (l, e) as (:rows)
select x.entry, coalesce(o.recorded_at, x.recorded_at)
from r
join tallystick.entries x on x.lane = r.l and x.entry = r.e
left join tallystick.entries o on o.lane = x.lane and o.entry = x.refers and x.kind = 3

-- name: chain
select p.position, p.hash, e.lane, e.entry, e.kind, e.tenant, e.mode, e.account, e.customer, e.meter,
       e.quantity, e.key, e.refers, e.attributes, e.occurred_at, e.recorded_at
from tallystick.positions p
join tallystick.entries e on e.lane = p.lane and e.entry = p.entry
where p.lane = :lane and p.position > :after
order by p.position
limit :limit

-- name: sum_entries
select customer, meter, count(*), sum(quantity / 1000000000), sum(quantity % 1000000000)
from tallystick.entries
where tenant = :tenant and mode = :mode and kind > 1
group by customer, meter

-- name: count_unsequenced
select count(*) from tallystick.unsequenced
