# ruff: noqa: E501
"""Usage that the application counts in rows of its own and charges for by itself: no meter, and still billed by use."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

JOB = """import Stripe from "stripe";
import { db } from "@/lib/db";
const stripe = new Stripe(process.env.STRIPE_SECRET_KEY!);
export async function GET(req: Request) {
  if (req.headers.get("authorization") !== `Bearer ${process.env.CRON_SECRET}`) return new Response("no", { status: 401 });
  const before = startOfThisMonth();
  for (const team of await db.team.findMany({ where: { active: true } })) {
    const used = await db.usageLog.aggregate({ where: { teamId: team.id, billId: null, at: { lt: before } }, _sum: { cost: true } });
    const bill = await db.bill.create({ data: { teamId: team.id, amount: used._sum.cost } });
    await db.usageLog.updateMany({ where: { teamId: team.id, billId: null, at: { lt: before } }, data: { billId: bill.id } });
    await stripe.paymentIntents.create({ amount: Math.round(used._sum.cost * 100), currency: "eur", customer: team.stripeId, off_session: true, confirm: true });
  }
  return Response.json({ ok: true });
}
"""
WORK = """import { db } from "@/lib/db";
import { auth } from "@/lib/auth";
import OpenAI from "openai";
const openai = new OpenAI();
export async function POST(req: Request) {
  const session = await auth();
  const { text } = await req.json();
  const out = await openai.chat.completions.create({ model: "m", messages: [{ role: "user", content: text }] });
  ROW
  return Response.json(out);
}
"""
ROW = "db.usageLog.create({ data: { teamId: WHOSE, tokens: MANY, cost: MANY * 0.000002 } })"
NEXT: Tree = {
    "package.json": '{"name": "chat", "dependencies": {"next": "15", "stripe": "18.0.0", "openai": "4"}}',
    "tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["./*"]}}}',
    "vercel.json": '{"crons": [{"path": "/api/cron/bills", "schedule": "10 2 1 * *"}]}',
    "app/api/cron/bills/route.ts": JOB,
    "lib/auth.ts": "export async function auth() { return await readVerifiedCookie(); }\n",
    "lib/db.ts": "import { PrismaClient } from '@prisma/client';\nexport const db = new PrismaClient();\n",
}


def _shop(said: str, whose: str = "session.user.teamId", many: str = "out.usage.total_tokens") -> Tree:
    row = said.replace("ROW", ROW).replace("WHOSE", whose).replace("MANY", many)
    return {**NEXT, "app/api/chat/route.ts": WORK.replace("ROW", row)}


def test_rows_that_a_monthly_charge_sums_are_reports(tmp_path: Path) -> None:
    """The month is over when it is charged: what counts is that every row is there."""
    report = audited(tmp_path, _shop("await ROW;"))
    assert report.verdict is Verdict.PASS, report
    assert [one.grade for one in report.endpoints] == ["outbox"]


@pytest.mark.parametrize(
    ("said", "whose", "many", "code"),
    [
        ("await ROW.catch((problem) => console.error(problem));", "session.user.teamId", "out.usage.total_tokens", "errors_swallowed"),
        ("void ROW;", "session.user.teamId", "out.usage.total_tokens", "fire_and_forget"),
        ("const body = await req.clone().json();\n  await ROW;", "body.teamId", "out.usage.total_tokens", "client_supplied_customer"),
        ("const body = await req.clone().json();\n  await ROW;", "session.user.teamId", "body.tokens", "client_supplied_quantity"),
    ],
)  # fmt: skip
def test_such_rows_are_judged_like_any_report(
    tmp_path: Path, said: str, whose: str, many: str, code: str
) -> None:
    """What is lost, or what the client says, is on no bill, or on the wrong one."""
    report = audited(tmp_path, _shop(said, whose, many))
    assert report.verdict is Verdict.FAIL
    assert code in codes(report)


def test_a_route_that_works_without_the_row_is_found(tmp_path: Path) -> None:
    """The same work beside it, and nothing on the bill."""
    tree = _shop("await ROW;")
    tree["app/api/batch/route.ts"] = tree["app/api/chat/route.ts"].replace(
        "await db.usageLog", "await db.other"
    )
    report = audited(tmp_path, tree)
    assert codes(report) == {"unmetered_endpoint"}


def test_a_charge_that_nothing_runs_is_said(tmp_path: Path) -> None:
    """Rows that are kept and never billed."""
    tree = _shop("await ROW;")
    del tree["app/api/cron/bills/route.ts"], tree["vercel.json"]
    tree["lib/bills.ts"] = JOB.replace(
        "export async function GET(req: Request)", "async function chargeMonth(req: Request)"
    )
    report = audited(tmp_path, tree)
    assert report.verdict is Verdict.FAIL
    assert codes(report) == {"never_reported"}


CHARGED = "const used = await db.usageLog.aggregate({ where: { teamId: team.id, billId: null, at: { lt: before } }, _sum: { cost: true } });"
ASIDE: dict[str, Tree] = {
    "a plan's renewal": {
        "app/api/cron/bills/route.ts": JOB.replace(CHARGED, "").replace("used._sum.cost", "team.plan.price"),
    },
    "usage that is only shown": {
        "app/api/cron/bills/route.ts": JOB.replace("Math.round(used._sum.cost * 100)", "1900"),
    },
    "a wallet that is filled again": {
        "app/api/cron/auto-reload/route.ts": JOB,
        "vercel.json": NEXT["vercel.json"].replace("bills", "auto-reload"),
        "app/api/cron/bills/route.ts": "export const nothing = 1;\n",
    },
    "no charge": {
        "app/api/cron/bills/route.ts": JOB.replace("stripe.paymentIntents.create", "db.summary.create"),
    },
    "a purchase of the customer's own": {
        "app/api/pay/route.ts": JOB.replace("GET", "POST").replace("off_session: true, confirm: true", "metadata: {}")
        .replace("ok: true", "secret: intent.client_secret"),
        "app/api/cron/bills/route.ts": "export const nothing = 1;\n",
    },
    "coupons": {
        "app/api/cron/bills/route.ts": JOB.replace("usageLog", "couponUsage"),
        "app/api/chat/route.ts": WORK.replace("ROW", ROW.replace("usageLog", "couponUsage").replace("WHOSE", "session.user.teamId").replace("MANY", "1")),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ASIDE)
def test_other_charges_are_no_bill_for_use(tmp_path: Path, name: str) -> None:
    """Flat plans, balances, purchases and costs that are only counted stay what they are."""
    swallowed = _shop("await ROW.catch((problem) => console.error(problem));")
    report = audited(tmp_path, {**swallowed, **ASIDE[name]})
    assert report.verdict is Verdict.SKIP, report


def test_a_shop_sums_its_cart_and_not_use(tmp_path: Path) -> None:
    """Orders have lines with prices; nobody used them."""
    tree = {
        **NEXT,
        "app/api/cron/bills/route.ts": JOB.replace("usageLog", "orderLine"),
        "app/api/chat/route.ts": WORK.replace(
            "ROW", "db.orderLine.create({ data: { teamId: session.user.teamId, quantity: 1, cost: 2 } });"
        ),
    }
    assert audited(tmp_path, tree).verdict is Verdict.SKIP


TWO_JOBS = """import Stripe from "stripe";
import cron from "node-cron";
import { db } from "./db";
import { makeBills } from "./bills";
const stripe = new Stripe(process.env.STRIPE_SECRET_KEY!);
async function chargeBills() {
  for (const bill of await db.invoice.findMany({ where: { status: "UNPAID" }, include: { team: true } })) {
    await stripe.paymentIntents.create({ amount: bill.amount, currency: "eur", customer: bill.team.stripeId, off_session: true, confirm: true });
  }
}
cron.schedule("10 2 1 * *", async () => { await makeBills(); });
cron.schedule("10 3 * * *", async () => { await chargeBills(); });
"""
BILLS = """import { db } from "./db";
export async function makeBills() {
  for (const team of await db.team.findMany()) {
    const rows = await db.usageEvent.findMany({ where: { teamId: team.id, invoiceId: null } });
    const amount = rows.reduce((sum, row) => sum + row.cost, 0);
    await db.invoice.create({ data: { teamId: team.id, amount, status: "UNPAID" } });
  }
}
"""
SERVER = """import express from "express";
import { db } from "./db";
import "./jobs";
const app = express();
app.post("/run", requireUser, async (req, res) => {
  const out = await work(req.body.text);
  try {
    await db.usageEvent.create({ data: { teamId: req.user.teamId, units: out.units, cost: out.units * 2 } });
  } catch (problem) {
    console.error(problem);
  }
  res.json(out);
});
app.listen(3000);
"""


def test_a_job_makes_the_bills_and_another_charges_them(tmp_path: Path) -> None:
    """The invoice stands between the rows and the charge."""
    tree = {
        "package.json": '{"dependencies": {"express": "4", "stripe": "18.0.0", "node-cron": "3"}}',
        "src/server.ts": SERVER,
        "src/jobs.ts": TWO_JOBS,
        "src/bills.ts": BILLS,
        "src/db.ts": NEXT["lib/db.ts"],
    }
    assert codes(audited(tmp_path, tree)) == {"errors_swallowed"}


PYTHON: Tree = {
    "requirements.txt": "fastapi\ncelery\nstripe==11.0.0\nsqlalchemy\n",
    "app/models.py": "class UsageRecord(Base):\n    __tablename__ = 'usage_records'\n",
    "app/main.py": """from fastapi import FastAPI, Depends
