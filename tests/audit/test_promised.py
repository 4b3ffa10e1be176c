# ruff: noqa: E501
"""Overage that a page promises and nothing bills; credits bought ahead beside a helper that nothing calls."""

from __future__ import annotations

import json
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
    "Overage charges apply for storage (£5 for 10 GB)",
)
HARMLESS = (
    "100,000 conversions a month, then blocked until the next",
    "Additional seats: $5 each",
    "Test coverage is billed as complete",
    "Save $12 on the yearly plan",
    "You are never charged for overages",
    "Additional leads stand at /$1/customers/$3/leads",
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
    """A component that nothing shows, and a remark."""
    page = PAGE.replace("TEXT", PROMISES[0])
    assert audited(tmp_path / "unused", APP | {"src/pages/PriceTableV4.jsx": page}).verdict == "skip"
    remark = f"// {PROMISES[0]}\nexport const A = 1;\n"
    assert audited(tmp_path / "remark", APP | {"app/pricing/page.tsx": remark}).verdict == "skip"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "src/usage.ts",
            "export const sum = (u, plan) => ({ overageCharges: (u.minutes - plan.minutes) * plan.rate });\n",
        ),
        ("src/plans.ts", "export const PRO = { price: 29, overageRatePerMinute: rates.pro };\n"),
        ("src/plan.ts", "export const save = (form) => ({ extra_1k_messages_price: num(form, 20) });\n"),
        (
            "src/form.ts",
            "export const offer = (form) => ({ model: 'usage', usagePrice: form.price ?? null });\n",
        ),
        ("app/models.py", "class Usage(Base):\n    overage_amount = Column(Numeric)\n"),
        (
            "scripts/prices.sh",
            "stripe prices create --recurring interval=month,usage_type=metered,aggregate_usage=sum\n",
        ),
        ("scripts/prices.sh", "curl https://api.stripe.com/v1/prices -d 'recurring[usage_type]=metered'\n"),
    ],
)
@pytest.mark.parametrize(
    "payment",
    [
        '{"dependencies": {"stripe": "^17"}}',
        '{"dependencies": {"@whop/api": "^0.0.51"}}',
        '{"dependencies": {"creem": "^1"}}',
    ],
)
def test_overage_that_is_only_computed(tmp_path: Path, path: str, text: str, payment: str) -> None:
    """A price for what is used beyond the plan stands in code or in a script that sets it up, and nothing bills it."""
    name = json.loads(payment)["dependencies"].popitem()[0]
    tree = {
        "package.json": payment,
        "src/pay.ts": f"import Pay from '{name}';\nexport const pay = new Pay();\n",
        path: text,
    }
    report = audited(tmp_path, tree)
    assert [(one.code, one.place.path) for one in report.findings if one.decides] == [
        ("never_reported", path)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "export const estimate = (u) => ({ llmCost: u.tokens * 2, infraCost: 3, overageCost: u.minutes * 4 });\n",
        "export const Row = () => <b>{t('overageFee')}</b>;\n",
        "export const report = { coverageRate: 0.8, coverage_amount: 3 };\n",
        "export const plan = { overageAllowed: false, overageBlocked: true };\n",
        "export interface Plan { overageRate: number; overage_cost?: string }\nexport const FREE: Plan = { overageRate: 0 };\n",
        "export const seats = { extra_seat_price: 5, additionalUserFee: 9 };\n",
    ],
)
def test_no_price_for_overage(tmp_path: Path, text: str) -> None:
    """What is covered, whether there may be overage at all, and seats that are bought, what usage costs the house."""
    assert audited(tmp_path, APP | {"src/plans.tsx": text}).verdict == "skip"


OVER = "export const beyond = (u, plan) => ({ overageCharges: (u.minutes - plan.minutes) * plan.rate });\n"


@pytest.mark.parametrize(
    ("taken", "verdict"),
    [
        ("if (wallet.balance >= overageCharges) await pay(wallet, overageCharges);", "skip"),
        ("user.credits = Number(user.credits) - overageCharges;", "skip"),
        ("await debitWallet(user.id, overageCharges);", "skip"),
        ("show(user.balance, overageCharges);", "fail"),
    ],
)
def test_overage_that_is_taken_from_a_balance(tmp_path: Path, taken: str, verdict: str) -> None:
    """It is paid for before it is used; a page that shows both takes nothing."""
    tree = APP | {
        "src/beyond.ts": OVER,
        "src/run.ts": f"export async function run(user, u, plan) {{ {taken} }}\n",
    }
    assert audited(tmp_path, tree).verdict == verdict


@pytest.mark.parametrize(
    ("folder", "more", "verdict"),
    [
        ("sketches", {}, "skip"),
        ("sketches", {"sketches/package.json": "{}"}, "fail"),
        ("supabase/functions", {}, "fail"),
        ("elsewhere", {}, "fail"),
    ],
)
def test_a_price_in_what_the_build_leaves_out(tmp_path: Path, folder: str, more: Tree, verdict: str) -> None:
    """A copy that nothing builds sells nothing; what has a build of its own, or is deployed as it is, does."""
    config = '{"exclude": ["node_modules", "sketches/**/*", "supabase/functions"]}'
    tree = APP | {"tsconfig.json": config, f"{folder}/beyond.ts": OVER} | more
    assert audited(tmp_path, tree).verdict == verdict


def test_overage_that_pages_promise_without_a_provider(tmp_path: Path) -> None:
    """Plans are paid for in a way that is not in the tree, and nobody counts what goes beyond them."""
    tree = {
        "app/pricing/page.tsx": PAGE.replace("TEXT", PROMISES[1]),
        "db/plans.sql": "create table plans (\n  id text,\n  overage_cents_per_minute numeric(6,3) not null\n);\n",
        "src/join.ts": "export const join = (user) => db.subscriptions.create({ user, plan: 'pro' });\n",
    }
    assert codes(audited(tmp_path / "all", tree)) == {"never_reported"}
    for name in tree:
        rest = {path: text for path, text in tree.items() if path != name}
        assert audited(tmp_path / name.replace("/", "-"), rest).verdict == "skip"


def test_overage_where_nothing_is_paid(tmp_path: Path) -> None:
    """Without any payment kit it is no billing."""
    tree = {
        "src/usage.ts": "export const sum = (u, plan) => ({ overageCharges: (u.minutes - plan.minutes) * plan.rate });\n"
    }
    assert audited(tmp_path, tree).verdict == "skip"


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
