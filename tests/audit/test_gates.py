# ruff: noqa: E501
"""A clock that ticks often, and a report that stands behind a test of the hour: it is sent once a day all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from clocks import PYTHON
from clocks_elsewhere import GO_FLUSH
from trees import Tree, audited, codes

LATE = {"scheduled_reporting"}
JOB = "import time\nfrom datetime import datetime\nfrom shop.drain import report_usage\n\nwhile True:\n    now = datetime.utcnow()\nBODY\n    time.sleep(60)\n"
LOOPS = {
    "    if now.hour == 3 and now.minute == 0:\n        report_usage()": LATE,
    "    hour = datetime.utcnow().hour\n    if hour == REPORT_HOUR:\n        clean()\n        report_usage()": LATE,
    "    if now.hour % 12 == 0:\n        report_usage()": LATE,
    "    if now.day == 1:\n        report_usage()": LATE,
    "    if now.weekday() == 0:\n        report_usage()": LATE,
    "    if now.hour != 3:\n        time.sleep(60)\n        continue\n    report_usage()": LATE,
    "    if now.hour == 3:\n        clean()\n    report_usage()": set(),
    "    if now.hour == 3:\n        clean()\n    else:\n        report_usage()": set(),
    "    if now.hour % 2 == 0:\n        report_usage()": set(),
    "    if now.minute == 0:\n        report_usage()": set(),
    "    if now.hour == 3 or asked():\n        report_usage()": set(),
    "    if now.hour != 3 and not asked():\n        continue\n    report_usage()": set(),
    "    if now.hour != 3:\n        clean()\n    report_usage()": set(),
    "    if now.hour != last_hour:\n        report_usage()": set(),
    "    if now.hour == last_hour:\n        continue\n    report_usage()": set(),
    "    if order.hour == 3:\n        report_usage()": set(),
    "    hours = left()\n    if hours == 0:\n        report_usage()": set(),
}


def test_a_report_at_the_start_is_made_once(tmp_path: Path) -> None:
    """Before the loop it is sent when the program starts, and in it once a day."""
    started = JOB.replace("\nwhile", "\nreport_usage()\nwhile")
    tree = {**PYTHON, "Procfile": "worker: python worker.py\n"}
    late = started.replace("BODY", "    if now.hour == 3:\n        report_usage()")
    assert codes(audited(tmp_path / "late", {**tree, "worker.py": late})) == LATE
    assert (
        codes(
            audited(tmp_path / "often", {**tree, "worker.py": started.replace("BODY", "    report_usage()")})
        )
        == set()
    )


@pytest.mark.parametrize("body", LOOPS)
def test_a_loop_that_asks_for_the_hour(tmp_path: Path, body: str) -> None:
    """In an `else`, behind an `or`, or where only something else waits for the hour, it is sent at every turn."""
    tree = {**PYTHON, "worker.py": JOB.replace("BODY", body), "Procfile": "worker: python worker.py\n"}
    assert codes(audited(tmp_path, tree)) == LOOPS[body]


SEND = """import Stripe from 'stripe';
const stripe = new Stripe(process.env.KEY!);
export async function flush() {
  for (const row of await db.usage.findMany({ where: { sentAt: null } })) {
    await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: row.id, timestamp: row.at, payload: { stripe_customer_id: row.customer, value: String(row.calls) } });
    await db.usage.update({ where: { id: row.id }, data: { sentAt: new Date() } });
  }
}
"""
CALL = "import { auth } from '@/auth';\nexport async function POST() {\n  const session = await auth();\n  await db.usage.create({ data: { customer: session.user.customer, calls: 1 } });\n  return Response.json({});\n}\n"
TIMERS = {
    "  if (new Date().getUTCHours() === 0) {\n    await flush();\n  }": LATE,
    "  const hour = new Date().getHours();\n  if (hour !== 2) return;\n  await flush();": LATE,
    "  const now = new Date();\n  if (now.getHours() === 2 && now.getMinutes() < 5) await flush();": LATE,
    "  if (new Date().getUTCDate() !== 1) {\n    console.log('not yet');\n    return;\n  }\n  await flush();": LATE,
    "  if (new Date().getUTCHours() === 0) await clean();\n  await flush();": set(),
    "  if (new Date().getUTCHours() === 0) {\n    await clean();\n  }\n  await flush();": set(),
    "  const now = new Date();\n  if (now.getMinutes() === 0) await flush();": set(),
    "  if (process.env.NOW || new Date().getHours() === 2) await flush();": set(),
}


@pytest.mark.parametrize("body", TIMERS)
def test_a_timer_that_asks_for_the_hour(tmp_path: Path, body: str) -> None:
    server = f"import {{ flush }} from './flush';\nsetInterval(async () => {{\n{body}\n}}, 60_000);\n"
    tree: Tree = {
        "package.json": '{"scripts": {"start": "node src/server.js"}, "dependencies": {"stripe": "18.0.0"}}',
        "src/server.ts": server,
        "src/flush.ts": SEND,
        "src/app/api/call/route.ts": CALL,
    }
    assert codes(audited(tmp_path, tree)) == TIMERS[body]


GO = """package main