from app.models import UsageRecord
from app.auth import current_user
app = FastAPI()

@app.post("/transcribe")
async def transcribe(audio: bytes, user=Depends(current_user), db=Depends(get_db)):
    text = work(audio)
    SAVE
    return text
""",
    "app/tasks.py": """import stripe
from celery import Celery
from sqlalchemy import func
from app.models import UsageRecord, User
celery = Celery()
celery.conf.beat_schedule = {"bill": {"task": "app.tasks.bill_month", "schedule": crontab(day_of_month=1, hour=2)}}

@celery.task
def bill_month():
    for user in session.query(User).all():
        minutes = session.query(func.sum(UsageRecord.minutes)).filter(UsageRecord.user_id == user.id).scalar()
        amount = int(minutes * RATE_CENTS)
        stripe.PaymentIntent.create(amount=amount, currency="usd", customer=user.stripe_id, off_session=True, confirm=True)
""",
}
RUBY: Tree = {
    "Gemfile": 'gem "rails"\ngem "stripe"\ngem "sidekiq-cron"\n',
    "config/schedule.yml": "bill:\n  cron: '0 2 1 * *'\n  class: BillMonthJob\n",
    "config/routes.rb": "Rails.application.routes.draw do\n  post '/run', to: 'runs#create'\nend\n",
    "app/models/usage_record.rb": "class UsageRecord < ApplicationRecord\nend\n",
    "app/jobs/bill_month_job.rb": """class BillMonthJob
  include Sidekiq::Worker
  def perform
    Account.find_each do |account|
      cents = UsageRecord.where(account_id: account.id, billed: false).sum(:cost_cents)
      Stripe::PaymentIntent.create({ amount: cents, currency: "usd", customer: account.stripe_id, off_session: true, confirm: true })
    end
  end
