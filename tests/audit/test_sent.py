# ruff: noqa: E501
"""What a report is sent with, by whose client, and what becomes of an error within that client."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

ROUTE = """import {{ requireSession }} from './session';
export async function POST(request) {{
  const session = await requireSession(request);
  const body = await request.json();
  const answer = await openai.responses.create({{ input: body.prompt }});
  {made}
  const sent = await fetch('https://api.stripe.com/v1/billing/meter_events', {{
    method: 'POST', headers: {{ Authorization: `Bearer ${{process.env.STRIPE_KEY}}` }}, body: {body},
  }});
  if (!sent.ok) return Response.json({{ failed: true }}, {{ status: 502 }});
  return Response.json(answer);
}}
"""
BODIES = {
    "an object": (
        "const event = { event_name: 'calls', identifier: answer.id, payload: { stripe_customer_id: WHO, value: MANY } };",
        "JSON.stringify(event)",
    ),
    "an object in an object": (
        "const payload: Record<string, string> = { stripe_customer_id: WHO, value: MANY };\n  const event = { event_name: 'calls', identifier: answer.id, payload };",
        "JSON.stringify(event)",
    ),
    "a form that is added to": (
        "const form = new URLSearchParams();\n  form.append('event_name', 'calls');\n  form.append('identifier', answer.id);\n  form.append('payload[stripe_customer_id]', WHO);\n  form.set('payload[value]', MANY);",
        "form",
    ),
    "fields that are set": (
        "const event = { event_name: 'calls', identifier: answer.id };\n  event.stripe_customer_id = WHO;\n  event.value = MANY;",
        "JSON.stringify(event)",
    ),
}


@pytest.mark.parametrize("made", BODIES)
def test_a_body_that_was_put_together_before(tmp_path: Path, made: str) -> None:
    told = {
        "ours": ("session.user.customerId", "String(answer.usage.total_tokens)", set()),
        "number": ("session.user.customerId", "String(body.tokens)", {"client_supplied_quantity"}),
        "customer": ("body.customerId", "String(answer.usage.total_tokens)", {"client_supplied_customer"}),
    }
    for name, (who, many, wanted) in told.items():
        text, body = BODIES[made]
        text = text.replace("WHO", who).replace("MANY", many)
        tree = {"app/api/run/route.ts": ROUTE.format(made=text, body=body)}
        report = audited(tmp_path / name, tree)
        assert codes(report) == wanted, name
        assert "no_idempotency" not in {one.code for one in report.findings}, name


def test_a_body_in_python(tmp_path: Path) -> None:
    api = """import requests
from fastapi import Depends, FastAPI
app = FastAPI()
@app.post("/run")
def run(body: Ask, user=Depends(current_user)):
    answer = openai.responses.create(input=body.prompt)
    data = {"event_name": "calls", "identifier": answer.id, "payload[stripe_customer_id]": user.customer, "payload[value]": MANY}
    requests.post("https://api.stripe.com/v1/billing/meter_events", data=data).raise_for_status()
    return answer
