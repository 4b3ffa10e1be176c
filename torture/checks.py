"""The invariants after a kill, checked from the client's own log and the provider's own totals.

T1 to T6 and T12 as the design names them. Each problem is one line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from torture.calls import Call, quantity_of
from torture.records import Records

CUSTOMER, METER, QUANTITY, KEY, REFERS = 3, 4, 5, 6, 7


def after_the_kill(records: Records, calls: Iterable[Call]) -> list[str]:
    """What must hold at once, before anything is repaired."""
    calls = list(calls)
    problems = list(_acknowledged(records, calls))
    problems += _one_per_key(records)
    problems += _only_what_was_asked(records, calls)
    problems += _with_their_rows(records)
    problems += _resolved_once(records)
    return problems


def after_the_drain(
    before: Records, after: Records, calls: Iterable[Call], totals: Mapping[Any, Decimal]
) -> list[str]:
    """What must hold once the relay has done its work; `totals` is the provider's (customer, meter)."""
    problems = after_the_kill(after, calls)
    changed = [entry.hex() for entry, row in before.entries.items() if after.entries.get(entry) != row]
    problems += [f"T4: entry {entry} was changed or is gone" for entry in changed]
    problems += [f"T6: {after.unsent} entries are in no dispatch"] if after.unsent else []
    problems += [f"T6: a dispatch is still {state} ({reason})" for state, reason in after.unsettled]
    recorded: Counter[Any] = Counter()
    for row in after.usage:
        recorded[row[CUSTOMER], row[METER]] += row[QUANTITY]
    for place in sorted({*recorded, *totals}):
        ours, theirs = recorded[place], totals.get(place, Decimal(0))
        if ours != theirs:
            problems.append(f"T6: {place[0]}, {place[1]}: recorded {ours}, the provider has {theirs}")
    return problems


def _acknowledged(records: Records, calls: list[Call]) -> Iterable[str]:
    kept = {(row[CUSTOMER], row[METER], row[KEY]): row[QUANTITY] for row in records.usage}
    for call in calls:
        if call.answered and (call.customer, call.meter, call.job) not in kept:
            yield f"T2: {call.meter} of {call.job} was answered and is not recorded"


def _one_per_key(records: Records) -> Iterable[str]:
    keys = Counter((row[CUSTOMER], row[METER], row[KEY]) for row in records.usage)
    for (_, meter, key), count in keys.items():
        if count > 1:
            yield f"T3: {count} entries of {meter} for the key {key}"


def _only_what_was_asked(records: Records, calls: list[Call]) -> Iterable[str]:
    asked = {(call.customer, call.meter, call.job) for call in calls}
    for row in records.usage:
        if (row[CUSTOMER], row[METER], row[KEY]) not in asked:
            yield f"T1: an entry of {row[METER]} with the key {row[KEY]} that nobody asked for"
        elif row[QUANTITY] != quantity_of(row[KEY]):
            yield f"T10: {row[KEY]} is recorded as {row[QUANTITY]}, it used {quantity_of(row[KEY])}"


def _with_their_rows(records: Records) -> Iterable[str]:
    entries = {row[KEY] for row in records.usage if row[METER] == "orders"}
    for job in sorted(entries ^ records.orders):
        lacks = "its entry" if job in records.orders else "its row"
        yield f"T1: the order {job} is there without {lacks}"


def _resolved_once(records: Records) -> Iterable[str]:
    for hold, count in records.resolutions.items():
        if count > 1 or hold not in records.holds:
            yield f"T5: hold {hold.hex()} has {count} resolutions"
    settled = Counter(row[REFERS] for row in records.usage if row[REFERS])
    for hold, count in settled.items():
        if count > 1 or not records.resolutions[hold]:
            yield f"T5: hold {hold.hex()} has {count} usage entries and {records.resolutions[hold]} resolutions"
