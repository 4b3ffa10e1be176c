# ruff: noqa: E501
"""A clock that counts its own work makes no failed report good; a script with a customer written out bills nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

HEAD = "const stripe = require('stripe')(process.env.KEY);\n"
METER = "async function NAME(customer, value) {\n  BODY\n}\n"
SENT = "await stripe.billing.meterEvents.create({ event_name: 'runs', identifier: key(), payload: { stripe_customer_id: customer, value } });"
ASKED = "app.post('/run', requireUser, async (req, res) => {\n  const out = await llm(req.body.prompt);\n  await count(req.user.customer, out.tokens);\n  res.json(out);\n});\n"
OWN = "async function tick() {\n  await rebuild();\n  await tell(process.env.HOUSE, '1');\n}\ncron.schedule('*/30 * * * *', tick);\n"
ROWS = "async function tick() {\n  for (const row of await prisma.usage.findMany({ where: { sentAt: null } })) {\n    await tell(row.customer, row.tokens);\n  }\n}\ncron.schedule('*/30 * * * *', tick);\n"


@pytest.mark.parametrize(("clock", "wanted"), [(OWN, {"errors_swallowed"}), (ROWS, set())])
def test_a_clock_with_work_of_its_own(tmp_path: Path, clock: str, wanted: set[str]) -> None:
    caught = f"try {{ {SENT} }} catch (e) {{ console.error(e); }}"
    own = SENT.replace("customer, value", "'cus_house', value: '1'") if clock is OWN else SENT
    text = (
        HEAD
        + METER.replace("NAME", "count").replace("BODY", caught)
        + METER.replace("NAME", "tell").replace("BODY", own)
    )
    assert codes(audited(tmp_path, {"server.js": text + ASKED + clock})) == wanted


TRIED = "import { Polar } from '@polar-sh/sdk';\nconst polar = new Polar({ accessToken: process.env.TOKEN });\nasync function ingest(id, units) {\n  await polar.events.ingest({ events: [{ name: 'time', externalCustomerId: id, metadata: { units } }] });\n}\nasync function main() {\n  GIVEN\n}\nmain().catch(console.error);\n"


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ("await ingest('cus_123', 5);", "skip"),
        ("for (const one of await db.customer.findMany()) await ingest(one.id, one.used);", "fail"),
    ],
)
def test_a_script_with_its_customer_written_out(tmp_path: Path, given: str, verdict: str) -> None:
    files = {
        "package.json": '{"dependencies": {"@polar-sh/sdk": "1"}}',
        "src/polar.ts": TRIED.replace("GIVEN", given),
    }
    assert audited(tmp_path, files).verdict == verdict
