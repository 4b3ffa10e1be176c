# ruff: noqa: E501
"""Right ways of PHP, Go, Ruby and of what is bought by the number; each beside the wrong one it looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

ROUTES = "<?php\nRoute::middleware('auth:sanctum')->post('/run', [RunController::class, 'store']);\n"
CONTROLLER = "<?php\nclass RunController extends Controller {\n    public function store(Request $request) {\n        $out = $this->llm->run($request->input('p'));\n        SEND\n        return response()->json($out);\n    }\n    private function report($user, $count) {\n        try { $user->reportMeterEvent('x', $count); return true; } catch (\\Exception $e) { Log::error($e); return false; }\n    }\n}\n"


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ("if (!$this->report($request->user(), $out->n)) { return response()->json(['error' => 1], 502); }", set()),
        ("$this->report($request->user(), $out->n);", {"errors_swallowed"}),
    ],
)  # fmt: skip
def test_a_private_method_of_a_controller_is_no_route(tmp_path: Path, sent: str, wanted: set[str]) -> None:
    tree = {
        "app/Http/Controllers/RunController.php": CONTROLLER.replace("SEND", sent),
        "routes/api.php": ROUTES,
    }
    assert codes(audited(tmp_path, tree)) == wanted


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("$event->user->reportMeterEvent('x', $event->units);", set()),
        ("try { $event->user->reportMeterEvent('x', $event->units); } catch (\\Exception $e) { Log::error($e); }", {"errors_swallowed"}),
    ],
)  # fmt: skip
def test_a_listener_is_called_by_what_happens(tmp_path: Path, body: str, wanted: set[str]) -> None:
    tree = {
        "app/Http/Controllers/RunController.php": CONTROLLER.partition("    private")[0].replace("SEND", "event(new RunFinished($request->user(), $out->n));") + "}\n",
        "app/Listeners/ReportRun.php": f"<?php\nclass ReportRun implements ShouldQueue {{\n    public $tries = 5;\n    public function handle(RunFinished $event) {{\n        {body}\n    }}\n}}\n",
        "routes/api.php": ROUTES,
    }  # fmt: skip
    assert codes(audited(tmp_path, tree)) == wanted


GO = 'package main\n\nfunc HandleUsage(ctx context.Context, t *asynq.Task) error {\n\tvar p Usage\n\tif err := json.Unmarshal(t.Payload(), &p); err != nil {\n\t\treturn err\n\t}\n\t_, err := meterevent.New(&stripe.BillingMeterEventParams{EventName: stripe.String("x"), Identifier: stripe.String(p.ID), Payload: map[string]string{"stripe_customer_id": p.Customer, "value": strconv.Itoa(p.N)}})\n\tEND\n}\n\nfunc worker() {\n\tmux := asynq.NewServeMux()\n\tmux.HandleFunc("usage:report", HandleUsage)\n\tsrv.Run(mux)\n}\n'


@pytest.mark.parametrize(
    ("end", "wanted"),
    [
        ("return err", set()),
        ("if err != nil {\n\t\tlog.Println(err)\n\t}\n\treturn nil", {"errors_swallowed"}),
    ],
)
def test_a_task_of_asynq(tmp_path: Path, end: str, wanted: set[str]) -> None:
    assert codes(audited(tmp_path, {"main.go": GO.replace("END", end)})) == wanted


RUNS = "class RunsController < ApplicationController\n  before_action :authenticate_user!\n  def create\n    out = Llm.call(params[:p])\n    SEND\n    render json: out\n  end\nend\n"
REPORTER = "class UsageReporter\n  def self.call(user, count, key)\n    Stripe::Billing::MeterEvent.create(event_name: 'x', identifier: key, payload: { stripe_customer_id: user.customer, value: count })\n    Result.new(success: true)\n  rescue Stripe::StripeError => e\n    Rails.logger.error(e)\n    Result.new(success: false, error: e.message)\n  end\nend\n"


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ("result = UsageReporter.call(current_user, out.tokens, out.id)\n    return head(:bad_gateway) unless result.success?", set()),
        ("return head(:bad_gateway) unless UsageReporter.call(current_user, out.tokens, out.id)", set()),
        ("UsageReporter.call(current_user, out.tokens, out.id)", {"errors_swallowed"}),
        ("result = UsageReporter.call(current_user, out.tokens, out.id)", {"errors_swallowed"}),
    ],
)  # fmt: skip
def test_the_last_value_of_a_rescue_is_an_answer(tmp_path: Path, sent: str, wanted: set[str]) -> None:
    tree = {
        "app/controllers/runs_controller.rb": RUNS.replace("SEND", sent),
        "app/services/usage_reporter.rb": REPORTER,
        "config/routes.rb": "Rails.application.routes.draw do\n  resources :runs\nend\n",
    }
    assert codes(audited(tmp_path, tree)) == wanted


HEAD = "const stripe = require('stripe')(process.env.KEY);\n"


def _route(work: str, customer: str, count: str, path: str = "/images") -> Tree:
    sent = f"await stripe.billing.meterEvents.create({{ event_name: 'x', identifier: uuid(), payload: {{ stripe_customer_id: {customer}, value: String({count}) }} }});"
    return {
        "server.js": f"{HEAD}app.post('{path}', requireUser, async (req, res) => {{\n  {work}\n  {sent}\n  res.json({{}});\n}});\n"
    }


@pytest.mark.parametrize(
    ("work", "wanted"),
    [
        ("const { n, prompt } = req.body; const out = await openai.images.generate({ prompt, n });", set()),
        ("const { n, prompt } = req.body; const out = await openai.images.generate({ prompt });", {"client_supplied_quantity"}),
    ],
)  # fmt: skip
def test_who_orders_a_number_gets_no_more_than_that(tmp_path: Path, work: str, wanted: set[str]) -> None:
    assert codes(audited(tmp_path, _route(work, "req.user.customer", "n"))) == wanted


@pytest.mark.parametrize("owner", ["jobs", "this.jobs"])
def test_a_row_that_is_asked_for_by_its_key_is_no_word_of_the_client(tmp_path: Path, owner: str) -> None:
    work = f"const job = await {owner}.get(req.params.id); const out = await render(job);"
    assert codes(audited(tmp_path, _route(work, "job.customer", "out.pages"))) == set()


USAGE = "export class Usage {\n  private constructor(customer, token) {\n    this.customer = customer\n    this.token = token\n  }\n  static create(customer, token) {\n    return new Usage(customer, token)\n  }\n}\n"


@pytest.mark.parametrize(
    ("given", "wanted"), [("req.body.token", {"client_supplied_quantity"}), ("out.usage.total_tokens", set())]
)
def test_a_field_is_what_the_constructor_was_given(tmp_path: Path, given: str, wanted: set[str]) -> None:
    tree = _route(
        f"const out = await llm(req.body.p); const spent = Usage.create(req.user.customer, {given});",
        "spent.customer",
        "spent.token",
    )
    tree["server.js"] = "import { Usage } from './usage';\n" + tree["server.js"]
    assert codes(audited(tmp_path, {"usage.ts": USAGE, **tree})) == wanted


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [("requireUser", set()), ("async (req, res, next) => (req.headers.authorization === process.env.CRON_SECRET ? next() : res.end())", {"scheduled_reporting"})],
)  # fmt: skip
def test_jobs_may_be_what_is_sold(tmp_path: Path, asked: str, wanted: set[str]) -> None:
    """`POST /jobs` starts a job of a customer; behind a secret of the application's own, a clock calls it."""
    tree = _route(
        "if (req.headers.authorization !== process.env.CRON_SECRET) return res.end(); const out = await llm(req.body.p);"
        if wanted
        else "const out = await llm(req.body.p);",
        "out.customer" if wanted else "req.user.customer",
        "out.n",
        "/api/jobs/run",
    )
    text = tree["server.js"].replace("requireUser", "limit" if wanted else asked)
    assert codes(audited(tmp_path, {"server.js": text})) == wanted