func loop(ctx context.Context) {
	t := time.NewTicker(time.Hour)
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
BODY
		}
	}
}

func work(w http.ResponseWriter, r *http.Request) {
	if _, err := db.ExecContext(r.Context(), `INSERT INTO usage_records (customer_id, quantity) VALUES ($1, 1)`, r.Context().Value("org")); err != nil {
		http.Error(w, "no", 500)
	}
}

func main() {
	go loop(context.Background())
	http.HandleFunc("/work", work)
	http.ListenAndServe(":8080", nil)
}
"""
TICKS = {
    "\t\t\tif time.Now().UTC().Hour() == 0 {\n\t\t\t\tif err := flush(ctx); err != nil {\n\t\t\t\t\tslog.Error(`x`)\n\t\t\t\t}\n\t\t\t}": True,
    "\t\t\tif time.Now().Weekday() != time.Monday {\n\t\t\t\tcontinue\n\t\t\t}\n\t\t\t_ = flush(ctx)": True,
    "\t\t\tif h := time.Now().Hour(); h == 3 {\n\t\t\t\t_ = flush(ctx)\n\t\t\t}": True,
    "\t\t\tif time.Now().UTC().Hour() == 0 {\n\t\t\t\tclean(ctx)\n\t\t\t}\n\t\t\t_ = flush(ctx)": False,
    "\t\t\tif err := flush(ctx); err != nil {\n\t\t\t\tslog.Error(`x`)\n\t\t\t}": False,
}


@pytest.mark.parametrize("body", TICKS)
def test_a_ticker_that_asks_for_the_hour(tmp_path: Path, body: str) -> None:
    tree = {
        "go.mod": "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n",
        "main.go": GO.replace("BODY", body),
        "flush.go": f"package main\n\n{GO_FLUSH}",
    }
    assert ("scheduled_reporting" in codes(audited(tmp_path, tree))) is TICKS[body]


RUBY: Tree = {
    "Gemfile": 'gem "stripe", "~> 13"\n',
    "app/controllers/runs_controller.rb": "class RunsController < ApplicationController\n  def create\n    answer = client.chat(parameters: {})\n    UsageEvent.create!(customer_id: current_account.customer, quantity: answer.dig('usage', 'total_tokens'))\n    render json: answer\n  end\nend\n",
    "config/recurring.yml": "production:\n  report:\n    class: ReportUsageJob\n    schedule: every hour\n",
    "app/jobs/report_usage_job.rb": "class ReportUsageJob < ApplicationJob\n  def perform\n    GATE\n    UsageEvent.where(reported_at: nil).find_each do |row|\n      Stripe::Billing::MeterEvent.create(event_name: 'calls', identifier: row.id.to_s, payload: { value: row.quantity.to_s, stripe_customer_id: row.customer_id })\n      row.update!(reported_at: Time.current)\n    end\n  end\nend\n",
}
GATES = {
    "return unless Time.current.hour == 3": LATE,
    "return if Time.now.utc.hour != 3": LATE,
    "return unless Time.current.hour == 3 || forced?": set(),
    "return if paused?": set(),
}


@pytest.mark.parametrize("gate", GATES)
def test_a_job_that_goes_home_at_other_hours(tmp_path: Path, gate: str) -> None:
    job = RUBY["app/jobs/report_usage_job.rb"].replace("GATE", gate)
    assert codes(audited(tmp_path, {**RUBY, "app/jobs/report_usage_job.rb": job})) == GATES[gate]
