"""What no user comes to: routes that wait for a clock, by address, secret or remark; programs run by hand."""

from __future__ import annotations

import posixpath
import re

from tallystick.audit.case.case import CRON_PATH, SLOW, Case
from tallystick.audit.case.reaching import reach
from tallystick.audit.corpus.lexical import ASIDE
from tallystick.audit.entries.forms import Entry
from tallystick.audit.program.program import Key
from tallystick.audit.syntax import patterns
from tallystick.audit.trails.labels import EVENT, MEASURED, SESSION, STORED
from tallystick.audit.trails.trails import Trail

CRON = re.compile(r"(?i)(?:^|/)crons?(?:/|-|$)")
BATCH = re.compile(  # `bill-overages`, `sync-usage-to-stripe`, `usage/sweep`, `meter-flush`
    r"(?i)(?:^|/)((?:bill|invoice|report|charge|process|sync|drain|flush|aggregate|settle|reconcile|send|push|submit)[_-]?"
    r"(?:\w+[_-])?(?:usage|overages?|meters?|metering|invoices?|charges?|billing)(?:[_-](?:to[_-]\w+|events?|records?))?"
    r"|(?:\w+[_-])?(?:usage|overages?|meters?|metering)[/_-](?:\w+[_-])?"
    r"(?:report(?:er|ing)?|sync|drain|flush|sweep|rollup|reconcile|push|submit))(?:[/.]|$)"
)
OFFICE = re.compile(  # `admin/accounts/:id/invoice`: whoever works for the seller asks for it
    r"(?i)(?:^|/)(?:sys-?)?(?:admin|back-?office|operator|internal|staff)/(?:[^/]+/)*"
    r"(?:\w+[_-])?(?:invoice|bill|charge|settle)s?(?:[_-]usage)?/?$"
)
HOOK = re.compile(r"(?i)hook")
PARAMETER = re.compile(r"[\[:{<]")
WHO_CALLS = re.compile(
    patterns.SESSION.pattern
    + rb"|(?i:\bsession\b|api_?key|require_?user|req(?:uest)?\.user|with(?:auth|session|workspace|user|org|team)\w*\()"
)
CLOCKS_SECRET = re.compile(  # a secret that only a clock is given
    rb"(?:(?<![A-Za-z])(?i:cron)|Cron)_?(?i:(?:job_?)?(?:secret|(?:api_?)?key|token|auth))|(?i:vercel-cron|x-appengine-cron)"
    rb"|\b(?i:auth|verify|require|is|assert|check|valid|guard|with)\w{0,20}(?:_cron|Cron)(?:_?(?i:request|secret|job|call)\w*)?\("
)
WHOLE_FILE = frozenset(["next-app", "next-pages", "supabase-edge", "vercel", "netlify", "sveltekit"])
HEADER, ABOVE = 40, 12  # lines in which a route's own remark stands: at the head of its file, or above it
BY_CLOCK = re.compile(
    rb"(?im)^[ \t]*(?:\*|/\*|//|#|\"\"\")[^\n]*"
    rb"\b(?:crons?|cronjobs?|pg_cron|scheduler|(?:daily|hourly|nightly|weekly|monthly) schedule"
    rb"|(?:runs?|called|invoked|triggered|executed|scheduled) (?:\w+ )?"
    rb"(?:daily|hourly|nightly|every|on a schedule|by a schedule))\b"
)
ASKED = re.compile(  # what a request brings, and who sent it
    rb"\b(?:req|request|event|ctx|c)\.(?:body|query|params|nextUrl|url|json|formData|text|arrayBuffer)\b|searchParams"
    rb"|getUser\("
)


def waits_for_a_clock(case: Case, trail: Trail, entry: Entry) -> bool:
    """Whether a route is for a clock; jobs and schedules may also be what the users come for."""
    path = entry.route.partition(" ")[2] or entry.key[0]
    if CRON_PATH.search(path) is None:
        return (
            _asks_a_clock(case, trail, entry, path)
            or _goes_over_all(case, trail, entry, path)
            or _is_the_offices(case, trail, entry, path)
        )
    if CRON.search(path):
        return True
    if PARAMETER.search(path):
        return False  # `/jobs/[id]/invoice`: of one job, as somebody asks
    return case.guarded(trail) or not _asks_who(case, trail, entry)


