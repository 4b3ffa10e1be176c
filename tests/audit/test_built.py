# ruff: noqa: E501
"""Events that a function of the tree puts together, and that go out in a list: whose number, whose customer, which identifier."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited

KIT = '{"dependencies": {"orb-billing": "^4", "express": "4"}}'
APP = """import Orb from 'orb-billing';
import express from 'express';
import { eventOf } from './event';
const orb = new Orb({ apiKey: process.env.KEY });
const app = express();
app.post('/run', requireUser, async (req, res) => {
  const answer = await openai.chat.completions.create({ messages: req.body.messages });
  SENT
  res.json(answer);
});
"""
SENT = {
    "in place": "await orb.events.ingest({ events: [eventOf(CUSTOMER, USAGE)] });",
    "by a name": "const event = eventOf(CUSTOMER, USAGE);\n  await orb.events.ingest({ events: [event] });",
    "by two names": "const event = eventOf(CUSTOMER, USAGE);\n  const payload = { events: [event] };\n  await orb.events.ingest(payload);",
}
WHOLE = "{ event_name: 'tokens', IDENTIFIED external_customer_id: customer, timestamp: new Date(), properties: { tokens: usage.total_tokens } }"
EVENTS = {
    "at once": f"export function eventOf(customer: string, usage: Usage) {{\n  return {WHOLE};\n}}\n",
    "by a name": f"export function eventOf(customer: string, usage: Usage) {{\n  const event = {WHOLE};\n  return event;\n}}\n",
    "in pieces": "export function eventOf(customer: string, usage: Usage) {\n  const properties = { tokens: usage.total_tokens };\n  return { event_name: 'tokens', IDENTIFIED external_customer_id: customer, timestamp: new Date(), properties };\n}\n",
}
IDENTIFIED = "idempotency_key: crypto.randomUUID(),"
RIGHT = ("req.user.customer", "answer.usage", IDENTIFIED)


def tree(sent: str, event: str, customer: str, usage: str, identified: str) -> dict[str, str]:
    told = sent.replace("CUSTOMER", customer).replace("USAGE", usage)
    return {
        "package.json": KIT,
        "app.ts": APP.replace("SENT", told),
        "event.ts": event.replace("IDENTIFIED", identified),
    }


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("sent", SENT)
@pytest.mark.parametrize(
    ("customer", "usage", "identified", "wanted"),
    [
        (*RIGHT, set()),
        ("req.user.customer", "req.body.usage", IDENTIFIED, {"client_supplied_quantity"}),
        ("req.body.customer", "answer.usage", IDENTIFIED, {"client_supplied_customer"}),
    ],
)
def test_what_goes_into_an_event_is_seen_through_the_function_that_makes_it(
    tmp_path: Path, event: str, sent: str, customer: str, usage: str, identified: str, wanted: set[str]
) -> None:
    report = audited(tmp_path, tree(SENT[sent], EVENTS[event], customer, usage, identified))
    assert {one.code for one in report.findings} == wanted


def test_an_event_without_an_identifier(tmp_path: Path) -> None:
    report = audited(tmp_path, tree(SENT["in place"], EVENTS["at once"], *RIGHT[:2], ""))
    assert {one.code for one in report.findings} == {"no_idempotency"}
