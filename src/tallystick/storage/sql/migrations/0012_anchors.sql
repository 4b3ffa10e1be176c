-- What this database last said of itself at each place that keeps anchors, and what it is about to say.
-- state: 'in_force', 'recovering' (the ledger went backwards), 'lost' (another copy sends); neither of the latter sends.

create table tallystick.anchors (
    tenant text not null,
    mode text not null,
    place text not null,
    generation bigint not null,
    token text not null,
    next_token text not null,
    state text not null check (state in ('in_force','recovering','lost')),
    reason text not null,
    since bigint not null,
    primary key (tenant, mode, place)
) $clustered;
