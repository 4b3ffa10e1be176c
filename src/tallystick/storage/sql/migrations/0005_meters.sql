-- What is fixed for ever of a meter: its entries are steps of its decimals, added up by its formula.

create table tallystick.meters (
    tenant text not null,
    meter text not null,
    formula text not null,
    decimals smallint not null,
    primary key (tenant, meter)
) $clustered;
