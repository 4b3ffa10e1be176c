"""What joins parts of a tree that do not call each other: tables kept until they are sent, and names of queues."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case import clocks
from tallystick.audit.case.case import CRON_PATH, STAFF, Case
from tallystick.audit.case.reaching import works
from tallystick.audit.entries.queues import spelled as reached_by
from tallystick.audit.models.knowledge import Sink
from tallystick.audit.program.constants import called
from tallystick.audit.program.program import Key
from tallystick.audit.trails import stored
from tallystick.audit.trails.labels import CONST, STORED, UNKNOWN, Labelling
from tallystick.audit.trails.sites import Site
from tallystick.audit.trails.trails import Trail

BILLS = re.compile(r"(?i)invoice|billing|charge")
SUMMING = re.compile(rb"(?i)\bsum\b|_sum\b|group_?by|aggregate")
DIRECT_KINDS = frozenset(["http", "action"])


def later(trail: Trail) -> bool:
    """Whether the report is sent by something else than the request it is for."""
    entry = trail.entry
    if entry is None:
        return False
    aside = CRON_PATH.search(entry.key[0]) is not None or STAFF.search(entry.key[0]) is not None
    return entry.kind not in DIRECT_KINDS or aside


def _invoices(case: Case, trail: Trail) -> bool:
    """Whether a route only makes an invoice of what was stored before: it neither measures nor works."""
    entry = trail.entry
    if entry is None or trail.site.sink.provider != "stripe-invoice-items" or works(case, trail):
        return False
    kinds = {kind for kind, _ in trail.quantity} - {CONST}
    return BILLS.search(entry.route) is not None and bool(kinds) and kinds <= {STORED, UNKNOWN}


def outboxes(case: Case) -> dict[str, Trail]:
    """The usage tables that a job reads and sends, each with the way it is sent."""
    found: dict[str, Trail] = {}
    for trail in case.live:
        if trail.site.stored or trail.queued or not (later(trail) or _invoices(case, trail)):
            continue
        for row in stored.rows(case.program, sorted(_near(case, trail))):
            if not row.writes and stored.USAGE.search(row.table):
                found.setdefault(row.table, trail)
    return found


def summed(case: Case, tables: dict[str, Trail]) -> dict[str, Trail]:
    """The tables of usage that the clock alone sums up into the rows of these, each with the way those are sent."""
    found: dict[str, Trail] = {}
    for trail in case.live:
        entry = trail.entry
        if not trail.site.stored or entry is None or entry.kind not in ("schedule", "script"):
            continue
        own = {one.table for one in stored.rows(case.program, [trail.site.key]) if one.writes} & tables.keys()
        same = [one for one in case.live if one.site.key == trail.site.key]
        if not own or any(one.entry is None or one.entry.kind != entry.kind for one in same):
            continue
        for row in stored.rows(case.program, sorted(_near(case, trail))):
            fresh = row.table not in tables and not row.table.startswith(stored.KEYED)
            if not row.writes and fresh and stored.METERING.search(row.table) and _sums(case, row.key):
                found.setdefault(row.table, tables[min(own)])
    return found


def _sums(case: Case, key: Key) -> bool:
    function = case.program.function(key)
    return SUMMING.search(case.corpus.text(key[0], function.line, function.end_line)) is not None


def _near(case: Case, trail: Trail) -> set[Key]:
    """The functions on a trail, the steps that stand in them, and those they call."""
    own = {key for key, _ in trail.hops if key[1]}
    own |= {step for key in own for step in case.program.contents.inside(key)}
    return own | {target for key in own for target, _ in case.program.callees.get(key, ())}


def written(case: Case, tables: dict[str, Trail], labelling: Labelling) -> Iterator[Site]:
    """Each write to a table that is sent later, as a report of its own."""
    for row in stored.rows(case.program):
        if not row.writes or row.table not in tables:
            continue
        customers, quantities = row.column(stored.CUSTOMER), row.column(stored.QUANTITY)
        opened = (*quantities, *row.column(stored.SPENT))
        if (not customers and not quantities) or stored.is_opening(opened):
            continue
        if not opened and row.column(stored.ALLOWED):
            continue  # what a plan includes
        if not _sure(row, tables[row.table]) or _lowers(row, tables[row.table]):
            continue
        sink = Sink(tables[row.table].site.sink.provider, "", "", durable=True)
        yield Site(
            row.key,
            row.call,
            sink,
            frozenset(label for one in quantities for label in labelling.of(row.key, one)),
            frozenset(label for one in customers for label in labelling.of(row.key, one)),
            True,
            True,
            stored=True,
        )


def _sure(row: stored.Row, trail: Trail) -> bool:
    """Whether this is the usage that is sent: by its name, by what sums it, or by the column that the job sends."""
    if stored.METERING.search(row.table) or row.payload is None or trail.site.sink.arrears:
        return True
    sent = {text.rpartition(":")[2].rpartition(".")[2].lower() for _, text in trail.site.quantity}
    return bool(sent & {name.lower() for name in row.payload.keys})


def _lowers(row: stored.Row, trail: Trail) -> bool:
    """Whether a counter is counted down by what sends it."""
    return stored.is_counter(row.call) and row.key in {key for key, _ in trail.hops}


def words(case: Case, tables: dict[str, Trail]) -> re.Pattern[bytes] | None:
    """What a file has to hold to be on the other side of a join."""
    parts = [spelled(one.removeprefix(stored.KEYED)) for one in sorted(tables)]
    for trail in case.live:
        entry = trail.entry
        if entry is not None and entry.kind in ("worker", "schedule", "http"):
            names = sorted(name for name in case.queues.names(entry) if len(name) > 2)
            parts += [reached_by(name) for name in names]
            known = {one for name in names for one in called(case.program, name)}
            parts += [rf"(?-i:\b{re.escape(one)}\b)" for one in sorted(known)]
    return re.compile("|".join(sorted(set(parts))).encode(), re.IGNORECASE) if parts else None


def callers(case: Case) -> set[str]:
    """Files that name the address of a route which is for a clock: what calls it may have one."""
    entries = (one.entry for one in case.live)
    paths = {
        clocks.address(one)
        for one in entries
        if one is not None and one.kind in ("worker", "schedule", "http")
    }
    found: set[str] = set()
    for path in sorted(one for one in paths if CRON_PATH.search(one)):
        named = re.compile(clocks.named(path).encode(), re.IGNORECASE)
        likely = case.corpus.holding([path.rstrip("/").rpartition("/")[2].lower().encode()])
        found |= {one for one in likely if named.search(case.corpus.sources[one])}
    return found


def spelled(table: str) -> str:
    """A pattern for any spelling of a table's name."""
    return "_?".join(re.escape(one) for one in table)