end
""",
    "app/controllers/runs_controller.rb": """class RunsController < ApplicationController
  before_action :authenticate_user!
  def create
    out = Work.call(params[:text])
    SAVE
    render json: out
  end
end
""",
}
PHP: Tree = {
    "composer.json": '{"require": {"laravel/framework": "11", "yabacon/paystack-php": "2"}}',
    "routes/api.php": "<?php\nRoute::post('/run', [RunController::class, 'store'])->middleware('auth');\n",
    "routes/console.php": "<?php\nSchedule::command('bill:month')->monthlyOn(1, '02:00');\n",
    "app/Console/Commands/BillMonth.php": """<?php
namespace App\\Console\\Commands;
class BillMonth extends Command {
    protected $signature = 'bill:month';
    public function handle() {
        foreach (Team::all() as $team) {
            $cost = ApiUsage::where('team_id', $team->id)->whereNull('billed_at')->sum('cost');
            Http::withToken(config('services.paystack.secret'))->post('https://api.paystack.co/transaction/charge_authorization', [
                'email' => $team->email, 'amount' => $cost * 100, 'authorization_code' => $team->authorization,
            ]);
        }
    }
}
""",
    "app/Http/Controllers/RunController.php": """<?php
namespace App\\Http\\Controllers;
use App\\Models\\ApiUsage;
class RunController extends Controller {
    public function store(Request $request) {
        $out = $this->work($request->input('text'));
        SAVE
        return response()->json($out);
    }
}
""",
}
GO: Tree = {
    "go.mod": "module shop\n\nrequire github.com/stripe/stripe-go/v81 v81.0.0\n",
    "main.go": """package main

