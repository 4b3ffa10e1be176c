-- Queries that both dialects share. Each is named; `:rows` takes many rows.

-- name: identity
select ledger from tallystick.identity

-- name: insert_identity
insert into tallystick.identity (only_one, ledger, created_at) values (1, :ledger, :created_at)
on conflict do nothing

-- name: insert_resolutions
-- rows: smallint, bytea, smallint, text, text, bytea
insert into tallystick.resolutions (lane, hold, outcome, reason, resolved_by, mark)
:rows
on conflict do nothing

-- name: find_resolutions
-- rows: smallint, bytea
select lane, hold, outcome, reason, resolved_by, mark
from tallystick.resolutions
where (lane, hold) in (:rows)

-- name: insert_keys
-- rows: smallint, text, text, text, text, text, bytea, bytea
insert into tallystick.entry_keys (lane, tenant, mode, customer, meter, key, entry, content)
:rows
on conflict do nothing

-- name: find_keys
-- rows: smallint, text, text, text, text, text
select lane, tenant, mode, customer, meter, key, entry, content
from tallystick.entry_keys
where (lane, tenant, mode, customer, meter, key) in (:rows)

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
select lane, entry, kind, tenant, mode, account, customer, meter, quantity, key, refers, attributes,
       occurred_at, recorded_at
from tallystick.entries
where (lane, entry) in (:rows)

-- name: find_committed
-- rows: smallint, bytea
select entry from tallystick.entries where (lane, entry) in (:rows)

-- name: find_positions
-- rows: smallint, bytea
select lane, entry from tallystick.positions where (lane, entry) in (:rows)

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

-- name: delete_unsequenced
-- rows: smallint, bytea
delete from tallystick.unsequenced where (lane, entry) in (:rows)

-- name: insert_open_holds
-- rows: smallint, bytea
insert into tallystick.open_holds (lane, entry)
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
where e.kind = 1
  and not exists (select 1 from tallystick.resolutions r where r.lane = h.lane and r.hold = h.entry)
order by e.recorded_at
limit :limit

-- name: entries_of_customer
select lane, entry, kind, tenant, mode, account, customer, meter, quantity, key, refers, attributes,
       occurred_at, recorded_at
from tallystick.entries
where lane = :lane and tenant = :tenant and mode = :mode and customer = :customer
  and meter = :meter and kind > 1
  and recorded_at >= :since and recorded_at < :until
order by recorded_at, entry
limit :limit

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
