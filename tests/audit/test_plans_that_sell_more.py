# ruff: noqa: E501
"""Plans that sell what is beyond them, whoever takes the payments; pages that deny it; what only shows how it is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

COUNTER = "export const count = (shop) => db.usage.upsert({ where: { shop }, update: { replies: { increment: 1 } }, create: { shop } });\n"
PAID = "export async function begin(shop, plan) { await db.insert('payments', { shop, amount: plan.price }); return await gateway.open(shop); }\n"
SIGNED = "export async function assign(shop, plan) { return await prisma.subscription.create({ data: { shop, price: plan.priceMonthly } }); }\n"

PLANS = {
    "an object": ("export const PLANS = {\n  free: { price: 0, includedReplies: 10, overagePrice: 0 },\n  firm: { price: 149, includedReplies: 30, overagePrice: 6 },\n};\n", True),
    "with its price of more in a record of its own": ("export const plans = [{ monthly: 49, limits: { replies: 500 }, more: { overagePrice: 3 } }];\n", True),
    "in quotes": ('PLANS = {"firm": {"base_price": 49, "included_minutes": 100, "overage_rate": 0.4}}\n', True),
    "by name": ('FIRM = Plan(price=49, included_minutes=100, overage_rate=0.4)\n', True),
    "a charge for each extra": ("export const shown = (plan) => ({ priceMonthly: plan.priceMonthly, replyLimit: plan.replyLimit, extraMessageCharge: plan.extraMessageCharge });\n", True),
    "a row": ("Plan.create!(base_price_cents: 4900, included_usage: 1000, overage_rate_cents: 10)\n", True),
    "nothing asked for more": ("export const PLANS = { firm: { price: 149, includedReplies: 30, overagePrice: 0 } };\n", False),
    "a type": ("export interface Plan { price: number; includedReplies: number; overagePrice?: Money; overageRates?: Record<string, number> }\n", False),
    "flat": ("export const PLANS = { firm: { price: 149, replyLimit: 30 } };\n", False),
    "no flat price": ("export const rates = { replyLimit: 30, overageRate: 6 };\n", False),
    "a stop": ("export const PLANS = { firm: { price: 149, includedReplies: 30, allowOverage: false } };\n", False),
    "what another asks": ("export const PLANS = { twilio: { price: 149, includedReplies: 30, twilioOverageRate: 6 } };\n", False),
    "only a remark": ("export const PLANS = {\n  firm: { price: 149, includedReplies: 30,\n    // overagePrice: 6\n  } };\n", False),
}  # fmt: skip


@pytest.mark.parametrize("how", PLANS)
@pytest.mark.parametrize("paid", [PAID, SIGNED])
def test_a_plan_that_sells_more_at_any_provider(tmp_path: Path, how: str, paid: str) -> None:
    plan, sold = PLANS[how]
    name = (
        "plans.py"
        if 'PLANS = {"' in plan or plan.startswith("FIRM")
        else "plans.rb"
        if "create!" in plan
        else "plans.ts"
    )
    report = audited(tmp_path, {name: plan, "count.ts": COUNTER, "pay.ts": paid})
    assert report.verdict is (Verdict.FAIL if sold else Verdict.SKIP), report.findings
    assert codes(report) == ({"never_reported"} if sold else set())


@pytest.mark.parametrize("without", ["count.ts", "pay.ts"])
def test_a_plan_that_nobody_counts_or_pays_for(tmp_path: Path, without: str) -> None:
    """A table of prices alone sells nothing."""
    tree = {"plans.ts": PLANS["an object"][0], "count.ts": COUNTER, "pay.ts": PAID}
    del tree[without]
    assert audited(tmp_path, tree).verdict is Verdict.SKIP


def test_plans_of_others(tmp_path: Path) -> None:
    """A comparison of what competitors ask is no offer."""
    tree = {"competitors/prices.ts": PLANS["an object"][0], "count.ts": COUNTER, "pay.ts": PAID}
    assert audited(tmp_path, tree).verdict is Verdict.SKIP


CHECKOUT = "import stripe\n\ndef buy(customer):\n    return stripe.checkout.Session.create(customer=customer, line_items=[{'price': 'firm', 'quantity': 1}])\n"
BILLING = "import stripe\n\nclass Billing:\n    def tell(self, customer, used):\n        '''Usage-based billing.'''\n        return stripe.UsageRecord.create(quantity=used['calls'], subscription_item=ITEM)\n"
LIMITS = "# 20 per request, 10 per minute\nLIMIT = 20\n\ndef allowed(n):\n    '''So many calls per request.'''\n    return n < LIMIT\n"
SHOP: Tree = {"requirements.txt": "stripe==7.0.0\n", "buy.py": CHECKOUT, "limits.py": LIMITS}
PAGES = {
    "flat by its own words": ("export default () => <p>Firm is flat for each shop, not per-call metered.</p>;\n", Verdict.SKIP),
    "never metered": ("export default () => <p>One price, no usage-based fees.</p>;\n", Verdict.SKIP),
    "of one plan": ("export default () => <p>No overage fees on Free.</p>;\n", Verdict.FAIL),
    "about something else": ("export default () => <p>One price for all.</p>;\n", Verdict.FAIL),
    "with a price for more": ("export default () => <ul><li>Free is not metered.</li><li>And it has no ads, no pages of ours and no other things that you would not want.</li><li>Firm: $0.02 per additional call.</li></ul>;\n", Verdict.FAIL),
}  # fmt: skip


@pytest.mark.parametrize("how", PAGES)
def test_pages_that_deny_what_dead_code_would_report(tmp_path: Path, how: str) -> None:
    page, verdict = PAGES[how]
    tree = {**SHOP, "billing.py": BILLING.replace("ITEM", "self.item"), "app/pricing/page.tsx": page}
    assert audited(tmp_path, tree).verdict is verdict


def test_words_of_overage_that_deny_it(tmp_path: Path) -> None:
    """They sell nothing, and so no leftover was meant to report it."""
    page = "export default () => <p>One price for all. No overage fees.</p>;\n"
    tree = {**SHOP, "billing.py": BILLING.replace("ITEM", "self.item"), "app/pricing/page.tsx": page}
    del tree["limits.py"]
    assert audited(tmp_path / "denied", tree).verdict is Verdict.SKIP
    tree["app/pricing/page.tsx"] = page.replace("No overage fees", "Overage fees are low")
    assert audited(tmp_path / "asked", tree).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("item", "verdict"),
    [
        ("'si_...'", Verdict.SKIP),
        ("'si_xxxxxxxx'", Verdict.SKIP),
        ("'si_1PqLm9Kd'", Verdict.FAIL),
        ("self.item", Verdict.FAIL),
    ],
)
def test_a_reporter_that_only_shows_how_it_is_done(tmp_path: Path, item: str, verdict: Verdict) -> None:
    tree = {**SHOP, "billing.py": BILLING.replace("ITEM", item)}
    assert audited(tmp_path, tree).verdict is verdict


STUB = "module Billing\n  class ReportUsage\n    def call\n      # TODO\n      # Stripe::Billing::MeterEvent.create(\n      #   event_name: 'events', payload: { value: used }\n      # )\n      success\n    end\n  end\nend\n"
SPEND = "class SpendSync\n  def call\n    save\n    meter_usage\n  end\n\n  private\n\n  def meter_usage\n    account.increment_usage!(rows.size)\n  end\nend\n"
RUBY: Tree = {
    "Gemfile": 'gem "stripe", "12.0.0"\n',
    "app/models/account.rb": "class Account\n  def checkout = Stripe::Checkout::Session.create(customer: stripe_customer_id)\nend\n",
    "app/services/spend_sync.rb": SPEND,
}


@pytest.mark.parametrize(
    ("page", "verdict"), [("$5 per 250K overage", Verdict.FAIL), ("$29 a month", Verdict.SKIP)]
)
def test_a_stub_of_ruby_that_returns_success(tmp_path: Path, page: str, verdict: Verdict) -> None:
    """An own method that counts is no marketplace's meter; the real report is a remark."""
    tree = {
        **RUBY,
        "app/services/report_usage.rb": STUB,
        "app/views/pages/pricing.html.erb": f"<p>{page}</p>\n",
    }
    report = audited(tmp_path, tree)
    assert report.verdict is verdict, report.findings
    assert codes(report) == ({"never_reported"} if verdict is Verdict.FAIL else set())
    assert not report.providers


def test_the_meter_of_a_marketplace(tmp_path: Path) -> None:
    """Boto's call is known by its arguments, wherever the client was made."""
    route = "from shop.aws import client\n\n@app.post('/run')\ndef run(account=Depends(current_account)):\n    out = work()\n    client.meter_usage(ProductCode='p', UsageDimension='calls', UsageQuantity=out.n)\n    return out\n"
    assert audited(tmp_path, {"app.py": route}).providers == ("aws-marketplace",)
