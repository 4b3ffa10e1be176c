"""Usage is counted in the browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.corpus.lexical import ASIDE
from tallystick.audit.entries.forms import Entry
from tallystick.audit.model import Confidence, Finding, Place, Severity
from tallystick.audit.rules.base import Rule
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails import stored
from tallystick.audit.trails.labels import STORED
from tallystick.audit.trails.trails import Trail

COUNTER = finite(
    rb"(?i)localStorage\.setItem\(\s*[\"'`](?![^\"'`]*(?:pending|selected|retry|unread|visit))[^\"'`]*(?:usage|credits?|quota|count(?![a-z]))[^\"'`]*[\"'`]"
)

REPORTING = re.compile(r"(?i)usage|meter|track|consum|report|bill|deduct")
BY_BROWSER = (
    "usage is reported by code in the browser; a customer who blocks the call uses the product for free"
)
WHEN_ASKED = (
    "what was counted is sent only when a page of the customer asks for it; who never does is not billed"
)
SENDING = re.compile(r"(?i)flush|sync|drain|submit|push|report|settle|send")
CHARGES = frozenset(
    ["shopify-usage-charges", "stripe-invoice-items"]
)  # who asks for one buys, and counts nothing
CALLS = (
    rb"(?:\b\w{0,20}[fF]etch\w{0,20}|axios[\w.]*|ky[\w.]*|post|sendBeacon|\b\w{0,20}[rR]equest\w{0,20})"
    rb"(?:<[^<>()\n]{0,60}>)?\(\s*[\"'`]"
)
BESIDE = re.compile(  # who asks, and how it is answered
    r"(?i)(?:^|\.)(?:require|get|assert|ensure|verify)\w*(?:auth|tenant|session|user|context|org\w*|account)$"
    r"|(?:^|\.)\w*(?:error|errorresponse|response|json)$|^import$|\.catch$"
)
FUNCTION = re.compile(r"(?:^|/)functions/([\w-]+)/")
PAGE = re.compile(r"\.(?:tsx|jsx|vue|svelte)$|(?:^|/)(?:hooks|components)/")
USES = re.compile(rb"^\s*[\"']use client[\"']", re.MULTILINE)


def find(case: Case) -> Iterator[Finding]:
    """Reports that browser code sends or triggers, and browser counters under a metered price."""
    for trail in case.trails:
        entry = trail.entry
        relay = entry is not None and entry.kind == "http" and _called_to_report(case, trail)
        told = entry is not None and entry.kind == "action" and case.client_parts(trail.quantity, entry)
        relay = relay or (bool(told) and entry is not None and _bare(case, trail, entry.key))
        asked = not relay and _sent_when_asked(case, trail)
        if trail.client or relay or asked:
            yield RULE.finding(
                WHEN_ASKED if asked else BY_BROWSER,
                case.at(trail),
                Confidence.MEDIUM,  # what looks like a browser's may run on the server
                case.name(trail),
                case.hops(trail),
            )
    if case.metered and not case.trails:
        for path, line, _ in case.corpus.live_hits(COUNTER):
            if not ASIDE.search(path):
                yield RULE.finding(
                    "usage is kept in browser storage, where the customer can edit it", Place(path, line),
                    Confidence.MEDIUM,
                )  # fmt: skip


def _called_to_report(case: Case, trail: Trail) -> bool:
    """Whether a route does nothing but report, and a page of the application calls it to do so."""
    entry = trail.entry
    if entry is None or case.guarded(trail) or not _bare(case, trail, entry.key):
        return False
    if trail.site.sink.provider in CHARGES:
        return False
    call = _asked_for(entry)
    if call is None:
        return False
    if any(
        row.writes and not stored.USAGE.search(row.table) for row in stored.rows(case.program, [entry.key])
    ):
        return False
    return any(_of_a_page(case, one) for one in case.corpus.grep(call))


def _sent_when_asked(case: Case, trail: Trail) -> bool:
    """Whether a page's call is all that sends what was counted before: `fetch("/api/usage/flush")` behind a button."""
    entry = trail.entry
    if entry is None or entry.kind != "http" or case.guarded(trail) or not SENDING.search(entry.route):
        return False
    if {kind for kind, _ in trail.quantity} != {STORED} or any(one.entry != entry for one in case.live):
        return False
    address, call = entry.route.partition(" ")[2], _asked_for(entry)
    if call is None or any(address in one.target for one in case.schedules):
        return False
    asking = case.corpus.grep(call)
    return bool(asking) and all(_of_a_page(case, one) for one in asking)


def _of_a_page(case: Case, path: str) -> bool:
    """Whether the browser runs a file: a page, or the client of the application's own routes that a page imports."""
    stem = re.escape(path.rpartition("/")[2].partition(".")[0]).encode()
    imports = re.compile(rb"\bfrom\s{1,9}[\"'][^\"'\n]{0,200}/" + stem + rb"[\"']")
    return any(
        PAGE.search(one) or USES.search(case.corpus.sources[one])
        for one in (path, *case.corpus.grep(imports, stem))
    )


def _asked_for(entry: Entry) -> re.Pattern[bytes] | None:
    """How a page calls a route whose address, or name, speaks of reporting."""
    path = entry.route.partition(" ")[2]
    function = FUNCTION.search(entry.key[0]) if entry.framework == "supabase-edge" else None
    if function is not None and REPORTING.search(function[1]):
        return re.compile(rb"functions\.invoke\(\s*[\"'`]" + re.escape(function[1]).encode() + rb"[\"'`]")
    if not path.startswith("/") or not REPORTING.search(path) or "[" in path or ":" in path:
        return None
    return re.compile(CALLS + re.escape(path).encode() + rb"[\"'`?]")


def _bare(case: Case, trail: Trail, key: tuple[str, int]) -> bool:
    """Whether a server action does little more than report what its caller says."""
    known = [calls for _, _, calls in case.program.knowledge.labels if calls is not None]
    onward = {call.callee for _, call in trail.hops}
    others = [
        call
        for call in case.program.function(key).calls
        if call.state in ("awaited", "used") and call.callee not in onward
    ]
    return all(any(one.search(call.callee) for one in (BESIDE, *known)) for call in others)


RULE = Rule(
    code="client_side_only",
    title="Usage lives in the browser",
    why="Everything in the browser belongs to the customer: counters can be edited and calls left out.",
    wrong='localStorage.setItem("usage", String(used + 1));',
    right="// in the server's handler\nawait reportUsage(session.customerId, 1);",
    severity=Severity.HIGH,
    decides=True,
    find=find,
    remediation="Count and report in the server handler that does the work; let the browser only display the number.",
)