def by_hand(case: Case, trail: Trail) -> bool:
    """Whether it is a program that somebody runs now and then, to check or to make up, beside what reports at once."""
    entry = trail.entry
    if entry is None or (entry.kind, entry.framework) != ("schedule", "script") or entry.seconds is not None:
        return False
    return any(not one.site.stored and not _seldom(one) for one in case.live)


def _seldom(trail: Trail) -> bool:
    entry = trail.entry
    return (
        entry is None
        or entry.kind == "script"
        or (entry.kind == "schedule" and (entry.seconds or SLOW) >= SLOW)
    )


def _asks_who(case: Case, trail: Trail, entry: Entry) -> bool:
    """Whether a route asks which of the users is calling."""
    return any(kind == SESSION for kind, _ in trail.customer) or case.once(_names_users, entry.key)


def _names_users(case: Case, key: Key) -> bool:
    return WHO_CALLS.search(case.said(key)) is not None


def _asks_a_clock(case: Case, trail: Trail, entry: Entry, path: str) -> bool:
    """Whether a route asks for the secret that a clock is given, itself or by a function it calls."""
    if PARAMETER.search(path) or HOOK.search(path) or not case.once(_has_clocks_secret, entry.key):
        return False
    return not _asks_who(case, trail, entry) and not _called_by_another(case, entry, path.strip("/"))


def _has_clocks_secret(case: Case, key: Key) -> bool:
    asked = dict.fromkeys([key, *(to for to, _ in case.program.callees.get(key, ()))])
    return any(CLOCKS_SECRET.search(case.said(one)) for one in asked if one[1])


def _goes_over_all(case: Case, trail: Trail, entry: Entry, path: str) -> bool:
    """Whether a route bills whoever used something: told of nobody, called by nobody, and meant for a clock."""
    named = BATCH.search(path)
    counted = named is not None and _was_counted(case, trail, entry)
    meant = named is not None and (counted or case.guarded(trail))
    meant = meant or (_speaks_of_clock(case, entry) and not case.once(_reads_request, entry.key))
    if HOOK.search(path) or not meant:
        return False
    said = trail.quantity | trail.customer
    told = (EVENT,) if counted else (EVENT, SESSION)  # what was counted of oneself may be sent for oneself
    if case.client_parts(said, entry) or any(kind in told for kind, _ in said):
        return False
    last = named[1] if named else posixpath.basename(re.sub(r"/(?:index|route)\.\w+$", "", path))
    return not _called_by_another(case, entry, last)


def _was_counted(case: Case, trail: Trail, entry: Entry) -> bool:
    """Whether what is sent was counted before: it is read from a row, or measured and nothing is done that is sold."""
    kinds = {kind for kind, _ in trail.quantity}
    return STORED in kinds or (MEASURED in kinds and not reach(case, {entry.key}) & case.workers)


def _is_the_offices(case: Case, trail: Trail, entry: Entry, path: str) -> bool:
    """Whether the seller's own people ask for the bill of what was counted, whenever they think of it."""
    said = trail.quantity | trail.customer
    return OFFICE.search(path) is not None and not case.client_parts(said, entry)


def _reads_request(case: Case, key: Key) -> bool:
    return ASKED.search(case.said(key)) is not None


def _speaks_of_clock(case: Case, entry: Entry) -> bool:
    """Whether the route's own remark says that a clock calls it."""
    whole = entry.framework in WHOLE_FILE
    first, last = (1, HEADER) if whole else (entry.line - ABOVE, entry.line)
    return BY_CLOCK.search(case.corpus.text(entry.key[0], first, last)) is not None


def _called_by_another(case: Case, entry: Entry, name: str) -> bool:
    """Whether other code of the application, or a trigger of its database, has the end of this address."""
    address = re.compile(rb"[/\"'`]" + re.escape(name).encode() + rb"[\"'`?]")
    if any(one != entry.key[0] and not ASIDE.search(one) for one in case.corpus.grep(address)):
        return True
    return any(path.endswith(".sql") and address.search(data) for path, data in case.corpus.support.items())
