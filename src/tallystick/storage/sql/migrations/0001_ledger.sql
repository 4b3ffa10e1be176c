-- The ledger: append-only entries, and the marks and totals around them.
-- $bytes, $clustered, $total stand for what the dialects name differently. $by_lane is (lane, entry), and on
-- SQLite (entry, lane): there a table is ordered by its key, and new entries belong on few pages of a commit.

create table tallystick.identity (
    only_one smallint primary key check (only_one = 1),
    ledger text not null,
    created_at bigint not null
);

create table tallystick.entries (
    lane smallint not null check (lane between 0 and 255),
    entry $bytes not null check (length(entry) = 16),
    kind smallint not null check (kind in (1, 2, 3)),
    tenant text not null,
    mode text not null check (mode in ('live', 'test')),
    account text not null,
    customer text not null check (customer <> ''),
    meter text not null check (meter <> ''),
    quantity bigint not null check ($integer(quantity) and (quantity >= 0 or kind = 3)),
    key text,
    refers $bytes,
    attributes text not null,
    occurred_at bigint,
    recorded_at bigint not null,
    primary key ($by_lane)
) $clustered;

-- One customer's usage in the order of time: boundary hours, listings, disputes.
create index $prefixentries_by_time on tallystick.entries (lane, customer, meter, recorded_at) where kind > 1;

create table tallystick.entry_keys (
    lane smallint not null,
    tenant text not null,
    mode text not null,
    customer text not null,
    meter text not null,
    key text not null,
    entry $bytes not null,
    content $bytes not null,
    primary key (lane, tenant, mode, customer, meter, key)
) $clustered;

-- At most one resolution per hold: whoever inserts it wins. `mark` tells the winner from the losers.
create table tallystick.resolutions (
    lane smallint not null,
    hold $bytes not null,
    outcome smallint not null check (outcome in (1, 2, 3)),
    reason text not null,
    resolved_by text not null,
    mark $bytes not null,
    primary key (lane, hold)
) $clustered;

-- Entries the sequencer has not taken yet.
create table tallystick.unsequenced (
    lane smallint not null,
    entry $bytes not null,
    primary key ($by_lane)
) $clustered;

-- Gapless positions per lane, with the hash chain.
create table tallystick.positions (
    lane smallint not null,
    position bigint not null,
    entry $bytes not null,
    hash $bytes not null,
    primary key (lane, position)
) $clustered;
create unique index $prefixpositions_of_entry on tallystick.positions (lane, entry);

create table tallystick.heads (
    lane smallint primary key,
    position bigint not null,
    hash $bytes not null
);

-- Totals per hour and declared attributes; kept by the sequencer, recomputable from entries.
create table tallystick.totals (
    lane smallint not null,
    tenant text not null,
    mode text not null,
    customer text not null,
    meter text not null,
    hour bigint not null,
    attributes text not null,
    entries bigint not null,
    $total,
    primary key (lane, tenant, mode, customer, meter, hour, attributes)
) $clustered;

-- Holds that were open when they were sequenced; the sweep removes the resolved ones.
create table tallystick.open_holds (
    lane smallint not null,
    entry $bytes not null,
    primary key (lane, entry)
) $clustered;

-- Entries and resolutions are never changed or deleted; a second wall behind the code.
-- only: sqlite
create trigger tallystick_entries_no_update before update on tallystick.entries
begin select raise(abort, 'tallystick: entries are immutable; post a correction'); end;
create trigger tallystick_entries_no_delete before delete on tallystick.entries
begin select raise(abort, 'tallystick: entries are immutable; post a correction'); end;
create trigger tallystick_resolutions_no_update before update on tallystick.resolutions
begin select raise(abort, 'tallystick: a hold is resolved once'); end;
create trigger tallystick_resolutions_no_delete before delete on tallystick.resolutions
begin select raise(abort, 'tallystick: a hold is resolved once'); end;
-- only: postgres
create function tallystick.refuse_change() returns trigger language plpgsql as
$$ begin raise exception 'tallystick: % is append-only; post a correction', tg_table_name; end $$;
create trigger entries_immutable before update or delete on tallystick.entries
for each row execute function tallystick.refuse_change();
create trigger resolutions_immutable before update or delete on tallystick.resolutions
for each row execute function tallystick.refuse_change();
create trigger entries_not_truncated before truncate on tallystick.entries
for each statement execute function tallystick.refuse_change();
create trigger resolutions_not_truncated before truncate on tallystick.resolutions
for each statement execute function tallystick.refuse_change();
