# ruff: noqa: E501
"""Usage that is charged without a meter of its own: invoice items in every tongue, overage that is only computed, gateways."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

GO = """package main

import (
	"net/http"
	"github.com/stripe/stripe-go/v81"
	"github.com/stripe/stripe-go/v81/invoiceitem"
)

func bill(customer string, SAID int64) error {
	params := &stripe.InvoiceItemParams{Customer: stripe.String(customer), Amount: stripe.Int64(SAID * 2)}
	return retry(func() error {
		_, err := invoiceitem.New(params)
		return err
	})
}

func run(w http.ResponseWriter, r *http.Request) {
	user := currentUser(r)
	if err := bill(user.Customer, 1); err != nil {
		http.Error(w, "billing", 502)
		return
	}
	w.Write([]byte("done"))
}

func main() {
	http.HandleFunc("/run", run)
}
"""
REST = """import { getUser } from '../lib/auth';
async function stripeCall(path: string, params: Record<string, unknown>) {
  const answer = await fetch(`https://api.stripe.com/v1${path}`, { method: 'POST', body: new URLSearchParams(params) });
  if (!answer.ok) throw new Error('refused');
}
export async function POST(req: Request) {
  const { user } = await getUser(req);
  const SAID = await work(user);
  await stripeCall('/invoiceitems', { customer: user.customer, amount: SAID * 2, currency: 'usd' });
  return Response.json({ ok: true });
}
"""
CASHIER = """<?php
namespace App\\Http\\Controllers;
use Laravel\\Cashier\\Billable;
class RunController extends Controller {
    public function store(Request $request) {
        $SAID = $this->work();
        $request->user()->tab('Extra', $SAID * 2);
        return response()->json(['ok' => true]);
    }
}
"""
ROUTED = "<?php\nRoute::post('/run', [RunController::class, 'store'])->middleware('auth');\n"
ITEMS: dict[str, Tree] = {
    "go": {"main.go": GO, "go.mod": "module shop\n"},
    "rest": {"app/api/run/route.ts": REST, "package.json": '{"dependencies": {"next": "15"}}'},
    "cashier": {"app/Http/Controllers/RunController.php": CASHIER, "routes/api.php": ROUTED},
}


@pytest.mark.parametrize("name", ITEMS)
def test_invoice_items_bill_usage_where_the_code_says_so(tmp_path: Path, name: str) -> None:
    """In a literal within the function that speaks of usage too; an item for anything else is no usage."""
    for said, sites in (("overage", True), ("shipping", False)):
        tree = {path: text.replace("SAID", said) for path, text in ITEMS[name].items()}
        report = audited(tmp_path / said, tree)
        assert ("stripe-invoice-items" in report.providers) is sites, (said, report)


TOLD = """export function mount(router) {
  router.get('/usage', async (req, res) => res.json(await usageOf(req.user)));
  router.get('/a', a);
  router.get('/b', b);
  router.get('/c', c);
  router.post('/bill', async (req, res) => { CALL res.json({}); });
}
"""


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("await stripe.invoiceItems.create({ customer: req.user.customer, amount: 500 });", False),
        ("const overage = await over(req.user); await retry(() => stripe.invoiceItems.create({ customer: req.user.customer, amount: overage * 2 }));", True),
    ],
)  # fmt: skip
def test_words_of_another_route_are_not_near(tmp_path: Path, call: str, found: bool) -> None:
    """What waits for a literal speaks of it; what stands in the same function beside it does not."""
    report = audited(tmp_path, {"routes.ts": TOLD.replace("CALL", call)})
    assert ("stripe-invoice-items" in report.providers) is found


ITEM = "await fetch('https://api.stripe.com/v1/invoiceitems', { method: 'POST', headers, body: new URLSearchParams({ customer, amount: String(cents), description: SAID }) });"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("`Voice (${totals.calls || 0} calls)`", {"client_side_only"}),
        ("`${totals.minutes} min of calls`", {"client_side_only"}),
        ("`Order ${order.number}`", set()),
        ("`${hours} hours of consulting`", set()),
    ],
)
def test_an_invoice_of_so_many_calls_made_in_a_page(tmp_path: Path, said: str, wanted: set[str]) -> None:
    page = f"'use client';\nexport function Bill() {{\n  const bill = async () => {{ {ITEM.replace('SAID', said)} }};\n  return <button onClick={{bill}}>Bill</button>;\n}}\n"
    tree = {
        "package.json": '{"dependencies": {"react": "19", "stripe": "18.0.0"}}',
        "src/pages/Bill.tsx": page,
    }
    assert codes(audited(tmp_path, tree)) == wanted


COUNTED = "import Stripe from 'stripe';\nexport async function POST() { const { user } = await auth(); await redis.incr(`calls:${user.id}`); return Response.json({}); }\n"


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("const cost = overageMinutes * plan.pricePerMinute;", Verdict.FAIL),
        ("const cost = plan.rate * usage.overage;", Verdict.FAIL),
        ("const PLAN = { overagePricePerRun: '8' };", Verdict.FAIL),
        ("const cost = coverage * policy.rate;", Verdict.SKIP),
        ("const PLAN = { overagePricePerRun: '0' };", Verdict.SKIP),
        ("const share = overageMinutes / plan.minutes;", Verdict.SKIP),
    ],
)
def test_overage_that_has_a_price_is_sold(tmp_path: Path, said: str, verdict: Verdict) -> None:
    """A price by which the use beyond the plan is multiplied, or a price in quotes."""
    tree = {"app/api/run/route.ts": COUNTED, "lib/plans.ts": said + "\n"}
    assert audited(tmp_path, tree).verdict is verdict


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("500 minutes included, then $0.05/min", Verdict.FAIL),
        ("Free up to the limit, then $1.50 per generation", Verdict.FAIL),
        ("Others give 1M events, then ~$0.0002/event", Verdict.SKIP),
        ("First month free, then $29/month", Verdict.SKIP),
    ],
)
def test_a_price_of_what_comes_after(tmp_path: Path, said: str, verdict: Verdict) -> None:
    """`then $0.05/min` on a page of prices; `then $29/month` is a plan."""
    page = f"export default function Page() {{ return <p>{said}</p>; }}\n"
    assert (
        audited(tmp_path, {"app/api/run/route.ts": COUNTED, "app/pricing/page.tsx": page}).verdict is verdict
    )


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("app/pricing/page.tsx", Verdict.FAIL),
        ("components/pricing-table.tsx", Verdict.FAIL),
        ("app/blog/what-it-costs/page.tsx", Verdict.SKIP),
        ("app/vs-acme/page.tsx", Verdict.SKIP),
        ("app/compare/acme/page.tsx", Verdict.SKIP),
        ("lib/azure_pricing.ts", Verdict.SKIP),
        ("_archive/pricing/page.tsx", Verdict.SKIP),
    ],
)
def test_whose_price_it_is(tmp_path: Path, path: str, verdict: Verdict) -> None:
    """A page on what others ask, or a table of what suppliers do, promises nothing of the seller's; nor what is put away."""
    text = "export const said = '$0.20 overage per 1M executions, then $0.20 per execution';\nexport default () => <p>{said}</p>;\n"
    named = "import { said } from '@/components/pricing-table';\nimport other from '@/lib/azure_pricing';\n"
    tree = {"app/api/run/route.ts": COUNTED, path: text, "app/page.tsx": named}
    assert audited(tmp_path, tree).verdict is verdict