import (
	"net/http"
	"time"
	"github.com/stripe/stripe-go/v81"
	"github.com/stripe/stripe-go/v81/paymentintent"
)

func chargeAll() error {
	for _, team := range teams() {
		var cents int64
		if err := db.QueryRow("SELECT SUM(cost_cents) FROM api_usage WHERE team_id = $1 AND billed = false", team.ID).Scan(&cents); err != nil {
			return err
		}
		_, err := paymentintent.New(&stripe.PaymentIntentParams{
			Amount: stripe.Int64(cents), Customer: stripe.String(team.Stripe), OffSession: stripe.Bool(true), Confirm: stripe.Bool(true),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func run(w http.ResponseWriter, r *http.Request) {
	user := currentUser(r)
	out, units := work(r)
	SAVE
	w.Write(out)
}

func main() {
	go func() {
		for {
			chargeAll()
			time.Sleep(24 * time.Hour)
		}
	}()
	http.HandleFunc("/run", run)
	http.ListenAndServe(":80", nil)
}
""",
}
INSERT = 'db.Exec("INSERT INTO api_usage (team_id, units, cost_cents) VALUES ($1, $2, $3)", user.Team, units, units*2)'
TONGUES: dict[str, tuple[Tree, str, str]] = {
    "python": (
        PYTHON,
        "db.add(UsageRecord(user_id=user.id, minutes=text.minutes))\n    db.commit()",
        "try:\n        db.add(UsageRecord(user_id=user.id, minutes=text.minutes))\n        db.commit()\n"
        "    except Exception as problem:\n        logger.error(problem)",
    ),
    "ruby": (
        RUBY,
        "UsageRecord.create!(account_id: current_user.account_id, units: out.units, cost_cents: out.units * 2)",
        "begin\n      UsageRecord.create!(account_id: current_user.account_id, units: out.units, cost_cents: out.units * 2)\n"
        "    rescue => problem\n      Rails.logger.error(problem)\n    end",
    ),
    "php": (
        PHP,
        "ApiUsage::create(['team_id' => $request->user()->team_id, 'units' => $out->units, 'cost' => $out->units * 2]);",
        "try { ApiUsage::create(['team_id' => $request->user()->team_id, 'units' => $out->units, 'cost' => $out->units * 2]); }\n"
        "        catch (\\Exception $problem) { Log::error($problem); }",
    ),
    "go": (
        GO,
        f'if _, err := {INSERT}; err != nil {{\n\t\thttp.Error(w, "billing", 500)\n\t\treturn\n\t}}',
        f"if _, err := {INSERT}; err != nil {{\n\t\tlog.Println(err)\n\t}}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TONGUES)
def test_own_charges_in_every_tongue(tmp_path: Path, name: str) -> None:
    """The row that is kept, and the row whose failure is only logged."""
    tree, kept, lost = TONGUES[name]
    good = audited(tmp_path / "good", {path: text.replace("SAVE", kept) for path, text in tree.items()})
    assert good.verdict is Verdict.PASS, good
    bad = audited(tmp_path / "bad", {path: text.replace("SAVE", lost) for path, text in tree.items()})
    assert codes(bad) == {"errors_swallowed"}, bad
