-- Delivery: links, obligations, slots, dispatches, leases.

-- name: find_links
-- rows: smallint, text, text, text, text
with r (l, t, m, c, p) as (:rows)
select x.customer, x.provider_customer
from r
join tallystick.customer_links x
  on x.lane = r.l and x.tenant = r.t and x.mode = r.m and x.customer = r.c and x.provider in (r.p, 'none')

-- name: all_links
select customer, provider_customer from tallystick.customer_links
where tenant = :tenant and mode = :mode and (provider in (:provider, 'none') or :provider = 'none')
order by customer

-- name: insert_links
-- rows: smallint, text, text, text, text, text, bigint
insert into tallystick.customer_links (lane, tenant, mode, customer, provider, provider_customer, linked_at)
:rows
on conflict (lane, tenant, mode, customer)
do update set provider = excluded.provider, provider_customer = excluded.provider_customer,
              linked_at = excluded.linked_at

-- name: owed_entries
-- rows: smallint, bytea
with r (l, e) as (:rows)
select x.lane, x.entry, x.tenant, x.mode, x.customer, x.meter, x.quantity, x.recorded_at
from r
join tallystick.obligations o on o.lane = r.l and o.entry = r.e and o.dispatch is null
join tallystick.entries x on x.lane = o.lane and x.entry = o.entry

-- name: due_obligations
select e.lane, e.entry, e.tenant, e.mode, e.customer, e.meter, e.quantity, e.recorded_at, o.due_at
from tallystick.obligations o
join tallystick.entries e on e.lane = o.lane and e.entry = o.entry
where o.dispatch is null and o.due_at <= :now and e.tenant = :tenant and e.mode = :mode
  and (o.due_at, o.entry, o.lane) > (:due, :identity, :lane)
order by o.due_at, o.entry, o.lane
limit :limit

-- name: postpone_obligations
-- rows: smallint, bytea, bigint
with r (l, e, at) as (:rows)
update tallystick.obligations as o set due_at = r.at
from r where o.lane = r.l and o.entry = r.e and o.dispatch is null

-- name: hasten_obligations
update tallystick.obligations set due_at = :now
where dispatch is null and due_at > :now
  and (lane, entry) in (
    select o.lane, o.entry from tallystick.obligations o
    join tallystick.entries e on e.lane = o.lane and e.entry = o.entry
    where o.lane = :lane and o.dispatch is null and e.customer = :customer
      and e.tenant = :tenant and e.mode = :mode)

-- name: insert_slots
-- rows: smallint, text, text, text, text
with r (l, t, m, c, p) as (:rows)
insert into tallystick.slots (lane, tenant, mode, provider_customer, provider_meter, owner, fence, expires_at)
select l, t, m, c, p, '', 0, 0 from r where true
on conflict do nothing

-- name: find_slots
-- rows: smallint, text, text, text, text
with r (l, t, m, c, p) as (:rows)
select s.lane, s.tenant, s.mode, s.provider_customer, s.provider_meter, s.fence, s.expires_at
from r
join tallystick.slots s
  on s.lane = r.l and s.tenant = r.t and s.mode = r.m and s.provider_customer = r.c and s.provider_meter = r.p

-- name: take_slots
-- rows: smallint, text, text, text, text, bigint, text, bigint
with r (l, t, m, c, p, was, new_owner, until) as (:rows)
update tallystick.slots as s set owner = r.new_owner, fence = s.fence + 1, expires_at = r.until
from r
where s.lane = r.l and s.tenant = r.t and s.mode = r.m and s.provider_customer = r.c
  and s.provider_meter = r.p and s.fence = r.was
returning lane, tenant, mode, provider_customer, provider_meter, fence

-- name: release_slots
-- rows: smallint, text, text, text, text, bigint, bigint
with r (l, t, m, c, p, held, until) as (:rows)
update tallystick.slots as s set expires_at = r.until
from r
where s.lane = r.l and s.tenant = r.t and s.mode = r.m and s.provider_customer = r.c
  and s.provider_meter = r.p and s.fence = r.held

