# ruff: noqa: E501
"""What Autumn's settings declare, whom Tier reports for, and pages whose file has the server's part as well."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

AUTUMN = (
    "import {{ feature, featureItem, pricedFeatureItem, priceItem, product, plan, item }} from 'atmn';\n{}"
)
SINGLE = "export const ai = feature({ id: 'ai', name: 'AI', type: 'single_use' });\nexport const pro = product({ id: 'pro', items: [priceItem({ price: 9, interval: 'month' }), featureItem({ feature_id: ai.id, included_usage: 20 })] });\n"
METERED = "export const ai = feature({ id: 'ai', name: 'AI', type: 'metered', consumable: true });\nexport const pro = plan({ id: 'pro', price: { amount: 9, interval: 'month' }, items: [item({ featureId: ai.id, included: 20 })] });\n"
PRICED = "export const calls = feature({ id: 'calls', type: 'continuous_use' });\nexport const pro = product({ id: 'pro', items: [pricedFeatureItem({ feature_id: calls.id, price: 5, usage_model: 'pay_per_use' })] });\n"
BASED = "export const calls = feature({ id: 'calls', type: 'metered', consumable: false });\nexport const pro = plan({ id: 'pro', items: [item({ featureId: calls.id, price: { amount: 5, billingMethod: 'usage_based' } })] });\n"
SEATS = "export const seats = feature({ id: 'seats', type: 'metered', consumable: false });\nexport const pro = plan({ id: 'pro', price: { amount: 9, interval: 'month' }, items: [item({ featureId: seats.id, included: 5 })] });\n"
FLAT = "export const seats = feature({ id: 'seats', type: 'continuous_use' });\nexport const beta = feature({ id: 'beta', type: 'boolean' });\nexport const pro = product({ id: 'pro', items: [priceItem({ price: 9, interval: 'month' }), featureItem({ feature_id: seats.id, included_usage: 5 })] });\n"
HELPER = "import { Autumn } from 'autumn-js';\nconst autumn = new Autumn({ secretKey });\nexport async function track(customerId: string) { await autumn.track({ customer_id: customerId, feature_id: 'ai', value: 1 }); }\n"
ROUTE = "import { auth } from '@/lib/auth';\nimport { track } from '@/lib/usage';\nexport async function POST(req: Request) {\n  const { user } = await auth();\n  const out = await generate(await req.json());\n  await track(user.id);\n  return Response.json(out);\n}\n"
SHOP = '{"dependencies": {"next": "15", "autumn-js": "1.2"}}'


@pytest.mark.parametrize("declared", [SINGLE, METERED, PRICED, BASED])
def test_a_metered_feature_that_nothing_tracks(tmp_path: Path, declared: str) -> None:
    tree = {"package.json": SHOP, "autumn.config.ts": AUTUMN.format(declared)}
    assert codes(audited(tmp_path / "bare", tree)) == {"never_reported"}
    assert codes(audited(tmp_path / "dead", {**tree, "src/lib/usage.ts": HELPER})) == {"never_reported"}


@pytest.mark.parametrize("declared", [SEATS, FLAT])
def test_a_feature_that_is_not_used_up(tmp_path: Path, declared: str) -> None:
    tree = {"package.json": SHOP, "autumn.config.ts": AUTUMN.format(declared)}
    assert audited(tmp_path / "bare", tree).verdict == "skip"
    assert audited(tmp_path / "dead", {**tree, "src/lib/usage.ts": HELPER}).verdict == "skip"


def test_a_metered_feature_that_is_tracked(tmp_path: Path) -> None:
    tree = {
        "package.json": SHOP,
        "autumn.config.ts": AUTUMN.format(SINGLE),
        "src/lib/usage.ts": HELPER,
        "src/app/api/generate/route.ts": ROUTE,
    }
    assert audited(tmp_path, tree).reason == "ok_synchronous"


PROXIED = """export async function track(userId: string) {
  const response = await fetch(`${process.env.SITE_URL}/api/autumn/track`, { method: 'POST', body: JSON.stringify({ userId, value: 1 }) });
  SAID
}
"""


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("if (!response.ok) throw new Error('usage was not taken');", set()),
        ("if (!response.ok) console.error('usage was not taken');", {"errors_swallowed"}),
    ],
)
def test_tracked_by_way_of_autumns_handler(tmp_path: Path, said: str, wanted: set[str]) -> None:
    tree = {
        "package.json": SHOP,
        "src/lib/usage.ts": PROXIED.replace("SAID", said),
        "src/app/api/generate/route.ts": ROUTE,
    }
    assert codes(audited(tmp_path, tree)) == wanted


TIER = """import { auth } from '@/lib/auth';
import { tier } from '@/lib/tier';
export async function POST(req: Request) {
  const body = await req.json();
  const { user } = await auth();
  const answer = await tier.can(`org:${WHO}`, 'feature:copy');
  if (!answer.ok) return new Response(null, { status: 402 });
  const out = await generate(body.prompt);
  WAITS answer.report();
  return Response.json(out);
}
"""


@pytest.mark.parametrize(
    ("who", "waits", "wanted"),
    [
        ("user.id", "await", set()),
        ("body.userId", "await", {"client_supplied_customer"}),
        ("user.id", "void", {"fire_and_forget"}),
    ],
)
def test_tier(tmp_path: Path, who: str, waits: str, wanted: set[str]) -> None:
    tree = {
        "src/lib/tier.ts": "import { Tier } from 'tier';\nexport const tier = new Tier({ apiKey });\n",
        "src/app/api/copy/route.ts": TIER.replace("WHO", who).replace("WAITS", waits),
    }
    assert codes(audited(tmp_path, tree)) == wanted


def test_a_pricing_tier_is_no_kit(tmp_path: Path) -> None:
    text = "export async function POST() {\n  const tier = await current();\n  if (!tier.can('export')) return;\n  logger.report();\n}\n"
    assert audited(tmp_path, {"src/app/api/x/route.ts": text}).verdict == "skip"


PAGE = """import { useEffect, useState } from 'react';
import { Form } from 'react-router';
import { requireUser } from '~/session.server';
import { report } from '~/usage.server';
export const action = async ({ request }) => {
  const user = await requireUser(request);
  const form = await request.formData();
  const out = await generate(form.get('prompt'));
  await report(user.customer, out.n);
  return Response.json(out);
};
export default function Page() { const [n, setN] = useState(0); return <Form method="post" />; }
"""
SERVER = "import Stripe from 'stripe';\nconst stripe = new Stripe(key);\nexport async function report(customer: string, n: number) { await stripe.billing.meterEvents.create({ event_name: 'x', payload: { stripe_customer_id: customer, value: n } }); }\n"


def test_a_page_with_its_own_action(tmp_path: Path) -> None:
    tree = {"app/routes/generate.tsx": PAGE, "app/usage.server.ts": SERVER}
    assert audited(tmp_path, tree).reason == "ok_synchronous"


def test_a_page_that_reports_by_itself(tmp_path: Path) -> None:
    text = "import { useEffect } from 'react';\nimport { report } from './usage';\nexport function Meter({ customer }) {\n  useEffect(() => { report(customer, 1); }, []);\n  return null;\n}\n"
    assert "client_side_only" in codes(audited(tmp_path, {"src/Meter.tsx": text, "src/usage.ts": SERVER}))
