"""Checks beside the verdict: they speak, and decide nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import NEXT, audited

from tallystick.audit.model import Verdict

HOOK = "src/app/api/webhook/route.ts"
ACT = "  if (event.type === 'invoice.paid') await grant(event.data.object);\n  return Response.json({});\n}\n"


def test_an_unsigned_webhook_and_a_price_from_the_client(tmp_path: Path) -> None:
    """Both named, and the verdict stays."""
    open_hook = "export async function POST(req: Request) {\n  const event = await req.json();\n" + ACT
    signed = open_hook.replace("await req.json()", "stripe.webhooks.constructEvent(await req.text(), s, k)")
    price = "export const pay = (body) => stripe.checkout.sessions.create({ price: body.priceId });\n"
    wrong = audited(tmp_path / "wrong", {**NEXT, HOOK: open_hook, "src/pay.ts": price})
    right = audited(tmp_path / "right", {**NEXT, HOOK: signed})
    named = {"webhook_unverified", "client_set_price"}
    assert named <= {one.code for one in wrong.neighbours}
    assert not named & {one.code for one in right.neighbours}
    assert (wrong.verdict, right.verdict) == (Verdict.PASS, Verdict.PASS)


LATER = """import { report } from "@/lib/meter";
export async function GET() { await report("cus", 5, "id"); return Response.json({}); }
"""
CRON = {
    "vercel.json": '{"crons": [{"path": "/api/cron/report", "schedule": "*/30 * * * *"}]}',
    "src/app/api/cron/report/route.ts": LATER,
}
STAMPED = {
    "src/lib/meter.ts": NEXT["src/lib/meter.ts"].replace(
        "event_name", "timestamp: Date.parse(id), event_name"
    )
}


@pytest.mark.parametrize(
    ("code", "wrong", "right"),
    [
        (
            "webhook_not_idempotent",
            {HOOK: "export async function POST(req) {\n  const event = verified(req);\n" + ACT},
            {
                HOOK: "export async function POST(req) {\n  const event = verified(req);\n  await once(event.id);\n"
                + ACT
            },
        ),
        (
            "client_only_limit",
            {
                "src/app/page.tsx": "'use client';\nexport const P = () => { if (usage >= limit) return stop(); };\n"
            },
            {
                "src/app/page.tsx": "'use client';\nexport const P = () => { if (usage >= limit) return stop(); };\n",
                "src/lib/plan.ts": "export function check(usage, plan) { if (usage >= plan.limit) stop(); }\n",
            },
        ),
        (
            "check_then_act_quota",
            {
                "src/lib/q.ts": "if (user.used < user.quota) {\n  await run();\n  await db.user.update({ used: 1 });\n}\n"
            },
            {
                "src/lib/q.ts": "await db.$transaction(async (tx) => {\n  await tx.user.updateMany({ where: { used: { lt: quota } } });\n});\n"
            },
        ),
        (
            "float_quantity",
            {"src/lib/f.ts": "export const quantity = parseFloat(row.text);\n"},
            {"src/lib/f.ts": "export const quantity = parseInt(row.text, 10);\n"},
        ),
        ("missing_timestamp", CRON, {**CRON, **STAMPED}),
        (
            "cancel_drops_usage",
            {"src/lib/c.ts": "export const stop = (id) => stripe.subscriptions.cancel(id);\n"},
            {
                "src/lib/c.ts": "export const stop = (id) => stripe.subscriptions.cancel(id, { invoice_now: true });\n"
            },
        ),
        (
            "meter_errors_unheard",
            {},
            {"src/lib/e.ts": "export const heard = 'v1.billing.meter.error_report_triggered';\n"},
        ),
    ],
)
def test_habits(tmp_path: Path, code: str, wrong: dict[str, str], right: dict[str, str]) -> None:
    """Each is named where it stands, not in its twin, and decides nothing."""
    bad = audited(tmp_path / "wrong", {**NEXT, **wrong})
    good = audited(tmp_path / "right", {**NEXT, **right})
    assert code in {one.code for one in bad.neighbours}
    assert code not in {one.code for one in good.neighbours}
    assert bad.verdict == good.verdict == Verdict.PASS
    assert not any(one.decides for one in bad.neighbours)