-- name: claim_obligations
-- rows: smallint, bytea, bytea
with r (l, e, d) as (:rows)
update tallystick.obligations as o set dispatch = r.d
from r
where o.lane = r.l and o.entry = r.e and o.dispatch is null
returning lane, entry

-- name: insert_dispatches
-- rows: smallint, bytea, smallint, text, text, text, text, text, text, text, bigint, text, bigint, bigint, bytea, bigint, text, integer, text, bigint, bigint, bigint, text
insert into tallystick.dispatches (
    lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier,
    quantity, value, happened_at, entries, payload_hash, created_at, state, attempt, idempotency_key,
    fence, first_sent_at, due_at, reason)
:rows

-- name: due_dispatches
select lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier,
       quantity, value, happened_at, entries, payload_hash, created_at, state, attempt, idempotency_key,
       fence, first_sent_at, due_at, reason
from tallystick.dispatches
where state in ('ready', 'sending', 'unknown') and due_at <= :now and tenant = :tenant and mode = :mode
  and (due_at, lane, dispatch, part) > (:due, :lane, :identity, :part)
order by due_at, lane, dispatch, part
limit :limit

-- name: retake_dispatches
-- rows: smallint, bytea, smallint, integer, bigint, bigint, bigint
with r (l, d, n, was, new_fence, sent, until) as (:rows)
update tallystick.dispatches as d
set state = 'sending', attempt = d.attempt + 1, fence = r.new_fence, first_sent_at = r.sent, due_at = r.until
from r
where d.lane = r.l and d.dispatch = r.d and d.part = r.n and d.attempt = r.was
  and d.state in ('ready', 'sending', 'unknown')
returning lane, dispatch, part

-- name: settle_dispatches
-- rows: smallint, bytea, smallint, integer, text, text, bigint, bigint, text, bigint
with r (l, d, n, tried, new_state, why, sent, at, new_key, done_at) as (:rows)
update tallystick.dispatches as d
set state = r.new_state, reason = r.why, first_sent_at = r.sent, due_at = r.at,
    idempotency_key = r.new_key, settled_at = r.done_at
from r
where d.lane = r.l and d.dispatch = r.d and d.part = r.n
  and d.state not in ('accepted', 'confirmed', 'refused')
  and (d.attempt = r.tried or r.new_state = 'accepted')

-- name: redrive
update tallystick.dispatches
set state = 'ready', due_at = :now, reason = '', idempotency_key = identifier || '.' || attempt
where state = 'parked' and tenant = :tenant and mode = :mode
  and (identifier = :identifier or :identifier = '')

-- name: parked
select lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier,
       quantity, value, happened_at, entries, payload_hash, created_at, state, attempt, idempotency_key,
       fence, first_sent_at, due_at, reason
from tallystick.dispatches
where state = 'parked' and tenant = :tenant and mode = :mode
order by created_at
limit :limit

-- name: undelivered
select count(*), min(e.recorded_at)
from tallystick.obligations o
cross join tallystick.entries e
where o.dispatch is null and e.lane = o.lane and e.entry = o.entry and e.tenant = :tenant and e.mode = :mode

-- name: open_dispatches
select state, count(*), sum(entries), min(happened_at)
from tallystick.dispatches
where state in ('ready', 'sending', 'unknown') and tenant = :tenant and mode = :mode
group by state

-- name: delivered_totals
select customer, meter, provider_customer, provider_meter, sum(case when part = 0 then entries else 0 end),
       sum(quantity / 1000000000), sum(quantity % 1000000000), min(happened_at), max(happened_at), count(*)
from tallystick.dispatches
where state in ('accepted', 'confirmed') and tenant = :tenant and mode = :mode
group by customer, meter, provider_customer, provider_meter

-- name: insert_lease
insert into tallystick.leases (name, owner, expires_at) values (:name, '', 0) on conflict do nothing

-- name: take_lease
update tallystick.leases set owner = :owner, expires_at = :until
where name = :name and (expires_at <= :now or owner = :owner)

-- name: find_lease
select expires_at from tallystick.leases where name = :name

-- name: release_lease
update tallystick.leases set expires_at = 0 where name = :name and owner = :owner

