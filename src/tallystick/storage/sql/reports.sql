-- What the provider says later: reports, and the doubts they raise; alarms on their way to the operator.

-- name: insert_report
-- rows: text, text, text, text, bigint, bigint, bigint, text
insert into tallystick.reports (tenant, mode, report, meter, created_at, received_at, errors, body)
:rows
on conflict do nothing
returning report

-- name: report_body
select body from tallystick.reports where tenant = :tenant and mode = :mode and report = :report

-- name: count_doubts
select d.state, count(*) from tallystick.doubts d
where d.state in ('open', 'unclear') and d.tenant = :tenant and d.mode = :mode
group by d.state

-- name: insert_doubts
-- rows: smallint, text, text, text, text, bigint, text, text, text, text, text, bigint, bigint
insert into tallystick.doubts (lane, tenant, mode, provider_customer, provider_meter, minute, report, code,
                               state, reason, reading, read_at, due_at)
:rows
on conflict do nothing

-- name: due_doubts
select lane, tenant, mode, provider_customer, provider_meter, minute, report, code, state, reason, reading,
       read_at, due_at
from tallystick.doubts
where state = 'open' and due_at <= :now and tenant = :tenant and mode = :mode
order by due_at
limit :limit

-- name: unclear_doubts
select lane, tenant, mode, provider_customer, provider_meter, minute, report, code, state, reason, reading,
       read_at, due_at
from tallystick.doubts
where state = 'unclear' and tenant = :tenant and mode = :mode
order by minute
limit :limit

-- name: write_doubt
update tallystick.doubts
set state = :state, reason = :reason, reading = :reading, read_at = :read_at, due_at = :due_at
where lane = :lane and tenant = :tenant and mode = :mode and provider_customer = :provider_customer
  and provider_meter = :provider_meter and minute = :minute and report = :report
  and state in ('open', 'unclear')

-- name: dispatches_by_key
-- rows: smallint, bytea, smallint
with r (l, d, n) as (:rows)
select x.lane, x.dispatch, x.part, x.tenant, x.mode, x.customer, x.meter, x.provider_customer, x.provider_meter,
       x.identifier, x.quantity, x.value, x.happened_at, x.entries, x.payload_hash, x.created_at, x.state,
       x.attempt, x.idempotency_key, x.fence, x.first_sent_at, x.due_at, x.reason
from r
join tallystick.dispatches x on x.lane = r.l and x.dispatch = r.d and x.part = r.n

-- name: accepted_between
-- (what was answered late, or is not yet, may have been rejected at any attempt since the first)
select d.lane, d.dispatch, d.part, d.tenant, d.mode, d.customer, d.meter, d.provider_customer, d.provider_meter,
       d.identifier, d.quantity, d.value, d.happened_at, d.entries, d.payload_hash, d.created_at, d.state, d.attempt,
       d.idempotency_key, d.fence, d.first_sent_at, d.due_at, d.reason
from (
    select lane, dispatch, part from tallystick.dispatches where state = 'accepted' and settled_at >= :since
    union all
    select lane, dispatch, part from tallystick.dispatches where state = 'confirmed' and settled_at >= :since
    union all
    select lane, dispatch, part from tallystick.dispatches where state = 'confirmed' and settled_at is null
    union all
    select lane, dispatch, part from tallystick.dispatches
    where state in ('ready', 'sending', 'unknown') and state <> 'ready'
) k
cross join tallystick.dispatches d
where d.lane = k.lane and d.dispatch = k.dispatch and d.part = k.part and d.tenant = :tenant and d.mode = :mode
  and d.first_sent_at < :until and (d.provider_meter = :meter or :meter = '')
  and (d.first_sent_at, d.lane, d.dispatch, d.part) > (:sent, :lane, :identity, :part)
order by d.first_sent_at, d.lane, d.dispatch, d.part
limit :limit

-- name: dispatches_of_minute
select lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier,
       quantity, value, happened_at, entries, payload_hash, created_at, state, attempt, idempotency_key,
       fence, first_sent_at, due_at, reason
from tallystick.dispatches
where lane = :lane and tenant = :tenant and mode = :mode and provider_customer = :provider_customer
  and provider_meter = :provider_meter and happened_at >= :since and happened_at < :until

-- name: next_part
select max(part) + 1 from tallystick.dispatches where lane = :lane and dispatch = :dispatch

-- name: refuse_accepted
-- rows: smallint, bytea, smallint, text, bigint
with r (l, d, n, why, at) as (:rows)
update tallystick.dispatches as d
set state = 'refused', reason = r.why, settled_at = r.at
from r
where d.lane = r.l and d.dispatch = r.d and d.part = r.n and d.state in ('accepted', 'confirmed')
returning lane, dispatch, part

