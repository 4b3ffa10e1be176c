-- Confirmation: what the provider's own totals say about dispatches; one that summaries have cleared up can be
-- superseded. Findings outlive their process.

-- only: sqlite
alter table tallystick.dispatches rename to tallystick.dispatches_before;
create table tallystick.dispatches (
    lane smallint not null,
    dispatch $bytes not null,
    part smallint not null,
    tenant text not null,
    mode text not null,
    customer text not null,
    meter text not null,
    provider_customer text not null,
    provider_meter text not null,
    identifier text not null,
    quantity bigint not null,
    value text not null,
    happened_at bigint not null,
    entries bigint not null,
    payload_hash $bytes not null,
    created_at bigint not null,
    state text not null
        check (state in ('ready','sending','accepted','confirmed','unknown','refused','parked','superseded')),
    attempt integer not null,
    idempotency_key text not null,
    fence bigint not null,
    first_sent_at bigint,
    due_at bigint not null,
    settled_at bigint,
    reason text not null,
    primary key (lane, dispatch, part)
) $clustered;
insert into tallystick.dispatches
select lane, dispatch, part, tenant, mode, customer, meter, provider_customer, provider_meter, identifier, quantity,
       value, happened_at, entries, payload_hash, created_at, state, attempt, idempotency_key, fence, first_sent_at,
       due_at, settled_at, reason
from tallystick.dispatches_before;
drop table tallystick.dispatches_before;
create index $prefixdispatches_due on tallystick.dispatches (due_at) where state in ('ready','sending','unknown');
create index $prefixdispatches_parked on tallystick.dispatches (state) where state in ('refused','parked');
-- only: postgres
alter table tallystick.dispatches drop constraint dispatches_state_check;
alter table tallystick.dispatches add constraint dispatches_state_check
    check (state in ('ready','sending','accepted','confirmed','unknown','refused','parked','superseded'));
-- only:
create index $prefixdispatches_accepted on tallystick.dispatches (settled_at) where state = 'accepted';
create index $prefixdispatches_by_window
    on tallystick.dispatches (lane, provider_customer, provider_meter, happened_at);

-- What the provider's summaries said of a window that holds dispatches of unknown outcome, and what we expected.
create table tallystick.readings (
    lane smallint not null,
    tenant text not null,
    mode text not null,
    provider_customer text not null,
    provider_meter text not null,
    since bigint not null,
    total text not null,
    expected text not null,
    ambiguous text not null,
    read_at bigint not null,
    primary key (lane, tenant, mode, provider_customer, provider_meter, since)
) $clustered;

create table tallystick.findings (
    tenant text not null,
    mode text not null,
    code text not null,
    subject text not null,
    message text not null,
    count bigint not null,
    first_at bigint not null,
    last_at bigint not null,
    closed_at bigint,
    closed_by text not null,
    primary key (tenant, mode, code, subject)
) $clustered;
