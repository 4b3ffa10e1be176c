-- When the provider closes the period that usage of a customer and meter lies in, as the provider said.

create table tallystick.periods (
    tenant text not null,
    mode text not null,
    provider_customer text not null,
    provider_meter text not null,
    since bigint not null,
    until bigint not null,
    read_at bigint not null,
    primary key (tenant, mode, provider_customer, provider_meter)
) $clustered;
