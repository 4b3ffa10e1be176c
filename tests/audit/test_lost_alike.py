# ruff: noqa: E501
"""A clock that loses its own reports in the same place sends nothing that was lost there; and routes nobody calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
SEND = "stripe.billing.meterEvents.create({ event_name: 'x', identifier: id, payload: { stripe_customer_id: customer, value: String(n) } })"
PACKAGE = {
    "package.json": '{"dependencies": {"stripe": "18.0.0", "next": "15.0.0"}}',
    "vercel.json": '{"crons": [{"path": "/api/cron/run", "schedule": "*/5 * * * *"}]}',
}
WORK = "import { report } from './meter';\nexport async function work(customer: string, id: string) { const out = await engine.run(id); await report(customer, out.n, id); return out; }\n"
ROUTE = "import { work } from '../../../lib/work';\nexport async function POST(req: Request) { const user = await auth(); return Response.json(await work(user.customer, user.job)); }\n"
CRON = "import { work } from '../../../../lib/work';\nexport async function GET(req: Request) { if (req.headers.get('authorization') !== `Bearer ${process.env.CRON_SECRET}`) return new Response('', { status: 401 }); const due = await db.agents.findMany({ where: { next: { lte: new Date() } } }); for (const one of due) await work(one.customer, one.id); return Response.json({}); }\n"
LOST = {
    "left alone": f"export async function report(customer, n, id) {{ send(customer, n, id).catch((e) => console.error(e)); }}\nasync function send(customer, n, id) {{ await {SEND}; }}\n",
    "caught": f"export async function report(customer, n, id) {{ try {{ await {SEND}; }} catch (e) {{ console.error(e); }} }}\n",
}


@pytest.mark.parametrize("how", LOST)
def test_a_clock_that_does_the_same_work(tmp_path: Path, how: str) -> None:
    """It looks up what is due, and that is work; of what requests have lost it knows nothing."""
    tree: Tree = PACKAGE | {
        "lib/meter.ts": HEAD + LOST[how],
        "lib/work.ts": WORK,
        "app/api/run/route.ts": ROUTE,
        "app/api/cron/run/route.ts": CRON,
    }
    wanted = {"fire_and_forget", "errors_swallowed"} if how == "left alone" else {"errors_swallowed"}
    assert codes(audited(tmp_path, tree)) == wanted


REPORT = """import stripe
from flask import Flask, jsonify
app = Flask(__name__)

@app.route("/scan", methods=["POST"])
def scan():
    who = current_user()
    out = engine.scan(who.tenant)
    db.session.add(Scan(tenant=who.tenant))
    db.session.commit()
    return jsonify(out)

@app.route("/ADDRESS", methods=["POST"])
def report():
    who = current_user()
    n = supabase.table("scans").select("id", count="exact").eq("tenant", who.tenant).execute().count
    stripe.SubscriptionItem.create_usage_record(who.item, quantity=n, timestamp="now", idempotency_key=who.period)
    return jsonify({"n": n})
"""


@pytest.mark.parametrize(
    ("address", "wanted"),
    [("api/report-usage/", {"scheduled_reporting"}), ("api/scan-again/", set())],
)
def test_a_route_that_sends_what_was_counted_and_nobody_calls(
    tmp_path: Path, address: str, wanted: set[str]
) -> None:
    tree = {
        "app.py": REPORT.replace("ADDRESS", address),
        "requirements.txt": "stripe==7.0.0\nflask\n",
    }
    assert codes(audited(tmp_path, tree)) == wanted


PAID = """from fastapi import Depends, FastAPI
from paid import Paid, Signal
client = Paid(token="t")
app = FastAPI()

@app.post("/ask")
def ask(user=Depends(current_user)):
    out = llm.run(user)
    FATE
    return out
"""
FATES = {
    "client.usage.record_bulk(signals=[Signal(event_name='asked', customer_id=user.customer, idempotency_key=out.id)])": set(),
    "try:\n        client.signals.create_signals(signals=[Signal(event_name='asked', customer_id=user.customer, idempotency_key=out.id)])\n    except Exception as problem:\n        log.warning(problem)": {
        "errors_swallowed"
    },
}


@pytest.mark.parametrize("fate", FATES)
def test_paid_is_told_by_signals(tmp_path: Path, fate: str) -> None:
    assert codes(audited(tmp_path, {"app.py": PAID.replace("FATE", fate)})) == FATES[fate]
