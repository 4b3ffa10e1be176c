-- Dispatches that will never be sent, because a person has said that they were billed otherwise: who, when and why.
-- (they are 'refused' for whoever sends; what an absolute stood at by them goes on standing)
-- quantity: what was billed otherwise; of an absolute the difference, at the newest of those excluded together.

create table tallystick.exclusions (
    lane smallint not null,
    dispatch $bytes not null,
    part smallint not null,
    tenant text not null,
    mode text not null,
    customer text not null,
    meter text not null,
    quantity bigint not null,
    reason text not null check (reason <> ''),
    excluded_by text not null check (excluded_by <> ''),
    excluded_at bigint not null,
    primary key (lane, dispatch, part)
) $clustered;
create index $prefixexclusions_of_customer
    on tallystick.exclusions (lane, tenant, mode, customer, meter, excluded_at);
