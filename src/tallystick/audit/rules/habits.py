"""More neighbouring checks that stay out of the verdict: habits that cost money sooner or later.

Each looks for a shape in the sources and for what would excuse it; none follows data, so none is more
than likely.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.model import Confidence, Finding, Place, Severity
from tallystick.audit.rules.base import Rule
from tallystick.audit.syntax.searches import finite

WEBHOOK = re.compile(r"(?i)webhook")
EVENT = re.compile(
    rb"""["'](?:customer\.subscription\.\w+|invoice\.(?:paid|payment_\w+)|checkout\.session\.\w+)["']"""
)
ONCE = re.compile(
    rb"(?i)event\.id\b|event\[[\"']id[\"']\]|event_id|eventId|processed_?events|already_?processed|idempoten"
)
LIMIT = finite(
    rb"(?i)(?:usage|used|credits|quota|remaining|generations)\w*\s*(?:>=|<=|>|<)\s*[\w.]*(?:limit|max|quota|allowed|0\b)"
)
COUNTED = (b"usage", b"used", b"credits", b"quota", b"remaining", b"generations")
EVENTS = (b"customer.subscription", b"invoice.", b"checkout.session")
BROWSER = re.compile(rb"""^\s*["']use client["']|localStorage|useState\(""", re.M)
ACT_AFTER = finite(
    rb"(?is)\bif\s*\(?[^\n]{0,60}(?:usage|used|count|credits|quota)\w*[^\n]{0,30}(?:>=|<|>|<=)[^\n]{0,80}\n"
    rb"(?:[^\n]*\n){0,25}?[^\n]*(?:\.update\(|\.increment\(|\.save\(\)|\.upsert\(|update\s+\w+\s+set)"
)
WRITES = (b"update", b".increment(", b".save()", b".upsert(")
ATOMIC = finite(
    rb"(?i)\$transaction|transaction\(|select_for_update|for update|with_for_update|atomic|\bLOCK\b|where[^\n]*(?:lt|lte|<)"
)
FLOAT = finite(
    rb"(?i)(?:quantity|usage|units|tokens|minutes|gigabytes)\w*\s*[:=]\s*(?:await\s+)?(?:parseFloat|float)\("
)
CANCEL = re.compile(
    rb"(?i)(?:subscriptions?\.(?:cancel|del|delete)|Subscription\.(?:delete|cancel))\s*\((?:[^()]|\([^()]*\)){0,300}\)"
)
METER = re.compile(rb"(?i)meter_?events?\b")
METER_ERRORS = re.compile(rb"meter\.error_report_triggered|meter\.no_meter_found")


def _twice(case: Case) -> Iterator[Finding]:
    for path, line, _ in case.corpus.live_hits(EVENT, 200, EVENTS):
        if WEBHOOK.search(path) and not ONCE.search(case.corpus.sources[path]):
            yield WEBHOOK_TWICE.finding(
                "payment events are acted on here and nothing remembers which were handled; the provider sends some twice",
                Place(path, line),
                Confidence.MEDIUM,
            )


def _browser_limit(case: Case) -> Iterator[Finding]:
    sources = case.corpus.sources
    hits = case.corpus.live_hits(LIMIT, 200, COUNTED)
    if not all(BROWSER.search(sources[path]) for path, _, _ in hits):
        return  # the server looks as well
    for path, line, _ in hits:
        yield CLIENT_LIMIT.finding(
            "a plan's limit is checked in the browser and nowhere on the server; calling the server directly passes it",
            Place(path, line),
            Confidence.LOW,
        )


def _check_then_act(case: Case) -> Iterator[Finding]:
    front = case.corpus.front
    counting = {path: front[path] for path in case.corpus.holding((*COUNTED, b"count")) if path in front}
    for path, line, hit in case.corpus.live_hits(ACT_AFTER, 200, WRITES, counting):
        data = case.corpus.sources[path]
        if not BROWSER.search(data) and not ATOMIC.search(hit):
            yield CHECK_THEN_ACT.finding(
                "a quota is read, compared and written in three steps; requests at the same moment all pass",
                Place(path, line),
                Confidence.LOW,
            )


def _float(case: Case) -> Iterator[Finding]:
    for path, line, _ in case.corpus.live_hits(FLOAT, 200, (b"parseFloat(", b"float(")):
        yield FLOAT_QUANTITY.finding(
            "a billed quantity is a floating-point number; sums of it depend on their order",
            Place(path, line),
            Confidence.MEDIUM,
        )


def _unstamped(case: Case) -> Iterator[Finding]:
    seen: set[Place] = set()
    for trail in case.trails:
        place = case.at(trail)
        late = trail.deferred[1] or (trail.entry is not None and trail.entry.kind in ("schedule", "worker"))
        if late and not trail.site.stamped and place not in seen:
            seen.add(place)
            yield NO_TIMESTAMP.finding(
                "this report is sent later and says not when the usage happened; what crosses a period's end is billed in "
                "the next one, or never",
                place,
                Confidence.MEDIUM,
                case.name(trail),
            )


