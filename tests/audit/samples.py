"""Outcomes to render: a fail with everything, a pass, a skip, and one whose every text is hostile."""

from __future__ import annotations

from tallystick.audit.config import Settings
from tallystick.audit.model import (
    Confidence,
    Coverage,
    Endpoint,
    Finding,
    Hop,
    Place,
    Profile,
    Report,
    Severity,
    Verdict,
)
from tallystick.audit.outcome import Outcome

CHAT = Place("app/api/chat/route.ts", 22, 9, 22, 48)
METER = Place("src/lib/usage.ts", 8, 3, 12, 4)
NASTY = 'a\n::error::x\x1b[31m<script>alert(1)</script>`|*[x](javascript:1)\u202e%0A,:"\udcff]]>'

FORGED = Finding(
    code="client_supplied_quantity",
    message="The quantity that is billed comes from the request body, so a customer chooses their own bill.",
    place=CHAT,
    severity=Severity.HIGH,
    confidence=Confidence.HIGH,
    function="POST",
    hops=(
        Hop(Place("app/api/chat/route.ts", 14, 9), "the request body enters"),
        Hop(CHAT, "tokens is passed on unchanged"),
        Hop(METER, "and becomes the value of stripe.billing.meterEvents.create"),
    ),
    remediation="Take the token count from the model's answer (answer.usage.total_tokens), not from body.tokens.",
    fingerprint="0" * 32,
)
SWALLOWED = Finding(
    code="errors_swallowed",
    message="When the meter event fails, the error is logged and the usage is gone.",
    place=METER,
    severity=Severity.HIGH,
    confidence=Confidence.MEDIUM,
    function="recordUsage",
    remediation="Let the error surface, or keep a row that a scheduled worker sends again.",
    fingerprint="1" * 32,
)
REVIEW = Finding(
    code="no_idempotency",
    message="The event has no identifier: a retry counts twice.",
    place=Place("src/lib/usage.ts", 9, 5),
    severity=Severity.MEDIUM,
    confidence=Confidence.LOW,
    decides=False,
    function="recordUsage",
    fingerprint="2" * 32,
)
WEBHOOK = Finding(
    code="webhook_unsigned",
    message="The webhook's body is parsed before its signature is checked.",
    place=Place("app/api/webhook/route.ts", 5),
    severity=Severity.MEDIUM,
    confidence=Confidence.HIGH,
    decides=False,
    fingerprint="3" * 32,
)
ENDPOINTS = (
    Endpoint("POST /api/transcribe", Place("app/api/transcribe/route.ts", 11), True, "sync-reported"),
    Endpoint("POST /api/chat", Place("app/api/chat/route.ts", 12), True, "sync-durable"),
    Endpoint("POST /api/chat/batch", Place("app/api/chat/batch/route.ts", 9), False),
)
EXCERPTS = {
    (CHAT.path, CHAT.line): "await recordUsage(org.stripeCustomerId, body.tokens);",
    (METER.path, METER.line): "} catch (error) {",
}


def failing() -> Outcome:
    """A fail with every part filled in."""
    report = Report(
        verdict=Verdict.FAIL,
        profile=Profile.DURABLE,
        detail="A customer can choose the quantity on their own bill, and POST /api/chat/batch is not metered at all.",
        findings=(FORGED, SWALLOWED, REVIEW),
        endpoints=ENDPOINTS,
        coverage=Coverage(
            files=412,
            parsed=131,
            routes=37,
            unread=(("app/generated/data.ts", "larger than 2 MB (3.4 MB)"),),
            with_errors=("src/lib/sql.ts",),
            unresolved_imports=3,
        ),
        providers=("stripe",),
        stack=("next", "prisma"),
        remediation="Count on the server: take tokens from the model's answer, and await the meter event.",
        neighbours=(WEBHOOK,),
        suppressed=((REVIEW, "the provider ignores repeats within a day"),),
    )
    left_out = (("generated", 3), ("vendored", 12))
    return Outcome(title="acme-app", report=report, settings=Settings(), excerpts=EXCERPTS, left_out=left_out)


def passing() -> Outcome:
    """A pass: the counts are quoted all the same."""
    report = Report(
        verdict=Verdict.PASS,
        profile=Profile.STRICT,
        detail="Both metered endpoints record on the server and await the provider before they answer.",
        findings=(),
        endpoints=ENDPOINTS[:2],
        coverage=Coverage(files=80, parsed=22, routes=9),
        providers=("stripe",),
        stack=("fastapi",),
    )
    return Outcome(title="acme-api", report=report, settings=Settings(profile=Profile.STRICT))


def skipping() -> Outcome:
    """A skip, with its signal."""
    report = Report(
        verdict=Verdict.SKIP,
        profile=Profile.DURABLE,
        detail="A flat subscription: one licensed price, quantity 1.",
        findings=(),
        endpoints=(),
        coverage=Coverage(files=1, parsed=1, routes=1),
        signals=(Hop(Place("lib/stripe.ts", 32), "one licensed price, quantity 1"),),
    )
    return Outcome(title="starter", report=report, settings=Settings())


def hostile() -> Outcome:
    """Every text an attacker of the audited tree could choose."""
    place = Place(NASTY, 1, 1, 1, 5)
    finding = Finding(
        code="client_supplied_quantity",
        message=NASTY,
        place=place,
        severity=Severity.HIGH,
        confidence=Confidence.HIGH,
        function=NASTY,
        hops=(Hop(place, NASTY),),
        remediation=NASTY,
        fingerprint="4" * 32,
    )
    report = Report(
        verdict=Verdict.FAIL,
        profile=Profile.DURABLE,
        detail=NASTY,
        findings=(finding,),
        endpoints=(Endpoint(NASTY, place, False, "", (Hop(place, NASTY),)),),
        coverage=Coverage(files=1, parsed=1, routes=1, unread=((NASTY, NASTY),), with_errors=(NASTY,)),
        stack=(NASTY,),
        signals=(Hop(place, NASTY),),
        remediation=NASTY,
        neighbours=(finding,),
        suppressed=((finding, NASTY),),
    )
    return Outcome(title=NASTY, report=report, settings=Settings(), excerpts={(NASTY, 1): NASTY}, since=NASTY)