-- name: next_due
select min(due_at) from (
    select due_at from (
        select o.due_at from tallystick.obligations o
        cross join tallystick.entries e
        where o.dispatch is null and e.lane = o.lane and e.entry = o.entry and e.tenant = :tenant and e.mode = :mode
        order by o.due_at limit 1) as owed
    union all
    select min(due_at) from tallystick.dispatches
    where state in ('ready', 'sending', 'unknown') and tenant = :tenant and mode = :mode
) as due

-- name: windows_to_confirm
-- (a window is an hour: the events of one provider customer and meter that happened in it)
select lane, customer, meter, provider_customer, provider_meter, happened_at / 3600, min(settled_at)
from tallystick.dispatches
where state = 'accepted' and tenant = :tenant and mode = :mode and settled_at <= :before
group by lane, customer, meter, provider_customer, provider_meter, happened_at / 3600
having (min(settled_at), lane, customer, meter, provider_customer, provider_meter, happened_at / 3600)
     > (:oldest, :lane, :customer, :meter, :provider_customer, :provider_meter, :number)
order by min(settled_at), lane, customer, meter, provider_customer, provider_meter, happened_at / 3600
limit :limit

-- name: windows_in_doubt
-- (a window is a minute here: the smallest that a provider adds up, so that few are in doubt together)
select lane, customer, meter, provider_customer, provider_meter, happened_at / 60, min(first_sent_at)
from tallystick.dispatches
where state = 'parked' and tenant = :tenant and mode = :mode
  and first_sent_at is not null and first_sent_at <= :before
group by lane, customer, meter, provider_customer, provider_meter, happened_at / 60
having (min(first_sent_at), lane, customer, meter, provider_customer, provider_meter, happened_at / 60)
     > (:oldest, :lane, :customer, :meter, :provider_customer, :provider_meter, :number)
order by min(first_sent_at), lane, customer, meter, provider_customer, provider_meter, happened_at / 60
limit :limit

-- name: window
select lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier,
       quantity, value, happened_at, entries, payload_hash, created_at, state, attempt, idempotency_key,
       fence, first_sent_at, due_at, reason
from tallystick.dispatches
where lane = :lane and tenant = :tenant and mode = :mode
  and provider_customer = :provider_customer and provider_meter = :provider_meter
  and happened_at >= :since and happened_at < :until

-- name: owed_in_window
select count(*)
from tallystick.obligations o
join tallystick.entries e on e.lane = o.lane and e.entry = o.entry
where o.dispatch is null and e.lane = :lane and e.tenant = :tenant and e.mode = :mode and e.customer = :customer
  and e.meter = :meter and e.recorded_at >= :since_instant and e.recorded_at < :until_instant

-- name: confirm_dispatches
-- rows: smallint, bytea, smallint, text, text
with r (l, d, n, was, why) as (:rows)
update tallystick.dispatches as d set state = 'confirmed', reason = r.why
from r
where d.lane = r.l and d.dispatch = r.d and d.part = r.n and d.state = r.was

