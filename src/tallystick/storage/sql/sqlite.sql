-- Queries whose SQLite form differs: recorded_at comes with the row, totals are two limbs of 10^9.

-- name: insert_entries
-- rows: smallint, bytea, smallint, text, text, text, text, text, bigint, text, bytea, text, bigint, bigint
insert into tallystick.entries (lane, entry, kind, tenant, mode, account, customer, meter, quantity, key,
                                refers, attributes, occurred_at, recorded_at)
:rows
on conflict (lane, entry) do nothing

-- name: present
select :stamp

-- name: add_totals
-- rows: smallint, text, text, text, text, text, bigint, bigint, bigint, bigint
insert into tallystick.totals (lane, tenant, mode, customer, meter, attributes, hour, entries, high, low)
:rows
on conflict (lane, tenant, mode, customer, meter, attributes, hour)
do update set entries = entries + excluded.entries, high = high + excluded.high, low = low + excluded.low

-- name: all_totals
select customer, meter, sum(entries), sum(high), sum(low)
from tallystick.totals
where tenant = :tenant and mode = :mode
group by customer, meter

-- name: usage
-- (cross join: walk the short tail and look entries up, never the customer's whole history)
select hour, attributes, sum(entries), sum(high), sum(low)
from (
    select hour, attributes, entries, high, low
    from tallystick.totals
    where lane = :lane and tenant = :tenant and mode = :mode and customer = :customer and meter = :meter
      and hour >= :first_hour and hour < :end_hour
    union all
    select e.recorded_at / 3600000000, e.attributes, 1, e.quantity / 1000000000, e.quantity % 1000000000
    from tallystick.unsequenced u
    cross join tallystick.entries e on e.lane = u.lane and e.entry = u.entry
    where u.lane = :lane and e.tenant = :tenant and e.mode = :mode and e.customer = :customer
      and e.meter = :meter and e.kind > 1
      and e.recorded_at >= :first_hour * 3600000000 and e.recorded_at < :end_hour * 3600000000
    union all
    select e.recorded_at / 3600000000, e.attributes, 1, e.quantity / 1000000000, e.quantity % 1000000000
    from tallystick.entries e
    where e.lane = :lane and e.tenant = :tenant and e.mode = :mode and e.customer = :customer
      and e.meter = :meter and e.kind > 1
      and e.recorded_at >= :since and e.recorded_at < :since_end
    union all
    select e.recorded_at / 3600000000, e.attributes, 1, e.quantity / 1000000000, e.quantity % 1000000000
    from tallystick.entries e
    where e.lane = :lane and e.tenant = :tenant and e.mode = :mode and e.customer = :customer
      and e.meter = :meter and e.kind > 1
      and e.recorded_at >= :until_start and e.recorded_at < :until
)
group by hour, attributes

-- name: unsequenced
select e.lane, e.entry, e.kind, e.tenant, e.mode, e.account, e.customer, e.meter, e.quantity, e.key,
       e.refers, e.attributes, e.occurred_at, e.recorded_at
from (select lane, entry from tallystick.unsequenced order by entry limit :limit) u
join tallystick.entries e on e.lane = u.lane and e.entry = u.entry
order by e.lane, e.entry

-- name: delete_unsequenced
-- rows: smallint, bytea
-- (by entry alone: SQLite looks up one column of a list in the key, but scans for two)
with r (l, e) as (:rows)
delete from tallystick.unsequenced where entry in (select e from r)
