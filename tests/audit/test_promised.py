# ruff: noqa: E501
"""Overage that a page promises and nothing bills; credits bought ahead beside a helper that nothing calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

APP: Tree = {
    "package.json": '{"dependencies": {"stripe": "^17", "express": "4"}}',
    "src/pay.ts": "import Stripe from 'stripe';\nexport const stripe = new Stripe(process.env.KEY!);\n"
    "export const buy = (user) => stripe.checkout.sessions.create({ mode: 'subscription', line_items: [{ price: PRO, quantity: 1 }] });\n",
    "src/count.ts": "export async function count(team) { await redis.incr(`usage:${team}`); }\n",
}
PROMISES = (
    "Overage at $0.001/conversion",
    "$0.05/min overage for voice",
    "Overage is billed at the metered rate",
    "$1/million additional requests",
    "Additional minutes are billed at $0.15/minute",
)
HARMLESS = (
    "100,000 conversions a month, then blocked until the next",
    "Additional seats: $5 each",
    "Test coverage is billed as complete",
    "Save $12 on the yearly plan",
)
PAGE = "export default function Pricing() { return <ul><li>TEXT</li></ul>; }\n"


@pytest.mark.parametrize("text", PROMISES)
@pytest.mark.parametrize(
    "page", ["app/pricing/page.tsx", "templates/pricing.html", "README.md", "src/components/PriceTable.tsx"]
)
def test_promised_overage_that_is_only_counted(tmp_path: Path, text: str, page: str) -> None:
    """The words stand where a customer reads them, a counter counts, and nothing sends it anywhere."""
    tree = APP | {page: PAGE.replace("TEXT", text)}
    tree["src/app.tsx"] = "import { Table } from './components/PriceTable';\n"
    report = audited(tmp_path, tree)
    assert codes(report) == {"never_reported"}
    assert [one.place.path for one in report.findings if one.decides] == [page]
    assert all(one.confidence == "medium" for one in report.findings)


@pytest.mark.parametrize("text", HARMLESS)
def test_plans_that_end_at_their_limit(tmp_path: Path, text: str) -> None:
    """Nothing beyond the plan is promised."""
    assert audited(tmp_path, APP | {"app/pricing/page.tsx": PAGE.replace("TEXT", text)}).verdict == "skip"


def test_a_promise_that_nobody_sees(tmp_path: Path) -> None:
    """A component that nothing shows, a remark, and usage that nothing counts."""
    page = PAGE.replace("TEXT", PROMISES[0])
    assert audited(tmp_path / "unused", APP | {"src/pages/PriceTableV4.jsx": page}).verdict == "skip"
    remark = f"// {PROMISES[0]}\nexport const A = 1;\n"
    assert audited(tmp_path / "remark", APP | {"app/pricing/page.tsx": remark}).verdict == "skip"
    uncounted = {path: text for path, text in APP.items() if "count" not in path}
    assert audited(tmp_path / "uncounted", uncounted | {"app/pricing/page.tsx": page}).verdict == "skip"


HELPER = "import { stripe } from './pay';\nexport async function report(customer, n) {\n  await stripe.billing.meterEvents.create({ event_name: 'calls', payload: { stripe_customer_id: customer, value: String(n) } });\n}\n"


@pytest.mark.parametrize(
    ("beside", "verdict"),
    [
        ("export const spend = (user) => deductCredits(user, 1);\n", "skip"),
        ("export const spend = (user) => deductCredits(user, 1);\n// report is for later\n", "skip"),
        (
            "export const spend = (user) => {\n  deductCredits(user, 1);\n  // await report(user.customer, 1);\n};\n",
            "fail",
        ),
        ("export const work = (user) => run(user);\n", "fail"),
        (
            "export const spend = (user) => deductCredits(user, 1);\nexport const PRICE = { recurring: { usage_type: 'metered' } };\n",
            "fail",
        ),
        (
            "export const spend = (user) => deductCredits(user, 1);\nexport const STARTER = { monthly_docs: 500, overage_price: 0.25 };\n",
            "fail",
        ),
        (
            "export const spend = (user) => deductCredits(user, 1);\nexport const SAID = '$0.10/min overage';\n",
            "fail",
        ),
    ],
)
def test_a_helper_that_nothing_calls_beside_credits(tmp_path: Path, beside: str, verdict: str) -> None:
    """Credits bought ahead are not usage billing; a metered price, promised overage or a report taken out is."""
    tree: Tree = {
        "package.json": APP["package.json"],
        "src/pay.ts": "import Stripe from 'stripe';\nexport const stripe = new Stripe(process.env.KEY!);\n",
        "src/meter.ts": HELPER,
        "src/work.ts": beside,
        "README.md": "Pay per minute of audio.\n",
        "app/page.tsx": "export default () => <p>Only 24 cents per minute</p>;\n",
    }
    assert audited(tmp_path, tree).verdict == verdict