@pytest.mark.parametrize(
    ("text", "paid"),
    [
        ("const key = process.env.LEMONSQUEEZY_API_KEY;", True),
        ("api_key = os.environ['PAYSTACK_SECRET_KEY']", True),
        ("const key = process.env.OPENAI_API_KEY;", False),
    ],
)
def test_a_provider_without_a_kit_takes_payment(tmp_path: Path, text: str, paid: bool) -> None:
    """Known by its key alone."""
    name = "pay.py" if "environ" in text else "pay.ts"
    assert audited(tmp_path, {name: text + "\n"}).reason == ("flat_rate_only" if paid else "no_billing")


FEATURE = "import { feature, featureItem, product } from 'atmn';\nexport const runs = feature({ id: 'runs', type: 'TYPE' });\nexport const pro = product({ id: 'pro', items: [featureItem({ feature_id: runs.id, included_usage: 20 })] });\n"


@pytest.mark.parametrize(("kind", "verdict"), [("single_use", Verdict.FAIL), ("boolean", Verdict.SKIP)])
def test_an_allowance_that_nothing_tracks(tmp_path: Path, kind: str, verdict: Verdict) -> None:
    """A feature that is used up is kept at Autumn, and nothing tells it."""
    tree = {"autumn.config.ts": FEATURE.replace("TYPE", kind), "app/api/run/route.ts": COUNTED}
    assert audited(tmp_path, tree).verdict is verdict


