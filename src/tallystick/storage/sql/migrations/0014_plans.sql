-- Indexes that say of few rows what a query asks of few: SQLite takes a partial index only for its very words.

drop index tallystick.dispatches_parked;
create index $prefixdispatches_parked on tallystick.dispatches (first_sent_at) where state = 'parked';

-- What was settled at a time: a report of the provider is about what it accepted then.
create index $prefixdispatches_confirmed on tallystick.dispatches (settled_at) where state = 'confirmed';
