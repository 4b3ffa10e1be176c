# ruff: noqa: E501
"""The start of the month as it is handed on: to what reads usage from then on, and to what keeps totals of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from clocks_elsewhere import GO_FLUSH
from trees import Tree, audited, codes

LATE = {"scheduled_reporting"}
STORE = """import stripe
from shop.db import session
from shop.models import MeteredUsage, UsageRecord


def record(org_id, n):
    session.add(UsageRecord(org_id=org_id, quantity=n))
    session.commit()


def collect(start, end):
    for org_id, customer, total in session.query(UsageRecord).filter(BOUND).group_by(UsageRecord.org_id):
        KEPT
    session.commit()


def flush():
    for row in session.query(MeteredUsage).filter(MeteredUsage.reported_at.is_(None)):
        stripe.billing.MeterEvent.create(event_name="calls", identifier=f"mu-{row.id}", payload={"stripe_customer_id": row.customer_id, "value": str(row.quantity)})
        row.reported_at = datetime.utcnow()
        session.commit()
"""
MAIN = """from fastapi import Depends, FastAPI
from shop.auth import current_org
from shop.metering import collect, flush, record

app = FastAPI()


def month_start(now):
    return now.replace(day=1, hour=0, minute=0)


@app.post("/work")
async def work(org=Depends(current_org)):
    record(org.id, 1)
    return {"ok": True}


@scheduler.scheduled_job("interval", minutes=30)
def meter():
    now = datetime.utcnow()
    HANDED
    flush()
"""
SINCE = "UsageRecord.created_at >= start"
ROWS = "session.add(MeteredUsage(org_id=org_id, customer_id=customer, quantity=total, window_start=start, window_end=end))"
SHOWN = "cache.set(f'usage:{org_id}', total)"
HANDED: dict[tuple[str, str, str], set[str]] = {
    ("collect(month_start(now), now)", SINCE, ROWS): LATE,
    ("collect(start=month_start(now), end=now)", SINCE, ROWS): LATE,
    ("collect(now.replace(day=1, hour=0), now)", SINCE, ROWS): LATE,
    ("start = datetime(now.year, now.month, 1)\n    collect(start, now)", SINCE, ROWS): LATE,
    ("collect(month_start(now - timedelta(hours=2)), now)", SINCE, ROWS): set(),
    ("then = now - timedelta(hours=2)\n    collect(month_start(then), now)", SINCE, ROWS): set(),
    ("collect(month_start(previous(now)), month_start(now))", SINCE, ROWS): set(),
    ("if now.day == 1:\n        collect(month_start(before(now)), now)\n    collect(month_start(now), now)", SINCE, ROWS): set(),
    ("collect(last_collected(), now)", SINCE, ROWS): set(),
    ("collect(last_collected(), month_start(now))", SINCE, ROWS): set(),
    ("collect(month_start(now), now)", "UsageRecord.created_at < start", ROWS): set(),
    ("collect(month_start(now), now)", SINCE, SHOWN): set(),
}  # fmt: skip


@pytest.mark.parametrize("handed", HANDED)
def test_totals_of_the_open_month_are_kept_and_sent(tmp_path: Path, handed: tuple[str, str, str]) -> None:
    """What is shown of the month, or is asked for up to its start, leaves nothing behind."""
    tree = {
        "requirements.txt": "fastapi\nstripe==12.0.0\napscheduler\n",
        "shop/__init__.py": "",
        "shop/main.py": MAIN.replace("HANDED", handed[0]),
        "shop/metering.py": STORE.replace("BOUND", handed[1]).replace("KEPT", handed[2]),
    }
    assert codes(audited(tmp_path, tree)) == HANDED[handed]


GO = """package main

func (s *Service) loop(ctx context.Context) {
	t := time.NewTicker(time.Hour)
	for now := range t.C {
		HANDED
		if err := flush(ctx); err != nil {
			slog.Error("flush", "err", err)
		}
	}
}

