-- Confirmation: what the provider's own totals say about dispatches. Findings outlive their process.

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