-- name: refuse_absent
-- (returning: behind a CTE SQLite's driver counts no rows)
-- rows: smallint, bytea, smallint, text, text
with r (l, d, n, was, why) as (:rows)
update tallystick.dispatches as d set state = 'refused', reason = r.why
from r
where d.lane = r.l and d.dispatch = r.d and d.part = r.n and d.state = r.was
returning lane, dispatch, part

-- name: find_reading
select total, expected, ambiguous, read_at from tallystick.readings
where lane = :lane and tenant = :tenant and mode = :mode
  and provider_customer = :provider_customer and provider_meter = :provider_meter and since = :since

-- name: keep_reading
insert into tallystick.readings
    (lane, tenant, mode, provider_customer, provider_meter, since, total, expected, ambiguous, read_at)
values (:lane, :tenant, :mode, :provider_customer, :provider_meter, :since, :total, :expected, :ambiguous, :read_at)
on conflict (lane, tenant, mode, provider_customer, provider_meter, since)
do update set total = excluded.total, expected = excluded.expected, ambiguous = excluded.ambiguous,
              read_at = excluded.read_at

-- name: forget_reading
delete from tallystick.readings
where lane = :lane and tenant = :tenant and mode = :mode
  and provider_customer = :provider_customer and provider_meter = :provider_meter and since = :since

-- name: keep_findings
-- rows: text, text, text, text, text, bigint, bigint, bigint
insert into tallystick.findings as f (tenant, mode, code, subject, message, count, first_at, last_at, closed_at, closed_by)
select r.*, null, '' from (:rows) as r
where true
on conflict (tenant, mode, code, subject)
do update set message = excluded.message, count = f.count + excluded.count, last_at = excluded.last_at,
              closed_at = null, closed_by = ''

-- name: open_findings
select code, subject, message, count, first_at, last_at from tallystick.findings
where tenant = :tenant and mode = :mode and closed_at is null
order by last_at desc
limit :limit

-- name: close_findings
update tallystick.findings set closed_at = :now, closed_by = :by
where tenant = :tenant and mode = :mode and code = :code and (subject = :subject or :subject = '')
  and closed_at is null

-- name: oldest_undelivered
select lane, customer, meter, min(recorded_at), count(*), sum(quantity / 1000000000), sum(quantity % 1000000000)
from (
    select e.lane, e.customer, e.meter, e.recorded_at, e.quantity
    from tallystick.obligations o
    cross join tallystick.entries e
    where o.dispatch is null and e.lane = o.lane and e.entry = o.entry and e.tenant = :tenant and e.mode = :mode
    union all
    select d.lane, d.customer, d.meter, d.happened_at * 1000000, d.quantity
    from tallystick.dispatches d
    where d.state in ('ready', 'sending', 'unknown') and d.tenant = :tenant and d.mode = :mode
    union all
    select d.lane, d.customer, d.meter, d.happened_at * 1000000, d.quantity
    from tallystick.dispatches d
    where d.state = 'parked' and d.tenant = :tenant and d.mode = :mode
) as u
group by lane, customer, meter
order by min(recorded_at)
limit :limit

-- name: undelivered_around
-- (of one customer and meter what was recorded before a cutoff, and what since;
-- + 0: among all that is under way, which is less than all that a lane ever held)
select late, min(at), max(at), count(*), sum(quantity / 1000000000), sum(quantity % 1000000000)
from (
    select case when e.recorded_at < :cutoff then 1 else 0 end as late, e.recorded_at as at, e.quantity
    from tallystick.obligations o
    cross join tallystick.entries e
    where o.dispatch is null and e.lane = o.lane and e.entry = o.entry
      and e.lane = :lane and e.tenant = :tenant and e.mode = :mode and e.customer = :customer and e.meter = :meter
    union all
    select case when d.happened_at * 1000000 < :cutoff then 1 else 0 end, d.happened_at * 1000000, d.quantity
    from (
        select * from tallystick.dispatches where state in ('ready', 'sending', 'unknown')
        union all
        select * from tallystick.dispatches where state = 'parked'
    ) d
    where d.lane + 0 = :lane and d.tenant = :tenant and d.mode = :mode and d.customer = :customer and d.meter = :meter
) as u
group by late
order by late desc

-- name: find_periods
-- rows: smallint, text, text, text, text
with r (l, t, m, c, p) as (:rows)
select x.lane, x.tenant, x.mode, x.provider_customer, x.provider_meter, x.since, x.until, x.read_at
from r
join tallystick.periods x
  on x.lane = r.l and x.tenant = r.t and x.mode = r.m and x.provider_customer = r.c and x.provider_meter = r.p
order by x.since

-- name: keep_periods
-- rows: smallint, text, text, text, text, bigint, bigint, bigint
insert into tallystick.periods (lane, tenant, mode, provider_customer, provider_meter, since, until, read_at)
:rows
on conflict (lane, tenant, mode, provider_customer, provider_meter, since)
do update set until = excluded.until, read_at = excluded.read_at

-- name: unknown_periods
-- (of slots on one meter that were told something, those whose running period is not known, or was read long ago;
-- the order makes SQLite take the index by window, where it would go through the lane)
select s.lane, s.tenant, s.mode, s.provider_customer, s.provider_meter
from tallystick.slots s
left join tallystick.periods x
  on x.lane = s.lane and x.tenant = s.tenant and x.mode = s.mode
 and x.provider_customer = s.provider_customer and x.provider_meter = s.provider_meter
where s.tenant = :tenant and s.mode = :mode and s.provider_meter = :provider_meter
  and (
    select d.happened_at from tallystick.dispatches d
    where d.lane = s.lane and d.tenant = s.tenant and d.mode = s.mode
      and d.provider_customer = s.provider_customer and d.provider_meter = s.provider_meter
    order by d.happened_at limit 1) is not null
group by s.lane, s.tenant, s.mode, s.provider_customer, s.provider_meter
having coalesce(max(x.read_at), 0) <= :asked_before
   and (coalesce(max(x.until), 0) <= :second or coalesce(max(x.read_at), 0) <= :stale)
order by coalesce(max(x.read_at), 0), s.lane, s.provider_customer
limit :limit

-- name: silent_periods
-- (of one meter, slots whose running period was told nothing of its own, where another value stood before it)
select s.lane, s.tenant, s.mode, s.provider_customer, s.provider_meter, x.since, x.until
from tallystick.slots s
join tallystick.periods x
  on x.lane = s.lane and x.tenant = s.tenant and x.mode = s.mode
 and x.provider_customer = s.provider_customer and x.provider_meter = s.provider_meter
where s.tenant = :tenant and s.mode = :mode and s.provider_meter = :provider_meter
  and x.since <= :second and x.until > :second
  and coalesce((
    select d.entries from tallystick.dispatches d
    where d.lane = s.lane and d.tenant = s.tenant and d.mode = s.mode
      and d.provider_customer = s.provider_customer and d.provider_meter = s.provider_meter
      and d.happened_at >= x.since and d.happened_at < x.until and (d.state <> 'refused' or exists (
        select 1 from tallystick.exclusions e where e.lane = d.lane and e.dispatch = d.dispatch and e.part = d.part))
    order by d.happened_at desc, d.dispatch desc, d.part desc limit 1), 0) = 0
  and coalesce((
    select d.value from tallystick.dispatches d
    where d.lane = s.lane and d.tenant = s.tenant and d.mode = s.mode
      and d.provider_customer = s.provider_customer and d.provider_meter = s.provider_meter
      and d.happened_at < x.since and (d.state <> 'refused' or exists (
        select 1 from tallystick.exclusions e where e.lane = d.lane and e.dispatch = d.dispatch and e.part = d.part))
    order by d.happened_at desc, d.dispatch desc, d.part desc limit 1), '') <> coalesce((
    select d.value from tallystick.dispatches d
    where d.lane = s.lane and d.tenant = s.tenant and d.mode = s.mode
      and d.provider_customer = s.provider_customer and d.provider_meter = s.provider_meter
      and d.happened_at >= x.since and d.happened_at < x.until and (d.state <> 'refused' or exists (
        select 1 from tallystick.exclusions e where e.lane = d.lane and e.dispatch = d.dispatch and e.part = d.part))
    order by d.happened_at desc, d.dispatch desc, d.part desc limit 1), '')
order by s.lane, s.provider_customer
limit :limit

-- name: newest_dispatch
-- (of one slot in [since, until): the one whose value stands at the provider when all that was sent has arrived,
-- or would stand there, had it not been billed otherwise)
select lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier,
       quantity, value, happened_at, entries, payload_hash, created_at, state, attempt, idempotency_key,
       fence, first_sent_at, due_at, reason
from tallystick.dispatches d
where lane = :lane and tenant = :tenant and mode = :mode
  and provider_customer = :provider_customer and provider_meter = :provider_meter
  and happened_at >= :since and happened_at < :until and (state <> 'refused' or exists (
    select 1 from tallystick.exclusions e where e.lane = d.lane and e.dispatch = d.dispatch and e.part = d.part))
order by happened_at desc, dispatch desc, part desc
limit 1

-- name: newest_taken_dispatch
select lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier,
       quantity, value, happened_at, entries, payload_hash, created_at, state, attempt, idempotency_key,
       fence, first_sent_at, due_at, reason
from tallystick.dispatches
where lane = :lane and tenant = :tenant and mode = :mode
  and provider_customer = :provider_customer and provider_meter = :provider_meter
  and happened_at >= :since and happened_at < :until and state in ('accepted', 'confirmed')
order by happened_at desc, dispatch desc, part desc
limit 1

-- name: overtake_dispatches
update tallystick.dispatches set state = 'refused', reason = :reason, settled_at = :now
where lane = :lane and tenant = :tenant and mode = :mode
  and provider_customer = :provider_customer and provider_meter = :provider_meter
  and happened_at >= :since and happened_at <= :until and state in ('ready', 'sending', 'unknown', 'parked')

-- name: excluded_totals
select customer, meter, sum(quantity / 1000000000), sum(quantity % 1000000000), min(recorded_at), max(recorded_at)
from tallystick.entries e
where tenant = :tenant and mode = :mode and kind > 1 and quantity <> 0
  and not exists (select 1 from tallystick.obligations o where o.lane = e.lane and o.entry = e.entry)
group by customer, meter

-- name: newest_excluded_dispatch
select lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier,
       quantity, value, happened_at, entries, payload_hash, created_at, state, attempt, idempotency_key,
       fence, first_sent_at, due_at, reason
from tallystick.dispatches d
where lane = :lane and tenant = :tenant and mode = :mode
  and provider_customer = :provider_customer and provider_meter = :provider_meter
  and happened_at >= :since and happened_at < :until and exists (
    select 1 from tallystick.exclusions e where e.lane = d.lane and e.dispatch = d.dispatch and e.part = d.part)
order by happened_at desc, dispatch desc, part desc
limit 1

-- name: late_entries
select e.lane, e.entry, e.tenant, e.mode, e.customer, e.meter, e.quantity, e.recorded_at
from tallystick.obligations o
cross join tallystick.entries e
where o.dispatch is null and e.lane = o.lane and e.entry = o.entry
  and e.lane = :lane and e.tenant = :tenant and e.mode = :mode and e.customer = :customer and e.meter = :meter
  and e.recorded_at < :cutoff

-- name: late_dispatches
-- (+ 0: as in undelivered_around)
select lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier,
       quantity, value, happened_at, entries, payload_hash, created_at, state, attempt, idempotency_key,
       fence, first_sent_at, due_at, reason
from (
    select * from tallystick.dispatches where state in ('ready', 'sending', 'unknown')
    union all
    select * from tallystick.dispatches where state = 'parked'
) d
where lane + 0 = :lane and tenant = :tenant and mode = :mode and customer = :customer and meter = :meter
  and happened_at * 1000000 < :cutoff

-- name: exclude_dispatches
-- rows: smallint, bytea, smallint, text, integer, text, bigint
with r (l, d, n, was, tried, why, at) as (:rows)
update tallystick.dispatches as d set state = 'refused', reason = r.why, settled_at = r.at
from r
where d.lane = r.l and d.dispatch = r.d and d.part = r.n and d.state = r.was and d.attempt = r.tried
returning lane, dispatch, part

-- name: insert_exclusions
-- rows: smallint, bytea, smallint, text, text, text, text, bigint, text, text, bigint
insert into tallystick.exclusions
    (lane, dispatch, part, tenant, mode, customer, meter, quantity, reason, excluded_by, excluded_at)
:rows

-- name: find_exclusions
select excluded_at, count(*), sum(quantity / 1000000000), sum(quantity % 1000000000)
from tallystick.exclusions
where lane = :lane and tenant = :tenant and mode = :mode and customer = :customer and meter = :meter
  and reason = :reason and excluded_by = :by
group by excluded_at
order by excluded_at desc

-- name: settled_totals
select customer, meter, sum(quantity / 1000000000), sum(quantity % 1000000000)
from tallystick.exclusions
where tenant = :tenant and mode = :mode
group by customer, meter