@pytest.mark.parametrize(("month", "sure"), [("", "low"), (".for_month(month)", "medium")])
def test_a_nightly_run_that_sends_what_is_left_of_this_month(tmp_path: Path, month: str, sure: str) -> None:
    service = f"class MeterService\n  def report!(row)\n    Stripe::Billing::MeterEvent.create(event_name: 'x', identifier: row.id, payload: {{ stripe_customer_id: row.customer, value: 1 }})\n    row.update!(reported_at: Time.current)\n  rescue Stripe::StripeError => e\n    Rails.logger.warn(e.message)\n  end\n\n  def reconcile!(org, month = org.opened)\n    org.activations{month}.where(reported_at: nil).find_each {{ |row| report!(row) }}\n  end\nend\n"
    tree = {
        "app/controllers/runs_controller.rb": RUNS.replace("SEND", "MeterService.new.report!(current_user.activations.create!(run: out.id))"),
        "app/services/meter_service.rb": service,
        "app/jobs/meter_job.rb": "class MeterJob < ApplicationJob\n  def perform\n    Organization.find_each { |org| MeterService.new.reconcile!(org) }\n  end\nend\n",
        "config/recurring.yml": "production:\n  meter:\n    class: MeterJob\n    schedule: every day at 3am\n",
        "config/routes.rb": "Rails.application.routes.draw do\n  resources :runs\nend\n",
    }  # fmt: skip
    report = audited(tmp_path, tree)
    assert {one.confidence for one in report.findings if one.code == "errors_swallowed"} == {sure}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("mutation { appUsageRecordCreate(price: 1) { id } }", set()), ("POST /v1/billing/meter_events", {"client_side_only"})],
)  # fmt: skip
def test_a_page_that_asks_for_a_charge_buys(tmp_path: Path, query: str, wanted: set[str]) -> None:
    sent = (
        "await stripe.billing.meterEvents.create({ event_name: 'x', identifier: uuid(), payload: { stripe_customer_id: session.customer, value: '1' } })"
        if wanted
        else f"await client.query({{ data: `{query}` }})"
    )
    tree = {
        "web/billing.js": f"{HEAD}export async function charge(session) {{ {sent}; }}\n",
        "web/index.js": "import { charge } from './billing.js';\napp.get('/api/usage/create', async (req, res) => { try { await charge(res.locals.session); res.send({}); } catch (error) { res.status(500).send({}); } });\n",
        "web/frontend/components/Paid.jsx": "export function Paid() { return <button onClick={() => fetch('/api/usage/create')}>Buy</button>; }\n",
    }  # fmt: skip
    assert codes(audited(tmp_path, tree)) == wanted
