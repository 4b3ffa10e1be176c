# ruff: noqa: E501
"""Runs by the clock and by hand: what they send again, what of a month they never see, and for whom they run at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
LOST = f"{HEAD}export async function report(customer: string, value: number) {{\n  try {{ await stripe.billing.meterEvents.create({{ event_name: 'runs', payload: {{ stripe_customer_id: customer, value: String(value) }} }}); }} catch (error) {{ console.warn(error); }}\n}}\n"
ROUTE = "import { report } from '../../../lib/meter';\nexport async function POST(req: Request) { const { user } = await auth(); const answer = await openai.responses.create({}); await report(user.customer, 1); return Response.json(answer); }\n"
TICK = f"{HEAD}export default {{\n  async scheduled(event, env, ctx) {{ BODY }},\n}};\n"
SEND = "await stripe.billing.meterEvents.create({ event_name: 'runs', payload: { stripe_customer_id: CUSTOMER, value: String(VALUE) } });"


def sent(customer: str, value: str) -> str:
    """A report."""
    return SEND.replace("CUSTOMER", customer).replace("VALUE", value)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (f"for (const row of await db.usage.findMany({{ where: {{ sentAt: null }} }})) {{ {sent('row.customer', 'row.count')} }}", set()),
        (f"await env.FLOW.create({{ params: {{}} }}); {sent('env.CUSTOMER', '1')}", {"errors_swallowed"}),
    ],
    ids=["unsent rows", "work of its own"],
)  # fmt: skip
def test_only_a_run_that_looks_something_up_sends_again(tmp_path: Path, body: str, wanted: set[str]) -> None:
    """A clock that does work of its own and reports that leaves what requests lost where it was."""
    tree = {"lib/meter.ts": LOST, "app/api/run/route.ts": ROUTE, "worker/index.ts": TICK.replace("BODY", body), "worker/wrangler.toml": 'main = "index.ts"\n[triggers]\ncrons = ["0 * * * *"]\n'}  # fmt: skip
    assert codes(audited(tmp_path, tree)) == wanted


MONTHLY = f"""import {{ onSchedule }} from 'firebase-functions/v2/scheduler';
{HEAD}export const push = onSchedule('every 60 minutes', async () => {{
  const month = MONTH;
  for (const user of await users()) {{
    const row = await db.doc(`usage/${{user.id}}/PLACE`).get();
    const left = row.get('total') - row.get('reported');
    if (left <= 0) continue;
    {sent("user.customer", "left")}
    await row.ref.update({{ reported: row.get('total') }});
  }}
}});
"""


@pytest.mark.parametrize("month", ["new Date().toISOString().slice(0, 7)", "currentMonthKey()", "dayjs().format('YYYY-MM')"])  # fmt: skip
def test_the_row_of_the_month_that_runs(tmp_path: Path, month: str) -> None:
    """What is counted between the last run and the end of the month stays in a row that is never read again."""
    for place, wanted in (("${month}", {"scheduled_reporting"}), ("all", set())):
        text = MONTHLY.replace("MONTH", month).replace("PLACE", place)
        assert codes(audited(tmp_path / place.strip("${}"), {"functions/src/push.ts": text})) == wanted, place
    both = MONTHLY.replace("MONTH", month).replace("PLACE", "${month}")
    both = both.replace("for (const user", "await sendMonth(previousMonth());\n  for (const user")
    assert codes(audited(tmp_path / "both", {"functions/src/push.ts": both})) == set()


SHOW = f"{HEAD}async function ingest(customer: string, units: number) {{ {sent('customer', 'units')} }}\nasync function main() {{ await ingest(WHO, 3); }}\nmain().catch(console.error);\n"


@pytest.mark.parametrize(
    ("who", "verdict"), [("'cus_123'", Verdict.SKIP), ("(await nextRow()).customer", Verdict.FAIL)]
)
def test_a_demonstration_bills_nobody(tmp_path: Path, who: str, verdict: Verdict) -> None:
    """A program whose customer is written out in it; one that takes its customers from somewhere runs for them."""
    assert audited(tmp_path, {"packages/usage/src/meter.ts": SHOW.replace("WHO", who)}).verdict is verdict


COMMAND = """<?php
namespace App\\Console\\Commands;
class SendUsage extends Command {
    protected $signature = 'usage:send';
    public function handle(): int {
        foreach (Org::all() as $org) {
            try {
                $this->stripe->billing->meterEvents->create(['event_name' => 'runs', 'payload' => ['stripe_customer_id' => $org->customer, 'value' => $org->used]]);
            } catch (\\Throwable $e) {
                $this->error($e->getMessage());
                END
            }
        }
        return self::SUCCESS;
    }
}
"""


@pytest.mark.parametrize(("end", "swallowed"), [("return self::FAILURE;", False), ("continue;", True)])
def test_a_command_that_says_it_failed(tmp_path: Path, end: str, swallowed: bool) -> None:
    """Whoever runs it learns of the failure."""
    report = audited(tmp_path, {"app/Console/Commands/SendUsage.php": COMMAND.replace("END", end)})
    assert ("errors_swallowed" in codes(report)) is swallowed
