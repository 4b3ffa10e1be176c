-- Periods by lane, with those that have ended, and that a customer has none: (0, 0), as of read_at.
-- What was known is asked for again.

drop table tallystick.periods;

create table tallystick.periods (
    lane smallint not null,
    tenant text not null,
    mode text not null,
    provider_customer text not null,
    provider_meter text not null,
    since bigint not null,
    until bigint not null,
    read_at bigint not null,
    primary key (lane, tenant, mode, provider_customer, provider_meter, since)
) $clustered;
