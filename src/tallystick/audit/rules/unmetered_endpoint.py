"""The same work without the meter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tallystick.audit.case.case import CRON_PATH, STAFF, Case
from tallystick.audit.case.coverage import Coverage
from tallystick.audit.case.products import products
from tallystick.audit.case.reaching import reach
from tallystick.audit.entries.forms import Entry
from tallystick.audit.entries.routers import address_of
from tallystick.audit.model import Confidence, Finding, Hop, Severity
from tallystick.audit.program.program import COMMON, Key
from tallystick.audit.rules.base import Rule
from tallystick.audit.trails.labels import MEASURED
from tallystick.audit.trails.trails import Trail

ADMIN = re.compile(r"(?i)health|/admin|webhook|credential")
ASIDE = re.compile(
    r"(?i)test|demo|debug|preview|moderat|title|suggest|embed|search|onboard|support|playground"
    r"|invit|welcome|password|magic-?link|contact|waitlist|newsletter|feedback"  # mails of the application itself
)
TOKENS = re.compile(r"(?i)usage\w*\.\w*tokens?$")
ANSWERS = re.compile(  # what a model answers, by whatever kit, and is counted in tokens
    r"(?i)(?:completions|responses)(?:\(\))?\.(?:create|stream|parse)|anthropic\S*messages\.|^(?:generate|stream)(?:Text|Object)$"
    r"|generate_?content|\w*agent\w*(?:\(\))?\.(?:generate|stream)"
)
OWN_KEY = re.compile(
    rb"(?i)byok|(?:user|own|custom)_?(?:provider_?)?api_?key|decrypt"
)  # on the customer's own account
KINDS = frozenset(["http", "action", "worker"])
NEAR = 3  # calls from a route to the work it sells


@dataclass(frozen=True)
class Metered:
    """What the metered entries do, to compare the others with."""

    entries: set[Key]
    holders: set[Key]
    sold: dict[Key, Entry]
    made: dict[Key, Entry]
    inline: dict[str, Entry]
    names: tuple[str, ...]
    tokens: (
        Entry | None
    )  # one of those that report what a model itself says it used: whatever asks a model is sold


def find(case: Case) -> Iterator[Finding]:
    """Entries that do the work which a metered entry also does, and never reach the meter."""
    direct = _metered(case)
    if not direct.entries:
        return
    coverage = Coverage(case)
    yield from _split(case, coverage)
    before = {key for key in direct.entries if _passed(case, key)}
    standing = before | (direct.entries & coverage.meters)
    followed = coverage.tells(standing)
    if before and not followed:
        return
    covered = _covered(case, direct, coverage.metered) if standing and followed else direct
    for key, entry in sorted(case.entries.found.items()):
        if key in direct.entries | coverage.metered or entry.handler[0] or entry.kind not in KINDS:
            continue
        if ADMIN.search(f"{entry.route} {key[0]}") or "verified" in case.program.function(key).flags:
            continue  # whoever signs what he sends is no customer
        if _put_by_metered(case, entry, direct):
            continue
        if _sells(case, key, coverage.free):
            yield from _compared(case, entry, covered)
        elif not before:
            yield from _compared(case, entry, direct)


def _split(case: Case, coverage: Coverage) -> Iterator[Finding]:
    """A handler that has the meter before it at one address, and none at another."""
    for key, (metered, caller, free) in sorted(coverage.split.items()):
        route, name = address_of(free), case.program.function(key).name or "the same handler"
        if ADMIN.search(route) or ASIDE.search(route):
            continue
        place = case.place(caller, free.line)
        yield RULE.finding(
            f"{route} runs {name} without the meter that stands before it at {address_of(metered)}",
            place,
            Confidence.MEDIUM,
            case.program.function(caller).name,
            (Hop(place, route), Hop(case.place(key), f"runs {name}")),
        )


def _put_by_metered(case: Case, worker: Entry, known: Metered) -> bool:
    """Whether a job is a part of what a metered entry does: that puts it on its queue, and reports."""
    if worker.kind != "worker":
        return False
    above = known.entries | reach(case, known.entries)
    return any(one.caller in above for one in case.queues.filling(worker))


def _compared(case: Case, entry: Entry, known: Metered) -> Iterator[Finding]:
    """What an entry does of the work that is metered elsewhere."""
    reached = reach(case, {entry.key})
    if reached & known.holders:
        return
    shared = sorted(reached & known.sold.keys())
    made = sorted(reached & known.made.keys()) if not ASIDE.search(entry.route) else []
    if shared:
        yield _shared(case, entry, shared[0], known.sold[shared[0]])
    elif made:
        yield _shared(case, entry, made[0], known.made[made[0]])
    else:
        yield from [*_commented(case, entry, known)] or _same_work(case, entry, known)


def _sells(case: Case, key: Key, free: set[Key]) -> bool:
    """Whether a route that no meter stands before is for customers, and not to try things out or for one's own."""
    route = case.entries.found[key].route
    own = CRON_PATH.search(route) or STAFF.search(route) or "secret" in case.program.function(key).flags
    return key in free and not own and not ASIDE.search(route)