def _cancelled(case: Case) -> Iterator[Finding]:
    if not (case.metered or case.trails):
        return
    for path, line, hit in case.corpus.live_hits(CANCEL, 200, (b"ubscription",)):
        if b"invoice_now" not in hit and b"invoiceNow" not in hit:
            yield CANCEL_DROPS.finding(
                "cancelling at once without invoice_now drops the metered usage that is not invoiced yet",
                Place(path, line),
                Confidence.MEDIUM,
            )


def _deaf(case: Case) -> Iterator[Finding]:
    events = [trail for trail in case.trails if trail.site.sink.provider == "stripe-meters"]
    if events and not any(METER_ERRORS.search(data) for data in case.corpus.sources.values()):
        yield DEAF.finding(
            "meter events are sent and nothing listens for Stripe's error reports; an event refused after it was accepted "
            "is never noticed",
            case.at(events[0]),
            Confidence.MEDIUM,
        )


def _rule(
    code: str,
    title: str,
    why: str,
    wrong: str,
    right: str,
    remediation: str,
    find: Callable[[Case], Iterator[Finding]],
    severity: Severity = Severity.MEDIUM,
) -> Rule:
    return Rule(code, title, why, wrong, right, severity, False, find, remediation)


WEBHOOK_TWICE = _rule(
    "webhook_not_idempotent",
    "A payment webhook that may act twice",
    "Providers deliver events at least once and in any order; without a memory of handled events one payment grants two plans.",
    "if (event.type === 'invoice.paid') await addCredits(customer, 100);",
    "await db.handledEvents.create({ data: { id: event.id } }); // unique: a repeat stops here\nawait addCredits(customer, 100);",
    "Store the event's id under a unique key in the transaction of its effect.",
    _twice,
)
CLIENT_LIMIT = _rule(
    "client_only_limit",
    "A plan's limit that only the browser checks",
    "Whoever calls the server without your page has no limit.",
    "'use client';\nif (usage >= limit) return <Upgrade />;",
    "// on the server, before the work\nif ((await usageOf(org)) >= plan.limit) throw new PaymentRequired();",
    "Check the limit on the server, in the handler that does the work.",
    _browser_limit,
)
CHECK_THEN_ACT = _rule(
    "check_then_act_quota",
    "A quota that is checked, then spent",
    "Between the check and the write other requests pass the same check; with enough of them at once any limit is overrun.",
    "if (user.used < user.quota) {\n  await run();\n  await db.user.update({ data: { used: user.used + 1 } });\n}",
    "const { count } = await db.user.updateMany({ where: { id, used: { lt: quota } }, data: { used: { increment: 1 } } });\nif (!count) throw new QuotaExceeded();",
    "Reserve with one conditional update, and give back what the work did not use.",
    _check_then_act,
)
FLOAT_QUANTITY = _rule(
    "float_quantity",
    "A billed quantity as a float",
    "0.35 + 0.35 + 0.30 is not 1 in floating point; the invoice and the recomputation differ.",
    "quantity = float(minutes)",
    "quantity = Decimal(minutes)  # or whole seconds as an int",
    "Use integers of the smallest unit, or decimals.",
    _float,
)
NO_TIMESTAMP = _rule(
    "missing_timestamp",
    "A late report without a timestamp",
    "Without one the provider takes the moment of arrival, so usage moves into the next period.",
    "await stripe.billing.meterEvents.create({ event_name, payload, identifier }); // in a nightly job",
    "await stripe.billing.meterEvents.create({ event_name, payload, identifier, timestamp: row.usedAt });",
    "Send the instant at which the usage happened.",
    _unstamped,
)
CANCEL_DROPS = _rule(
    "cancel_drops_usage",
    "Cancelling drops unbilled usage",
    "An immediate cancellation makes no last invoice unless it is asked for.",
    "await stripe.subscriptions.cancel(id);",
    "await stripe.subscriptions.cancel(id, { invoice_now: true });",
    "Pass invoice_now, or cancel at the period's end.",
    _cancelled,
)
DEAF = _rule(
    "meter_errors_unheard",
    "Nobody listens for meter errors",
    "Stripe accepts a meter event first and may refuse it afterwards; only an event destination hears of it.",
    "// no handler for v1.billing.meter.error_report_triggered",
    "if (event.type === 'v1.billing.meter.error_report_triggered') await alarm(await client.v2.core.events.retrieve(event.id));",
    "Add an event destination for v1.billing.meter.error_report_triggered and v1.billing.meter.no_meter_found.",
    _deaf,
)
HABITS = (CANCEL_DROPS, CHECK_THEN_ACT, CLIENT_LIMIT, DEAF, FLOAT_QUANTITY, NO_TIMESTAMP, WEBHOOK_TWICE)
