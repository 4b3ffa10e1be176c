"""Neighbouring checks that stay out of the verdict: webhooks without a signature, prices from the client."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.model import Confidence, Finding, Place, Severity
from tallystick.audit.rules.base import Rule
from tallystick.audit.rules.habits import HABITS
from tallystick.audit.syntax.patterns import VERIFIED

EVENT = re.compile(
    rb"""["'](?:customer\.subscription\.\w+|invoice\.(?:paid|payment_\w+)|checkout\.session\.\w+)["']"""
)
WEBHOOK = re.compile(r"(?i)webhook")
PRICE = re.compile(
    rb"""\b(?:unit_amount|unitAmount|price)["']?\s*[:=]\s*(?:req(?:uest)?\.body|body|input|data)\.\w*[pP]rice\w*"""
)


def unverified(case: Case) -> Iterator[Finding]:
    """Files that act on payment events and check no signature."""
    for path, line, _ in case.corpus.live_hits(
        EVENT, 200, (b"customer.subscription", b"invoice.", b"checkout.session")
    ):
        if WEBHOOK.search(path) and not VERIFIED.search(case.corpus.sources[path]):
            yield WEBHOOK_RULE.finding(
                "payment events are acted on here and no signature check is in sight; anyone can post one",
                Place(path, line),
                Confidence.MEDIUM,
            )


def priced(case: Case) -> Iterator[Finding]:
    """Checkout prices read from the request."""
    for path, line, _ in case.corpus.live_hits(PRICE, 200, (b"rice",)):
        yield PRICE_RULE.finding(
            "the price of this checkout comes from the request; the buyer can name another one",
            Place(path, line),
            Confidence.MEDIUM,
        )


WEBHOOK_RULE = Rule(
    code="webhook_unverified",
    title="A payment webhook without a signature check",
    why="The address of a webhook is no secret. Without the signature, anyone can post an event that grants a plan.",
    wrong="const event = await req.json();\nif (event.type === 'invoice.paid') await grant(event.data.object);",
    right="const event = stripe.webhooks.constructEvent(await req.text(), signature, secret);",
    severity=Severity.HIGH,
    decides=False,
    find=unverified,
    remediation="Read the raw body and verify the provider's signature before anything else.",
)
PRICE_RULE = Rule(
    code="client_set_price",
    title="The client sets the price",
    why="An amount or price id from the request lets the buyer choose what to pay.",
    wrong="await stripe.checkout.sessions.create({ line_items: [{ price: body.priceId, quantity: 1 }] });",
    right="const price = PRICES[plan]; // a table on the server; unknown plans are refused",
    severity=Severity.HIGH,
    decides=False,
    find=priced,
    remediation="Map a plan name to a price id on the server and refuse anything else.",
)
NEIGHBOURS = (PRICE_RULE, WEBHOOK_RULE, *HABITS)