-- name: refuse_parked
-- rows: smallint, bytea, smallint, text, bigint
with r (l, d, n, why, at) as (:rows)
update tallystick.dispatches as d
set state = 'refused', reason = r.why, settled_at = r.at
from r
where d.lane = r.l and d.dispatch = r.d and d.part = r.n and d.state = 'parked' and d.first_sent_at is null
returning lane, dispatch, part

-- name: insert_alarms
-- rows: text, text, text, text, text, text, bigint, text, integer, bigint
insert into tallystick.alarms (tenant, mode, alarm, code, subject, message, raised_at, state, attempt, due_at)
:rows
on conflict do nothing

-- name: due_alarms
select tenant, mode, alarm, code, subject, message, raised_at, state, attempt, due_at
from tallystick.alarms
where state = 'due' and due_at <= :now and tenant = :tenant and mode = :mode
order by due_at
limit :limit

-- name: write_alarm
update tallystick.alarms set state = :state, attempt = :attempt, due_at = :due_at
where tenant = :tenant and mode = :mode and alarm = :alarm

-- name: parts_of_dispatch
select lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier,
       quantity, value, happened_at, entries, payload_hash, created_at,
       case when exists (
           select 1 from tallystick.exclusions e
           where e.lane = d.lane and e.dispatch = d.dispatch and e.part = d.part) then 'excluded' else state end,
       attempt, idempotency_key, fence, first_sent_at, due_at, reason
from tallystick.dispatches d
where lane = :lane and dispatch = :dispatch
order by part

-- name: entries_of_dispatch
-- (by the customer's time index: an index of obligations by dispatch would cost every delivery)
select e.lane, e.entry, e.kind, e.tenant, e.mode, e.account, e.customer, e.meter, e.quantity, e.key, e.refers,
       e.attributes, e.occurred_at, e.recorded_at
from tallystick.entries e
join tallystick.obligations o on o.lane = e.lane and o.entry = e.entry
where e.lane = :lane and e.tenant = :tenant and e.mode = :mode and e.customer = :customer and e.meter = :meter
  and e.kind > 1 and e.recorded_at >= :since and o.dispatch = :dispatch
order by e.recorded_at, e.entry
limit :limit

-- name: find_anchors
select place, generation, state, reason, since from tallystick.anchors where tenant = :tenant and mode = :mode

-- name: find_anchor_tokens
select place, token from tallystick.anchor_tokens where tenant = :tenant and mode = :mode

-- name: announce_anchor
insert into tallystick.anchor_tokens (tenant, mode, place, token, generation)
values (:tenant, :mode, :place, :token, :generation)

-- name: forget_anchor_tokens
delete from tallystick.anchor_tokens
where tenant = :tenant and mode = :mode and place = :place and generation < :before

-- name: keep_anchor
insert into tallystick.anchors (tenant, mode, place, generation, state, reason, since)
values (:tenant, :mode, :place, :generation, :state, :reason, :since)
on conflict (tenant, mode, place)
do update set generation = excluded.generation, state = excluded.state, reason = excluded.reason,
              since = excluded.since

-- name: halt_anchor
-- (unless another process has written the anchor since this one looked: then it is that one's word that counts)
insert into tallystick.anchors as a (tenant, mode, place, generation, state, reason, since)
values (:tenant, :mode, :place, :generation, :state, :reason, :since)
on conflict (tenant, mode, place)
do update set state = excluded.state, reason = excluded.reason, since = excluded.since
where a.generation = excluded.generation

-- name: pending_entries
select e.lane, e.entry, e.tenant, e.mode, e.customer, e.meter, e.quantity, e.recorded_at
from tallystick.obligations o
join tallystick.entries e on e.lane = o.lane and e.entry = o.entry
where o.lane = :lane and o.dispatch is null and e.tenant = :tenant and e.mode = :mode and e.recorded_at <= :before
order by e.customer, e.meter, e.recorded_at

-- name: pending_dispatches
select lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier,
       quantity, value, happened_at, entries, payload_hash, created_at, state, attempt, idempotency_key,
       fence, first_sent_at, due_at, reason
from tallystick.dispatches
where lane = :lane and state in ('ready', 'sending', 'unknown', 'parked') and tenant = :tenant and mode = :mode
  and (created_at <= :before or first_sent_at is not null)
order by customer, meter, happened_at

-- name: newest_entry
select coalesce(
    (select max(recorded_at) from tallystick.entries
     where tenant = :tenant and mode = :mode and recorded_at <= :before),
    (select created_at from tallystick.identity))