func (s *Service) collect(ctx context.Context, start, end time.Time) error {
	rows, err := s.db.QueryContext(ctx, `SELECT org, sum(n) FROM calls WHERE QUERY GROUP BY org`, start, end)
	if err != nil {
		return err
	}
	for rows.Next() {
		var org string
		var n int64
		rows.Scan(&org, &n)
		if _, err := s.db.ExecContext(ctx, `INSERT INTO metered_usage (org, quantity) VALUES ($1, $2)`, org, n); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	s := NewService()
	go s.loop(context.Background())
	http.HandleFunc("/work", s.work)
	http.ListenAndServe(":8080", nil)
}
"""
WINDOW = "at >= $1 AND at < $2"
GOING = {
    ("s.collect(ctx, monthStart(now), now)", WINDOW): LATE,
    ("first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)\n\t\ts.collect(ctx, first, now)", WINDOW): LATE,
    ("s.collect(ctx, monthStart(now.Add(-time.Hour)), now)", WINDOW): set(),
    ("s.collect(ctx, monthStart(now.AddDate(0, -1, 0)), monthStart(now))", WINDOW): set(),
    ("s.collect(ctx, s.cursor, now)", WINDOW): set(),
    ("s.collect(ctx, now, monthStart(now))", WINDOW): set(),
    ("s.collect(ctx, monthStart(now), now)", "at < $1 AND at >= $2"): set(),
}  # fmt: skip


@pytest.mark.parametrize("going", GOING)
def test_the_month_in_the_place_of_the_lower_bound(tmp_path: Path, going: tuple[str, str]) -> None:
    tree = {
        "go.mod": "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n",
        "main.go": GO.replace("HANDED", going[0]).replace("QUERY", going[1]),
        "flush.go": f"package main\n\n{GO_FLUSH.replace('usage_records', 'metered_usage')}",
    }
    assert codes(audited(tmp_path, tree)) == GOING[going]


PHP = """<?php
namespace App\\Console\\Commands;
class DrainUsage extends Command
{
    protected $signature = 'usage:drain';
    public function handle()
    {
        foreach (UsageEvent::ASKED->get() as $row) {
            $row->user->reportMeterEvent('calls', quantity: $row->tokens);
            $row->update(['reported_at' => now()]);
        }
    }
}
"""
LARAVEL: Tree = {
    "composer.json": '{"require": {"laravel/framework": "^11", "laravel/cashier": "^15"}}',
    "routes/console.php": "<?php\nSchedule::command('usage:drain')->hourly();\n",
    "app/Http/Controllers/WorkController.php": "<?php\nclass WorkController extends Controller\n{\n    public function store(Request $request)\n    {\n        $out = $this->llm->generate($request->input('prompt'));\n        UsageEvent::create(['user_id' => $request->user()->id, 'tokens' => $out->tokens]);\n        return response()->json(['text' => $out->text]);\n    }\n}\n",
}
ELOQUENT = {
    "whereNull('reported_at')->where('created_at', '>=', now()->startOfMonth())": LATE,
    "whereNull('reported_at')->where('created_at', '>=', Carbon::now()->firstOfMonth())": LATE,
    "where('reported', false)->where('created_at', '>=', now()->startOfMonth())": LATE,
    "whereNull('reported_at')": set(),
    "whereNull('reported_at')->where('created_at', '<', now()->startOfMonth())": set(),
    "whereNull('reported_at')->where('created_at', '>=', now()->subMonth()->startOfMonth())": set(),
    "whereNull('reported_at')->where('created_at', '>=', now()->subHours(2)->startOfMonth())": set(),
}


@pytest.mark.parametrize("asked", ELOQUENT)
def test_unsent_rows_of_the_month_in_laravel(tmp_path: Path, asked: str) -> None:
    command = PHP.replace("ASKED", asked)
    tree = {**LARAVEL, "app/Console/Commands/DrainUsage.php": command}
    assert codes(audited(tmp_path, tree)) == ELOQUENT[asked]


RUBY = """class DrainJob < ApplicationJob
  def perform
    Org.find_each do |org|
      used = Usage.total(org, HANDED)
      Stripe::Billing::MeterEvent.create(event_name: "calls", identifier: "#{org.id}-#{Time.current.hour}", payload: { stripe_customer_id: org.customer, value: SENT.to_s })
    end
  end
end
"""
RAILS: Tree = {
    "Gemfile": 'gem "stripe", "~> 13"\n',
    "app/services/usage.rb": "class Usage\n  def self.total(org, since)\n    Call.where(org: org).where('created_at >= ?', since).sum(:tokens)\n  end\nend\n",
    "app/controllers/calls_controller.rb": "class CallsController < ApplicationController\n  def create\n    answer = client.chat(parameters: {})\n    Call.create!(org: current_org, tokens: answer.dig('usage', 'total_tokens'))\n    render json: answer\n  end\nend\n",
    "config/recurring.yml": "production:\n  drain:\n    class: DrainJob\n    schedule: every hour\n",
}
RAILWAYS = {
    ("Time.current.beginning_of_month", "used"): LATE,
    ("2.hours.ago.beginning_of_month", "used"): set(),
    ("org.last_reported_at", "used"): set(),
}


@pytest.mark.parametrize("way", RAILWAYS)
def test_a_total_that_is_sent_as_it_is_answered(tmp_path: Path, way: tuple[str, str]) -> None:
    job = RUBY.replace("HANDED", way[0]).replace("SENT", way[1])
    assert codes(audited(tmp_path, {**RAILS, "app/jobs/drain_job.rb": job})) == RAILWAYS[way]


SCRIPT = """import Stripe from 'stripe';
import { usageOf } from '../../../lib/usage';
const stripe = new Stripe(process.env.KEY!);
export async function GET() {
  const now = new Date();
  for (const org of await orgs()) {
    const used = await usageOf(org.id, HANDED);
    WATCH
    await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: `${org.id}-${now.getHours()}`, payload: { stripe_customer_id: org.customer, value: String(SENT) } });
  }
  return Response.json({});
}
"""
LIB = "import { supabase } from './db';\nexport async function usageOf(org: string, from: Date) {\n  const { data } = await supabase.from('calls').select('tokens').eq('org', org).gte('created_at', from.toISOString());\n  return data.reduce((sum, one) => sum + one.tokens, 0);\n}\n"
SCRIPTS = {
    ("new Date(now.getFullYear(), now.getMonth(), 1)", "used"): LATE,
    ("new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1))", "used"): LATE,
    ("startOfMonth(now)", "used"): LATE,
    ("new Date(now.getFullYear(), now.getMonth() - 1, 1)", "used"): set(),
    ("startOfMonth(subMonths(now, 1))", "used"): set(),
    ("org.reportedUntil", "used"): set(),
}


@pytest.mark.parametrize("way", SCRIPTS)
def test_a_helper_that_reads_from_a_moment_on(tmp_path: Path, way: tuple[str, str]) -> None:
    tree = {
        "vercel.json": '{"crons": [{"path": "/api/cron/send", "schedule": "0 * * * *"}]}',
        "app/api/cron/send/route.ts": SCRIPT.replace("HANDED", way[0])
        .replace("SENT", way[1])
        .replace("WATCH", ""),
        "lib/usage.ts": LIB,
        "app/api/call/route.ts": "export async function POST() { const user = await requireUser(); await db.calls.create({ data: { customer: user.customer, tokens: 1 } }); return Response.json({}); }\n",
    }
    assert codes(audited(tmp_path, tree)) == SCRIPTS[way]


COUNTER = "import { counters } from './schema';\nexport async function totalOf(org: string, periodStart: Date) {\n  const [row] = await db.select().from(counters).where(and(eq(counters.org, org), eq(counters.AT, periodStart)));\n  return row.total;\n}\n"


@pytest.mark.parametrize(
    ("at", "handed", "wanted"),
    [
        ("periodStart", "getCurrentPeriod()", LATE),
        ("periodStart", "getPreviousPeriod()", set()),
        ("region", "getCurrentPeriod()", set()),
    ],
)
def test_the_row_of_the_period_that_is_handed_on(
    tmp_path: Path, at: str, handed: str, wanted: set[str]
) -> None:
    job = SCRIPT.replace("usageOf(org.id, HANDED)", "totalOf(org.id, periodStart)").replace(
        "usageOf", "totalOf"
    )
    job = job.replace(
        "const now = new Date();", f"const now = new Date();\n  const {{ start: periodStart }} = {handed};"
    )
    tree = {
        "vercel.json": '{"crons": [{"path": "/api/cron/send", "schedule": "0 * * * *"}]}',
        "app/api/cron/send/route.ts": job.replace("SENT", "used - org.sent").replace("WATCH", ""),
        "app/lib/usage.ts": COUNTER.replace("AT", at),
    }
    assert codes(audited(tmp_path, tree)) == wanted


def test_a_total_that_only_warns(tmp_path: Path) -> None:
    """The month's use is looked at to warn of it; what is sent are rows of their own."""
    tree = {
        "vercel.json": '{"crons": [{"path": "/api/cron/send", "schedule": "0 * * * *"}]}',
        "app/api/cron/send/route.ts": SCRIPT.replace(
            "orgs()", "db.outbox.findMany({ where: { sentAt: null } })"
        )
        .replace("HANDED", "startOfMonth(now)")
        .replace("WATCH", "if (used > org.allowance) await warn(org);")
        .replace("SENT", "org.tokens"),
        "lib/usage.ts": LIB,
        "app/api/call/route.ts": "export async function POST() { const user = await requireUser(); await db.outbox.create({ data: { customer: user.customer, tokens: 1 } }); return Response.json({}); }\n",
    }
    assert codes(audited(tmp_path, tree)) == set()
