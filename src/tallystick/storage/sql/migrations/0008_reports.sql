-- What the provider said later about instructions it had accepted, and the doubts that its reports raise.

create table tallystick.reports (
    tenant text not null,
    mode text not null,
    report text not null,
    meter text not null,
    created_at bigint not null,
    received_at bigint not null,
    errors bigint not null,
    body text not null,
    primary key (tenant, mode, report)
) $clustered;

-- A provider customer, meter and minute: whether something is missing there is decided by the provider's total.
create table tallystick.doubts (
    lane smallint not null,
    tenant text not null,
    mode text not null,
    provider_customer text not null,
    provider_meter text not null,
    minute bigint not null,
    report text not null,
    code text not null,
    state text not null check (state in ('open','counted','superseded','unclear')),
    reason text not null,
    reading text not null,
    read_at bigint not null,
    due_at bigint not null,
    primary key (lane, tenant, mode, provider_customer, provider_meter, minute, report)
) $clustered;
create index $prefixdoubts_due on tallystick.doubts (due_at) where state = 'open';
create index $prefixdoubts_unclear on tallystick.doubts (state) where state = 'unclear';
