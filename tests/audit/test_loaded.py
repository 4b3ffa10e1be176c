# ruff: noqa: E501
"""Modules that are loaded where they are used. Twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

METER = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport async function report(customer, answer) { await stripe.billing.meterEvents.create({ event_name: 'tokens', identifier: answer.id, payload: { stripe_customer_id: customer, value: String(answer.usage.total_tokens) } }); }\n"
ROUTE = "import { auth } from '@/auth';\nexport async function POST(req: Request) {\n  const session = await auth();\n  const answer = await openai.responses.create({ input: 'x' });\n  LOADED\n  return Response.json(answer);\n}\n"
GIVEN = "(session.user.customer, answer)"
LOADED = {
    f"await (await import('@/lib/meter')).report{GIVEN};": set(),
    f"await import('@/lib/meter').then(({{ report }}) => report{GIVEN});": set(),
    f"await import('@/lib/meter').then((meter) => meter.report{GIVEN});": set(),
    f"import('@/lib/meter').then(({{ report }}) => report{GIVEN});": {"fire_and_forget"},
    f"import('@/lib/meter').then(({{ report: bill }}) => {{ bill{GIVEN}.catch(console.error); }});": {"fire_and_forget"},
    f"void import('@/lib/meter').then(async (meter) => {{ await meter.report{GIVEN}; }});": {"fire_and_forget"},
    "await (await import('@/lib/meter')).warm();": {"never_reported"},
}  # fmt: skip


@pytest.mark.parametrize("loaded", LOADED)
def test_a_module_loaded_in_place(tmp_path: Path, loaded: str) -> None:
    tree = {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18"}}',
        "lib/meter.ts": METER,
        "app/api/run/route.ts": ROUTE.replace("LOADED", loaded),
    }
    report = audited(tmp_path, tree)
    assert codes(report) - {"errors_swallowed"} == LOADED[loaded], report.findings
    assert report.verdict is (Verdict.FAIL if LOADED[loaded] else Verdict.PASS)


TAKEN = {
    "const { createUsageRecord } = stripe.subscriptionItems as unknown as Kit;": {"legacy_api_removed"},
    "const createUsageRecord = (item, row) => db.usageRecords.create({ data: { item, ...row } });": set(),
}  # of a table's own helper nothing is billed


@pytest.mark.parametrize("taken", TAKEN)
def test_a_call_that_is_taken_out_of_its_resource(tmp_path: Path, taken: str) -> None:
    meter = f"import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport async function report(item, answer) {{ {taken} await createUsageRecord(item, {{ quantity: answer.usage.total_tokens, action: 'increment' }}); }}\n"
    tree = {
        "package.json": '{"dependencies": {"next": "15", "stripe": "20"}}',
        "lib/meter.ts": meter,
        "app/api/run/route.ts": ROUTE.replace(
            "LOADED", f"await (await import('@/lib/meter')).report{GIVEN};"
        ),
    }
    report = audited(tmp_path, tree)
    assert codes(report) == TAKEN[taken]
    assert report.verdict is (Verdict.FAIL if TAKEN[taken] else Verdict.SKIP)


KIT = "import Stripe from 'stripe';\nfunction kit() { const stripe = new Stripe(process.env.KEY!); return { accountOf, deliver: (event, options) => stripe.billing.meterEvents.create(event, options) }; }\nexport async function report(customer, answer, given) {\n  const kits = given ?? kit();\n  const event = { event_name: 'tokens', identifier: answer.id, payload: { stripe_customer_id: customer, value: String(answer.usage.total_tokens) } };\n  DELIVERED\n}\n"
DELIVERED = {
    "await kits.deliver(event, { idempotencyKey: answer.id });": set(),
    "try { await kits.deliver(event, {}); } catch (e) { console.error(e); }": {"errors_swallowed"},
    "kits.deliver(event, {});": {"fire_and_forget"},
    "let rows = answer.rows; rows = rows.deliver(rows); await kits.deliver(event, rows);": set(),
}


@pytest.mark.parametrize("delivered", DELIVERED)
def test_a_function_of_the_object_that_a_factory_gives(tmp_path: Path, delivered: str) -> None:
    """What is around the call of it counts, not what is around the call of the factory."""
    tree = {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18"}}',
        "lib/meter.ts": KIT.replace("DELIVERED", delivered),
        "app/api/run/route.ts": ROUTE.replace(
            "LOADED", f"await (await import('@/lib/meter')).report{GIVEN};"
        ),
    }
    assert codes(audited(tmp_path, tree)) == DELIVERED[delivered]
