-- The tokens that this database has announced before it said them at a place: several processes may be about to.
-- generation: of the anchor that was to carry it.

create table tallystick.anchor_tokens (
    tenant text not null,
    mode text not null,
    place text not null,
    token text not null,
    generation bigint not null,
    primary key (tenant, mode, place, token)
) $clustered;

insert into tallystick.anchor_tokens (tenant, mode, place, token, generation)
select tenant, mode, place, token, generation from tallystick.anchors where token <> ''
union
select tenant, mode, place, next_token, generation + 1 from tallystick.anchors
where next_token <> '' and next_token <> token;

alter table tallystick.anchors drop column token;
alter table tallystick.anchors drop column next_token;
