"""A metered price, and nothing live that reports to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from tallystick.audit.case.asked import DECLARING, asked, means_to_bill
from tallystick.audit.case.case import Case
from tallystick.audit.case.joins import outboxes, spelled
from tallystick.audit.case.switches import OFF
from tallystick.audit.case.unstarted import unstarted
from tallystick.audit.corpus.lexical import ASIDE
from tallystick.audit.inventory.kinds import is_page
from tallystick.audit.model import Confidence, Finding, Hop, Place, Severity
from tallystick.audit.offers.tables import KEPT
from tallystick.audit.rules.base import Rule
from tallystick.audit.trails.labels import CONST, STORED
from tallystick.audit.trails.stored import CUSTOMER, QUANTITY, rows
from tallystick.audit.trails.trails import Trail

REMARK = 12  # lines above a function in which its own remark stands
REMARKED = re.compile(  # a call of a provider's own, and none that stands in a text of documentation
    rb"(?m)^\s*(?://|#)\s*(?:await\s+|return\s+|void\s+)?((?:[\w$]+(?:\(\))?(?:\??\.|::))*"
    rb"(?:[mM]eter_?[eE]vents?(?:\(\))?(?:\.|::)create|create_?[uU]sage_?[rR]ecords?|[uU]sage_?[rR]ecords?\.create|events\.ingest"
    rb"|usage\.ingest))\("
)
SAMPLE = re.compile(
    rb"[\"'](?:si|sub|cus|mtr)_(?:\.{2,3}|[xX]{3,24}|123\d{0,9}|\w{0,12}(?:placeholder|your|example)\w{0,12})[\"']"
)


def find(case: Case) -> Iterator[Finding]:
    """Dead reporters; metered prices without any reporter; advertised unit prices that only a counter knows."""
    if case.live:
        yield from _unfilled(case)
        return
    for key, schedule in sorted(case.refused.items()):
        yield RULE.finding(
            "this schedule asks with GET, and the route it calls reports usage only when it is asked with POST",
            Place(schedule.path, schedule.line),
            Confidence.MEDIUM,
            case.program.function(key).name,
            (Hop(case.place(key), "is never called"),),
        )
    dead = [
        one for one in case.trails if one.entry is None and not one.client and one.top not in case.refused
    ]
    for trail in dead if not case.judged else []:
        left = _left(case, trail)
        sold = case.sells and not left
        meant = sold or _commented_out(case, trail) or _sums(trail)
        off, why = OFF in trail.flags, case.idle.get(trail.top, "")
        name = case.name(trail) or trail.site.call.callee
        yield RULE.finding(
            (
                f"what reports usage ({name}) stands behind a switch that nothing turns on"
                if off
                else why or _uncalled(case, trail, name)
            )
            + ("" if meant else left or ", and every price found here is flat or paid ahead"),
            case.at(trail),
            Confidence.HIGH
            if sold and not off and not why
            else Confidence.MEDIUM
            if meant
            else Confidence.LOW,
            case.name(trail),
            case.hops(trail),
        )
    for trail in case.judged:
        named = case.program.function(trail.top).name or "what reports usage"
        yield RULE.finding(
            f"no way from a request or a clock to {named}, which reports usage, could be followed: name it in "
            "`meter-functions` of `[audit.models]`",
            case.at(trail),
            Confidence.MEDIUM,
            case.name(trail),
            case.hops(trail),
        )
    if not case.trails and case.metered:
        setup = case.metered[0]
        message = f"{setup.note} is set up here, and no code reports usage to it"
        yield RULE.finding(message, setup.place, Confidence.MEDIUM)
        return
    if not case.trails and (case.payment or means_to_bill(case)):
        yield from _remarked(case)
        yield from _offered(case)
        yield from _unstarted(case)


def _uncalled(case: Case, trail: Trail, name: str) -> str:
    """That nothing calls what would report, by the name of the first that is not called."""
    first = case.program.function(trail.top).name or name
    return f"nothing in the application calls {first}, which would report usage"


def _offered(case: Case) -> Iterator[Finding]:
    """A price of use that is asked, and that nothing reports."""
    hop = asked(case)
    if hop is not None:
        known = "usage is only counted; nothing" if case.counted else "nothing"
        yield RULE.finding(
            "usage is kept at its price here until it is billed, and nothing bills it"
            if hop.note == KEPT
            else f"a price per unit is promised here and {known} reports it to be billed",
            hop.place,
            Confidence.MEDIUM,
        )


def _unstarted(case: Case) -> Iterator[Finding]:
    """A job that would bill what was used, where nothing makes it: told once, for the first."""
    for hop in islice(unstarted(case), 1):
        message = (
            f"{hop.note} turns usage into what is charged, and nothing in the application makes or starts it"
        )
        yield RULE.finding(message, hop.place, Confidence.MEDIUM)


def _remarked(case: Case) -> Iterator[Finding]:
    """A report that is there as a remark alone: it was to be sent, where usage is sold at all."""
    hits = [
        (path, hit)
        for path in case.corpus.grep(REMARKED)
        for hit in REMARKED.finditer(case.corpus.sources[path])
        if not ASIDE.search(path)
    ]
    if hits:
        path, hit = hits[0]
        sold = bool(case.corpus.signals("sold", 1, is_page) or case.promised or case.priced)
        yield RULE.finding(
            "the call that reports usage is commented out here, and nothing else reports any",
            Place(path, case.corpus.sources[path].count(b"\n", 0, hit.start(1)) + 1),
            Confidence.MEDIUM if sold else Confidence.LOW,
        )


def _left(case: Case, trail: Trail) -> str:
    """What a reporter that nothing calls says of itself: that it is not used any more, or only shows how it is done."""
    first = case.program.function(trail.top).line
    above = case.corpus.text(trail.top[0], first - REMARK, first)
    if re.search(rb"(?i)\bdeprecated\b", above) is not None:
        return ", and it says of itself that it is deprecated"
    shown = not case.metered and not case.promised and SAMPLE.search(case.said(trail.site.key)) is not None
    return ", and it holds samples for ids" if shown else ""


def _sums(trail: Trail) -> bool:
    """Whether a reporter asks for what was stored of the use, and for nothing else: that is there to be billed."""
    return STORED in (kinds := {kind for kind, _ in trail.quantity}) and kinds <= {STORED, CONST}


def _commented_out(case: Case, trail: Trail) -> bool:
    """Whether other code has the call of a reporter as a remark: it was to report there."""
    name = case.name(trail).rpartition(".")[2]
    remark = re.compile(
        rb"(?m)^\s*(?://|#)\s*(?:await\s+|void\s+)?(?:\w+\.)*" + re.escape(name).encode() + rb"\("
    )
    return bool(name) and any(one != trail.site.key[0] for one in case.corpus.grep(remark, name.encode()))


def _unfilled(case: Case) -> Iterator[Finding]:
    """A job sends the rows of a table, and nothing in the tree writes there."""
    if any(one.entry is not None and one.entry.kind in ("http", "action", "worker") for one in case.live):
        return
    kept = [one for one in case.trails if one.site.stored]
    if kept and not any(one.entry is not None or case.named_elsewhere(one.top) for one in kept):
        yield RULE.finding(
            f"a job sends stored usage, and nothing calls what would store it ({case.name(kept[0]) or 'this'})",
            case.at(kept[0]),
            Confidence.MEDIUM,
            case.name(kept[0]),
        )
    for table, trail in sorted(outboxes(case).items()):
        word = re.compile(spelled(table).encode(), re.IGNORECASE)
        readers = {key[0] for key, _ in trail.hops}
        others = [one for one in case.corpus.grep(word) if one not in readers and not DECLARING.search(one)]
        filled = any(word.search(data) and b"insert" in data.lower() for data in case.corpus.support.values())
        if others or filled or any(row.writes and row.table == table and row.payload for row in rows(case.program)
                                   if row.column(QUANTITY) or row.column(CUSTOMER)):  # fmt: skip
            continue
        yield RULE.finding(
            f"{trail.entry.route if trail.entry else 'a job'} sends the rows of {table}, and nothing in this tree "
            "writes such rows",
            case.at(trail),
            Confidence.LOW,
            case.name(trail),
            case.hops(trail),
        )


RULE = Rule(
    code="never_reported",
    title="Nothing live reports the usage",
    why=(
        "A helper without callers, a commented-out call or a counter that no one sends leaves "
        "the metered price at zero on "
        "every invoice."
    ),
    wrong="export async function reportUsage() { await stripe.billing.meterEvents.create(event); } // no caller",
    right="const result = await translate(text);\nawait reportUsage(org.customerId, result.characters);",
    severity=Severity.HIGH,
    decides=True,
    find=find,
    remediation="Call the reporter from the action that is sold, on the server, after the work succeeded.",
)
