"""Codes that name why a tree passes or is skipped."""

from __future__ import annotations

from tallystick.audit.model import Severity
from tallystick.audit.rules.base import Rule, nothing

OUTCOMES = tuple(
    Rule(code, title, why, wrong, right, Severity.INFO, False, nothing)
    for code, title, why, wrong, right in (
        (
            "ok_synchronous",
            "Reported in the request",
            "The provider call is awaited in the request that does the work, with the server's own numbers.",
            "",
            "await work(); await report(org, 1); return answer",
        ),
        (
            "ok_outbox",
            "Recorded durably and sent by a worker that runs",
            "A durable record is made at the time of the action, and a queue or a frequent "
            "schedule sends it with retry.",
            "",
            "await outbox.insert(event); // drained every few minutes, unsent rows stay",
        ),
        (
            "flat_rate_only",
            "Billing without usage",
            "A payment kit is there, yet no metered price, no reporting call and no price per unit.",
            "",
            "",
        ),
        (
            "no_billing",
            "No billing",
            "No payment kit, no metered price and no reporting call were found.",
            "",
            "",
        ),
    )
)
