-- Delivery: what must reach the provider, and every instruction given to it.

create table tallystick.customer_links (
    lane smallint not null,
    tenant text not null,
    mode text not null,
    customer text not null,
    provider text not null,
    provider_customer text not null,
    linked_at bigint not null,
    primary key (lane, tenant, mode, customer)
) $clustered;

-- The obligation to deliver an entry; its dispatch is set once.
create table tallystick.obligations (
    lane smallint not null,
    entry $bytes not null,
    dispatch $bytes,
    due_at bigint not null,
    primary key ($by_lane)
) $clustered;
create index $prefixobligations_due on tallystick.obligations (due_at) where dispatch is null;

-- Who may send for a provider customer and meter: owner, fence, expiry.
create table tallystick.slots (
    lane smallint not null,
    tenant text not null,
    mode text not null,
    provider_customer text not null,
    provider_meter text not null,
    owner text not null,
    fence bigint not null,
    expires_at bigint not null,
    primary key (lane, tenant, mode, provider_customer, provider_meter)
) $clustered;

-- The frozen instruction to the provider; more digits than it takes are spread over parts.
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
    state text not null check (state in ('ready','sending','accepted','confirmed','unknown','refused','parked')),
    attempt integer not null,
    idempotency_key text not null,
    fence bigint not null,
    first_sent_at bigint,
    due_at bigint not null,
    settled_at bigint,
    reason text not null,
    primary key (lane, dispatch, part)
) $clustered;
create index $prefixdispatches_due on tallystick.dispatches (due_at) where state in ('ready','sending','unknown');
create index $prefixdispatches_parked on tallystick.dispatches (state) where state in ('refused','parked');

-- Work that one process at a time does: scanning, sequencing.
create table tallystick.leases (
    name text primary key,
    owner text not null,
    expires_at bigint not null
);