def _covered(case: Case, known: Metered, routes: set[Key]) -> Metered:
    """With the routes that a meter stands before, and the work they do."""
    sold, inline, costly = dict(known.sold), dict(known.inline), case.workers
    for key in sorted(routes):
        entry = case.entries.found[key]
        for work in reach(case, {key}, NEAR) & costly - known.holders - {key}:
            sold.setdefault(work, entry)
        for callee in _costly(case, {key, *case.program.contents.inside(key)} & costly):
            inline.setdefault(callee, entry)
    return replace(known, entries=known.entries | routes, sold=sold, inline=inline)


def _passed(case: Case, key: Key) -> bool:
    """Whether a meter stands where every request passes."""
    entry = case.entries.found.get(key)
    route = entry.route if entry is not None else ""
    return entry is not None and (
        entry.framework == "middleware" or route.startswith("USE") or route.endswith(".use")
    )


def _metered(case: Case) -> Metered:
    trails = [one for one in case.live if one.entry is not None and one.entry.kind in KINDS]
    entries = {one.entry.key for one in trails if one.entry is not None}
    entries |= {one.entry.handler for one in trails if one.entry is not None and one.entry.handler[0]}
    holders = {one.site.key for one in case.live}
    costly = case.workers if entries else set()
    near: dict[Key, set[Key]] = {}
    sold: dict[Key, Entry] = {}
    made: dict[Key, Entry] = {}
    inline: dict[str, Entry] = {}
    for trail in trails:
        entry = trail.entry
        if entry is None or ADMIN.search(f"{entry.route} {entry.key[0]}"):
            continue  # what stands beside a webhook's report is an answer to it, not what is sold
        for work in _beside(case, trail, near) - holders - entries:
            sold.setdefault(work, entry)
        behind = entry.handler if entry.handler[0] else entry.key
        if entry.handler[0]:
            for work in reach(case, {behind}, NEAR) & costly - holders - entries:
                sold.setdefault(work, entry)
        for callee in _costly(case, {behind, *case.program.contents.inside(behind)} & costly):
            inline.setdefault(callee, entry)
    for work, trail in products(case, trails):
        if trail.entry is not None and work not in holders | entries and not ADMIN.search(trail.entry.route):
            made.setdefault(work, trail.entry)
    on_trails = {
        case.program.function(key).name for one in trails for key, _ in one.hops if key not in entries
    }
    # on the way to it, a word for anything (`create`) is not the meter's name
    on_trails -= COMMON - {case.program.function(key).name for key in holders}
    names = tuple(sorted(name for name in on_trails if len(name) > 5))
    counting = (
        one.entry
        for one in trails
        if any(kind == MEASURED and TOKENS.search(text) for kind, text in one.quantity)
    )
    return Metered(entries, holders, sold, made, inline, names, next(counting, None))


