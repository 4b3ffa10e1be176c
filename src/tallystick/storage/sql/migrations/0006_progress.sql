-- How far an action under way has come: checkpoints of streams, for whoever decides about its hold later.

create table tallystick.hold_progress (
    lane smallint not null,
    hold $bytes not null,
    meter text not null,
    quantity bigint not null,
    noted_at bigint not null,
    primary key (lane, hold, meter)
) $clustered;
