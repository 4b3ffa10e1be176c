"""Checks beside the verdict: they speak, and decide nothing."""

from __future__ import annotations

from pathlib import Path

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
    assert {one.code for one in wrong.neighbours} == {"webhook_unverified", "client_set_price"}
    assert right.neighbours == ()
    assert (wrong.verdict, right.verdict) == (Verdict.PASS, Verdict.PASS)