"""
    assert (
        codes(audited(tmp_path / "ours", {"api.py": api.replace("MANY", "answer.usage.total_tokens")}))
        == set()
    )
    assert codes(audited(tmp_path / "theirs", {"api.py": api.replace("MANY", "body.tokens")})) == {
        "client_supplied_quantity"
    }


def test_a_name_that_another_module_gives_is_not_the_kits(tmp_path: Path) -> None:
    """`track` of the application's own analytics beside a hook of the kit's."""
    page = "'use client';\nimport { useCustomer } from 'autumn-js/react';\nimport { track } from 'SOURCE';\nexport function Plans() {\n  const { attach } = useCustomer();\n  return <button onClick={() => { attach(); track({ featureId: 'plans' }); }} />;\n}\n"
    assert (
        codes(audited(tmp_path / "own", {"src/plans.tsx": page.replace("SOURCE", "@/lib/analytics")}))
        == set()
    )
    found = codes(audited(tmp_path / "kit", {"src/plans.tsx": page.replace("SOURCE", "autumn-js")}))
    assert "client_side_only" in found


CLIENT = """export class UsageClient {
  private base = 'https://api.useautumn.com/v1';
  private async request(method: string, path: string, body: object) {
    try {
      const sent = await fetch(`${this.base}/${path}`, { method, body: JSON.stringify(body) });
      if (!sent.ok) throw new Error(await sent.text());
      return await sent.json();
    } catch (error) {
      CAUGHT
    }
  }
  async count(customerId: string, value: number, id: string) {
    const result = await this.request('POST', 'track', { customer_id: customerId, feature_id: 'calls', value, idempotency_key: id });
    return result !== null;
  }
}
export const usage = new UsageClient();
"""
ASKING = """import { usage } from '@/lib/usage';
import { requireSession } from '@/lib/session';
export async function POST(request) {
  const session = await requireSession(request);
  const answer = await openai.responses.create({ input: (await request.json()).prompt });
  COUNT
  return Response.json(answer);
}
"""
COUNT = "await usage.count(session.user.id, answer.usage.total_tokens, answer.id);"
HEARD = f"const counted = {COUNT}\n  if (!counted) throw new Error('not counted');"


@pytest.mark.parametrize(
    ("caught", "count", "wanted"),
    [
        ("console.error(error); return null;", COUNT, {"errors_swallowed"}),
        ("console.error(error); return null;", HEARD, set()),
        ("console.error(error); throw error;", COUNT, set()),
    ],
)
def test_a_client_of_the_applications_own(tmp_path: Path, caught: str, count: str, wanted: set[str]) -> None:
    tree = {
        "tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["./*"]}}}',
        "lib/usage.ts": CLIENT.replace("CAUGHT", caught),
        "app/api/run/route.ts": ASKING.replace("COUNT", count),
    }
    report = audited(tmp_path, tree)
    assert codes(report) == wanted
    assert report.verdict is (Verdict.FAIL if wanted else Verdict.PASS)


GATEWAYS = {
    "autumn": (
        "withAutumn",
        "@useautumn/gateway/ai-sdk",
        "withAutumn({ model: base('m'), customerId: session.user.id, featureId: 'tokens' })",
    ),
    "stripe": ("meteredModel", "@stripe/ai-sdk/meter", "meteredModel(base('m'), session.user.customerId)"),
}


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_model_that_counts_its_own_answers(tmp_path: Path, name: str) -> None:
    wrapper, kit, made = GATEWAYS[name]
    tree = {
        "app/api/run/route.ts": f"import {{ {wrapper} }} from '{kit}';\nexport async function POST(request) {{\n  const session = await requireSession(request);\n  const answer = await generateText({{ model: {made}, prompt: (await request.json()).prompt }});\n  return Response.json(answer);\n}}\n"
    }
    assert audited(tmp_path / "ours", tree).verdict is Verdict.PASS
    theirs = {
        path: text.replace("session.user.customerId", "body.who")
        .replace("session.user.id", "body.who")
        .replace("const session", "const body = await request.json(); const session")
        for path, text in tree.items()
    }
    assert "client_supplied_customer" in codes(audited(tmp_path / "theirs", theirs))


HELD = """import Stripe from 'stripe';
const stripe = new Stripe(process.env.KEY!);
export async function POST(request) {
  const session = await requireSession(request);
  const answer = await openai.images.generate({ prompt: (await request.json()).prompt });
  const org = await db.org.findUnique({ where: { id: session.orgId } });
  try {
    await stripe.paymentIntents.capture(org.NAME_intent, { amount_to_capture: org.NAME_cents });
  } catch (error) {
    console.error(error);
  }
  return Response.json(answer);
}
"""


def test_what_was_put_by_for_overage_is_usage_and_a_deposit_is_none(tmp_path: Path) -> None:
    for name, wanted in (("overage", {"errors_swallowed"}), ("deposit", set())):
        tree = {"app/api/run/route.ts": HELD.replace("NAME", name)}
        assert codes(audited(tmp_path / name, tree)) == wanted, name