def _beside(case: Case, trail: Trail, near: dict[Key, set[Key]]) -> set[Key]:
    """The work nearest to the report on its way up: what that report is for; `near` keeps what was found for a step."""
    own = {key for key, _ in trail.hops}
    for key, _ in trail.hops:
        if key not in near:
            near[key] = reach(case, {key}, 2) & case.workers
        found = near[key]
        if found:
            return set() if found & own - {trail.hops[-1][0]} else found
    return set()


def _costly(case: Case, keys: set[Key]) -> set[str]:
    pattern = case.work
    return {
        call.callee
        for key in keys
        for call in case.program.function(key).calls
        if pattern.search(call.callee)
    }


def _commented(case: Case, entry: Entry, known: Metered) -> Iterator[Finding]:
    """A call of the meter that somebody commented out."""
    if not known.names:
        return
    function = case.program.function(entry.key)
    call = re.compile(
        r"(?://|#|/\*)\s*(?:await\s+|return\s+)?(?:\w+\.)*("
        + "|".join(map(re.escape, known.names))
        + r")\s*\("
    )
    text = case.corpus.text(entry.key[0], function.line, function.end_line).decode("utf-8", "replace")
    for number, line in enumerate(text.split("\n"), function.line):
        hit = call.search(line)
        if hit:
            place = case.place(entry.key, number)
            yield RULE.finding(
                f"{entry.route} has its usage report commented out ({hit[1]})",
                place,
                Confidence.MEDIUM,
                function.name,
                (
                    Hop(case.place(entry.key, entry.line), entry.route),
                    Hop(place, f"{hit[1]} is commented out"),
                ),
            )
            return


def _same_work(case: Case, entry: Entry, known: Metered) -> Iterator[Finding]:
    """The same costly call, made in the route itself, that a metered route makes in itself."""
    own = {entry.key, *case.program.contents.inside(entry.key)}
    calls = _costly(case, own)
    twins = {one: known.inline[one] for one in calls & known.inline.keys()}
    if (
        known.tokens is not None
        and not twins
        and entry.kind != "worker"
        and not OWN_KEY.search(case.said(entry.key))
    ):
        twins = {one: known.tokens for one in calls if ANSWERS.search(one)}
    if not twins or _is_aside(case, entry):
        return
    first = min(twins)
    yield RULE.finding(
        f"{entry.route} calls {first} without reporting usage, while {twins[first].route} reports it",
        case.place(entry.key, entry.line),
        Confidence.MEDIUM,
        case.program.function(entry.key).name,
        (Hop(case.place(entry.key, entry.line), entry.route),),
    )


def _is_aside(case: Case, entry: Entry) -> bool:
    """Whether a way in is for the application's own services, or for what is given away."""
    return "secret" in case.program.function(entry.key).flags or ASIDE.search(entry.route) is not None


def _shared(case: Case, entry: Entry, work: Key, twin: Entry) -> Finding:
    name = case.program.function(work).name or "the same work"
    return RULE.finding(
        f"{entry.route} runs {name} without reporting usage, while {twin.route} reports it",
        case.place(entry.key, entry.line),
        Confidence.MEDIUM,
        case.program.function(entry.key).name,
        (Hop(case.place(entry.key, entry.line), entry.route), Hop(case.place(work), f"runs {name}")),
    )


RULE = Rule(
    code="unmetered_endpoint",
    title="The work can be had without the meter",
    why=(
        "When one route reports a piece of work and a sibling, a batch or a job does the same "
        "work unreported, customers "
        "find the free way."
    ),
    wrong='app.post("/generate", async () => { await generate(); await report(); });\n'
    'app.post("/batch", async () => { for (const row of rows) await generate(row); });',
    right=(
        "async function meteredGenerate(org, input) { const out = await generate(input); "
        "await report(org, 1); return out }"
    ),
    severity=Severity.HIGH,
    decides=True,
    find=find,
    remediation="Move the report next to the work itself, so that every way to the work passes the meter.",
)
