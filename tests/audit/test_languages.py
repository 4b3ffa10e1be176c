# ruff: noqa: E501
"""Sinks, routes and schedules beyond the two main languages, and the ways usage may go out by the clock."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import NEXT, audited, codes

from tallystick.audit.entries.schedules import seconds_of
from tallystick.audit.model import Verdict

OTHERS = {
    "go": {
        "go.mod": "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n",
        "main.go": """package main

func run(c *gin.Context) {
	account := find(c)
	_, err := meterevent.New(&stripe.BillingMeterEventParams{
		Identifier: stripe.String(account.Key),
		Payload: map[string]string{"value": "1", "stripe_customer_id": account.Customer},
	})
	if err != nil {
		c.JSON(502, err)
	}
}

func main() {
	r := gin.Default()
	r.POST("/run", run)
}
""",
    },
    "ruby": {
        "Gemfile": 'gem "stripe", "~> 15"\n',
        "app/controllers/runs_controller.rb": """class RunsController < ApplicationController
  def create
    result = Work.call
    Stripe::Billing::MeterEvent.create(
      event_name: "runs", identifier: result.id,
      payload: { value: "1", stripe_customer_id: current_account.customer }
    )
    render json: result
  end
end
""",
    },
    "php": {
        "composer.json": '{"require": {"stripe/stripe-php": "^17.0"}}',
        "app/Http/Controllers/RunController.php": """<?php
class RunController extends Controller
{
    public function store(Account $account)
    {
        $done = $this->work->run();
        $this->stripe->billing->meterEvents->create([
            'event_name' => 'runs',
            'identifier' => $done->id,
            'payload' => ['value' => 1, 'stripe_customer_id' => $account->customer],
        ]);
        return $done;
    }
}
""",
    },
    "java": {
        "src/main/java/RunController.java": """import com.stripe.model.billing.MeterEvent;

class RunController {
  @PostMapping("/run")
  public Answer run(Account account) {
    Answer done = work.run();
    MeterEvent.create(params(account.customer, done.id));
    return done;
  }
}
""",
    },
}

CRON_ROUTE = "src/app/api/cron/report/route.ts"
CRON = 'import { report } from "@/lib/meter";\nexport async function GET() {\n  const rows = await db.usage.findMany();\n  for (const row of rows) await report(row.customer, row.n, row.id);\n  return Response.json({});\n}\n'


@pytest.mark.parametrize("name", OTHERS)
def test_another_language(tmp_path: Path, name: str) -> None:
    """The route and the report are found, and the tree passes."""
    report = audited(tmp_path, OTHERS[name])
    assert report.verdict is Verdict.PASS, report.findings
    assert len(report.endpoints) == 1


def test_what_lies_too_deep_is_said(tmp_path: Path) -> None:
    """A chain of calls deeper than the walk goes is lost coverage; it ends in bounded time."""
    chained = "export const f = () => a()\n" + "  .b(1)\n" * 5000
    report = audited(tmp_path, {**NEXT, "src/lib/meter.ts": NEXT["src/lib/meter.ts"] + chained})
    assert report.coverage.with_errors == ("src/lib/meter.ts",)


@pytest.mark.parametrize(
    ("schedule", "verdict"),
    [("0 2 * * *", Verdict.FAIL), ("0 */12 * * *", Verdict.FAIL), ("*/10 * * * *", Verdict.PASS)],
)
@pytest.mark.parametrize("writer", ["vercel", "sql", "workflow", "crontab"])
def test_a_schedule_wherever_it_is_written(
    tmp_path: Path, schedule: str, verdict: Verdict, writer: str
) -> None:
    """Daily fails, every ten minutes does not."""
    written = {
        "vercel": ("vercel.json", f'{{"crons": [{{"path": "/api/cron/report", "schedule": "{schedule}"}}]}}'),
        "sql": ("supabase/migrations/1.sql", f"select cron.schedule('r', '{schedule}', $$select net.http_post('https://x.example/api/cron/report')$$);"),
        "workflow": (".github/workflows/c.yml", f"on:\n  schedule:\n    - cron: '{schedule}'\njobs:\n  a:\n    steps:\n      - run: curl https://x.example/api/cron/report\n"),
        "crontab": ("deploy/crontab", f"{schedule} curl https://x.example/api/cron/report\n"),
    }[writer]  # fmt: skip
    tree = {key: text for key, text in NEXT.items() if "generate" not in key}
    report = audited(tmp_path, {**tree, CRON_ROUTE: CRON, written[0]: written[1]})
    assert report.verdict is verdict, report.findings
    assert codes(report) == ({"scheduled_reporting"} if verdict is Verdict.FAIL else set())


def test_a_swallowed_error_with_a_drain_that_runs(tmp_path: Path) -> None:
    """The request may go on when a frequent schedule sends what it left behind."""
    call = "await bill(session.user.customer, answer.usage.total_tokens, answer.id);"
    route = "src/app/api/generate/route.ts"
    tree = {**NEXT, route: NEXT[route].replace(call, f"try {{ {call} }} catch (e) {{ console.error(e); }}")}
    assert codes(audited(tmp_path / "a", tree)) == {"errors_swallowed"}
    tree |= {
        CRON_ROUTE: CRON,
        "vercel.json": '{"crons": [{"path": "/api/cron/report", "schedule": "*/5 * * * *"}]}',
    }
    assert audited(tmp_path / "b", tree).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0 2 * * *", 86400), ("5 * * * *", 3600), ("*/15 * * * *", 900), ("0 */12 * * *", 43200),
        ("0 0 * * 0", 604800), ("0 0 1 * *", 2592000), ("rate(10 minutes)", 600), ("every 24 hours", 86400),
        ("@daily", 86400), ("@hourly", 3600), ("whenever", None),
    ],
)  # fmt: skip
def test_how_often(text: str, seconds: int | None) -> None:
    """Cron expressions and phrases."""
    assert seconds_of(text) == seconds


def test_flat_plans_and_decoys_are_skipped(tmp_path: Path) -> None:
    """A quota counter, a usage folder and a licensed price do not make usage billing."""
    tree = {
        "package.json": '{"dependencies": {"stripe": "18.0.0"}}',
        "src/usage/metering.ts": "export async function meterUsage(id: string) { await redis.incr(`usage:${id}`); }\n",
        "src/checkout.ts": "stripe.checkout.sessions.create({ line_items: [{ price, quantity: 1 }] });\n",
    }
    report = audited(tmp_path, tree)
    assert (report.verdict, report.reason) == (Verdict.SKIP, "flat_rate_only")


def test_a_metered_price_without_a_report(tmp_path: Path) -> None:
    """The setup alone is a promise that no code keeps."""
    tree = {
        "setup.ts": "await stripe.prices.create({ recurring: { usage_type: 'metered', interval: 'month' } });\n"
    }
    report = audited(tmp_path, tree)
    assert (report.verdict, codes(report)) == (Verdict.FAIL, {"never_reported"})


def test_a_removed_call(tmp_path: Path) -> None:
    """Usage records under a kit that dropped them; an older pin is fine."""
    body = (
        "app.post('/run', async (req, res) => {\n  const account = await db.accounts.findOne(key);\n"
        "  await stripe.subscriptionItems.createUsageRecord(account.item, { quantity: 1 });\n  res.json({});\n});\n"
    )
    for version, verdict in (("8.1.0", Verdict.PASS), ("^18.2.0", Verdict.FAIL)):
        tree = {"package.json": f'{{"dependencies": {{"stripe": "{version}"}}}}', "server.js": body}
        report = audited(tmp_path / version.strip("^"), tree)
        assert report.verdict is verdict, report.findings
