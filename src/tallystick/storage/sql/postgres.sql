-- Queries whose PostgreSQL form differs: the server's clock stamps entries, totals are numeric.

-- name: insert_entries
-- rows: smallint, bytea, smallint, text, text, text, text, text, bigint, text, bytea, text, bigint, bigint
insert into tallystick.entries (lane, entry, kind, tenant, mode, account, customer, meter, quantity, key,
                                refers, attributes, occurred_at, recorded_at)
select r.lane, r.entry, r.kind, r.tenant, r.mode, r.account, r.customer, r.meter, r.quantity, r.key,
       r.refers, r.attributes, r.occurred_at,
       coalesce(r.recorded_at, (extract(epoch from clock_timestamp()) * 1000000)::bigint)
from (:rows) as r (lane, entry, kind, tenant, mode, account, customer, meter, quantity, key,
                   refers, attributes, occurred_at, recorded_at)
on conflict (lane, entry) do nothing

-- name: present
select coalesce(:stamp::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint)

-- name: add_totals
-- rows: smallint, text, text, text, text, text, bigint, bigint, bigint, bigint
insert into tallystick.totals as t (lane, tenant, mode, customer, meter, attributes, hour, entries, total)
select r.lane, r.tenant, r.mode, r.customer, r.meter, r.attributes, r.hour, r.entries,
       r.high::numeric * 1000000000 + r.low
from (:rows) as r (lane, tenant, mode, customer, meter, attributes, hour, entries, high, low)
on conflict (lane, tenant, mode, customer, meter, attributes, hour)
do update set entries = t.entries + excluded.entries, total = t.total + excluded.total

-- name: all_totals
select customer, meter, sum(entries)::bigint, div(sum(total), 1000000000)::bigint, mod(sum(total), 1000000000)::bigint
from tallystick.totals
where tenant = :tenant and mode = :mode
group by customer, meter

-- name: sum_entries
select customer, meter, count(*), sum(quantity / 1000000000)::bigint, sum(quantity % 1000000000)::bigint
from tallystick.entries
where tenant = :tenant and mode = :mode and kind > 1
group by customer, meter

-- name: usage
select hour, attributes, sum(entries)::bigint, sum(high)::bigint, sum(low)::bigint
from (
    select hour, attributes, entries, div(total, 1000000000) as high, mod(total, 1000000000) as low
    from tallystick.totals
    where lane = :lane and tenant = :tenant and mode = :mode and customer = :customer and meter = :meter
      and hour >= :first_hour and hour < :end_hour
    union all
    select e.recorded_at / 3600000000, e.attributes, 1, e.quantity / 1000000000, e.quantity % 1000000000
    from tallystick.unsequenced u
    join tallystick.entries e on e.lane = u.lane and e.entry = u.entry
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
) as parts
group by hour, attributes

-- name: unsequenced
select e.lane, e.entry, e.kind, e.tenant, e.mode, e.account, e.customer, e.meter, e.quantity, e.key,
       e.refers, e.attributes, e.occurred_at, e.recorded_at
from (select lane, entry from tallystick.unsequenced order by lane, entry limit :limit) u
join tallystick.entries e on e.lane = u.lane and e.entry = u.entry
order by e.lane, e.entry

-- name: delete_unsequenced
-- rows: smallint, bytea
delete from tallystick.unsequenced where (lane, entry) in (:rows)