VISITS = "export function track(name: string, props: object) { navigator.sendBeacon('/visits', JSON.stringify({ name, props })); }\n"
BUTTON = "'use client';\nimport { useCustomer } from 'autumn-js/react';\nIMPORT\nexport default function Share() {\n  const { HOOKS } = useCustomer();\n  return <button onClick={() => { track('share_clicked', { surface: 'menu' }); attach({ productId: 'pro' }); }}>Share</button>;\n}\n"


@pytest.mark.parametrize(
    ("imported", "hooks", "found"),
    [
        ("import { track } from '@/lib/analytics';", "attach", False),
        ("", "attach, track", True),
        ("import { track } from '@/convex/autumn';", "attach", True),
    ],
)
def test_visits_are_no_usage(tmp_path: Path, imported: str, hooks: str, found: bool) -> None:
    """`track` of what counts clicks stands in a page that asks Autumn for its customer, too."""
    page = BUTTON.replace("IMPORT", imported).replace("HOOKS", hooks)
    report = audited(tmp_path, {"src/share.tsx": page, "src/lib/analytics.ts": VISITS})
    assert ("client_side_only" in codes(report)) is found


ROUTE = "import { getUser } from '@/lib/auth';\nHEAD\nexport async function POST(req: Request) {\n  const user = await getUser(req);\n  const { prompt } = await req.json();\n  MODEL\n  const { text } = await generateText({ model, prompt });\n  return Response.json({ text });\n}\n"
GATEWAY = {
    "kit": ("import { createOpenAI } from '@ai-sdk/openai';", "createOpenAI({ baseURL: 'https://llm.stripe.com', headers: { 'X-Stripe-Customer-ID': WHO } })('m')"),
    "metered model": ("import { meteredModel } from '@stripe/ai-sdk/meter';", "meteredModel(openai('m'), key, WHO)"),
}  # fmt: skip


@pytest.mark.parametrize("name", GATEWAY)
def test_a_gateway_that_counts_by_itself(tmp_path: Path, name: str) -> None:
    """It is told the customer, and counts the tokens."""
    head, model = GATEWAY[name]
    for folder, who, wanted in (
        ("right", "user.customerId", set()),
        ("wrong", "(await req.json()).customerId", {"client_supplied_customer"}),
    ):
        text = ROUTE.replace("HEAD", head).replace("MODEL", f"const model = {model.replace('WHO', who)};")
        report = audited(tmp_path / folder, {"app/api/chat/route.ts": text})
        assert codes(report) == wanted, (folder, report.findings)
        assert report.verdict is (Verdict.FAIL if wanted else Verdict.PASS)


GRANT = "import Stripe from 'stripe';\nexport async function grant(customer: string) { await stripe.billing.creditGrants.create({ customer, applicability_config: { scope: { price_type: 'metered' } } }); }\n"


@pytest.mark.parametrize(("text", "verdict"), [(GRANT, Verdict.FAIL), (GRANT.replace("metered", "flat"), Verdict.SKIP)])  # fmt: skip
def test_credits_for_metered_prices(tmp_path: Path, text: str, verdict: Verdict) -> None:
    """They are granted for a metered price, to which something has to report."""
    assert audited(tmp_path, {"lib/credits.ts": text}).verdict is verdict


JOB = """import { NextResponse } from 'next/server';
export async function POST(req: Request) {
  if (req.headers.get('authorization') !== `Bearer ${process.env.BILLING_TOKEN}`) return NextResponse.json({}, { status: 401 });
  BODY
}
"""
ALL = "const orgs = await db.query('select * from orgs');\n  for (const org of orgs) await stripe.invoiceItems.create({ customer: org.customer, amount: org.overage * 2, currency: 'usd' });\n  return NextResponse.json({});"
ONE = "const { customer, overage } = await req.json();\n  await stripe.invoiceItems.create({ customer, amount: overage * 2, currency: 'usd' });\n  return NextResponse.json({});"


@pytest.mark.parametrize(
    ("body", "caller", "wanted"),
    [
        (ALL, "", {"scheduled_reporting"}),
        (ALL, "export const ask = () => fetch(`${BASE}/api/bill-overages`, { method: 'POST' });\n", set()),
        (ONE, "", set()),
    ],
    ids=["nobody calls", "called", "told whom"],
)
def test_a_bill_for_all_behind_a_secret(tmp_path: Path, body: str, caller: str, wanted: set[str]) -> None:
    """A route that bills every customer is a job, and nothing here says when it runs; one that is told whom is not."""
    tree = {"app/api/bill-overages/route.ts": JOB.replace("BODY", body), "lib/ask.ts": caller}
    assert codes(audited(tmp_path, tree)) == wanted


UNCALLED = """import Stripe from 'stripe';
const stripe = new Stripe(process.env.KEY!);
export async function chargeForCalls(user: string, customer: string, told: number) {
  const row = await db.prepare("select sum(cost) as total from calls where user_id = ? and state = 'unbilled'").bind(user).first();
  await stripe.invoiceItems.create({ customer, amount: AMOUNT, currency: 'usd', description: 'Usage charges for calls' });
}
"""


@pytest.mark.parametrize(("amount", "verdict"), [("row.total", Verdict.FAIL), ("told", Verdict.SKIP)])
def test_a_sum_of_unbilled_rows_that_nothing_charges(tmp_path: Path, amount: str, verdict: Verdict) -> None:
    """Beside a flat plan a helper that nobody calls says little, unless it asks for what was put by to be billed."""
    tree = {
        "lib/billing.ts": UNCALLED.replace("AMOUNT", amount),
        "app/pricing/page.tsx": "export default () => <p>$149 / month</p>;\n",
        "lib/plans.ts": "export const plan = { price: 149, credits: 500 };\nexport const buy = () => buyCredits(plan);\n",
    }
    assert audited(tmp_path, tree).verdict is verdict


ASKED = """import express from 'express';
import Stripe from 'stripe';
const stripe = new Stripe(process.env.KEY!);
const app = express();
app.post('ADDRESS', requireStaff, async (req, res) => {
  const account = await db.accounts.findOne(req.params.id);
  await stripe.invoiceItems.create({ customer: account.customer, amount: AMOUNT, currency: 'usd', description: 'Metered usage' }, { idempotencyKey: account.round });
  res.json({});
});
"""


@pytest.mark.parametrize(
    ("address", "amount", "wanted"),
    [
        ("/admin/accounts/:id/invoice", "account.accrued", {"scheduled_reporting"}),
        ("/backoffice/bill-usage", "account.accrued", {"scheduled_reporting"}),
        ("/accounts/:id/invoice", "account.accrued", {"client_supplied_customer"}),
    ],
)
def test_a_bill_that_the_sellers_people_ask_for(
    tmp_path: Path, address: str, amount: str, wanted: set[str]
) -> None:
    """Nothing says when they do; what customers ask for themselves is another thing."""
    tree = {"server.ts": ASKED.replace("ADDRESS", address).replace("AMOUNT", amount)}
    assert codes(audited(tmp_path, tree)) == wanted


SYMFONY = """<?php
namespace App\\Command;
use Paddle\\API;
#[AsCommand(name: 'app:billing:charge')]
class ChargeCommand extends Command {
    public function __construct(private readonly Users $users, private readonly API $paddle, private readonly Logger $logger) { parent::__construct(); }
    protected function execute(InputInterface $input, OutputInterface $output): int {
        foreach ($this->users->findAll() as $user) {
            $due = $this->manager->SAID($user);
            try {
                $this->paddle->subscription()->createOneOffCharge($user->getSubscriptionId(), $due, 'beyond the plan');
            } catch (\\Exception $error) {
                $this->logger->critical($error->getMessage());
            }
        }
        return Command::SUCCESS;
    }
}
"""
CRONJOBS = "# charges\n30 7 * * *\t/srv/app/bin/console app:billing:NAME > /dev/null 2>&1\n"


@pytest.mark.parametrize(
    ("said", "name", "wanted"),
    [
        ("getUsageCost", "charge", {"scheduled_reporting", "errors_swallowed"}),
        ("getUsageCost", "mail", {"errors_swallowed"}),
        ("getRenewalPrice", "charge", set()),
    ],
)
def test_a_command_of_symfony_charges_for_use(tmp_path: Path, said: str, name: str, wanted: set[str]) -> None:
    """By the name that the crontab gives; what is taken for anything else is no report."""
    tree = {
        "composer.json": '{"require": {"symfony/console": "^7.0"}}',
        "config/cronjobs": CRONJOBS.replace("NAME", name),
        "src/Command/ChargeCommand.php": SYMFONY.replace("SAID", said),
    }
    assert codes(audited(tmp_path, tree)) == wanted
