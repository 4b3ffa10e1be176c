# ruff: noqa: E501
"""Right ways that were called wrong, each beside the wrong one it looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
EVENT = (
    "{ event_name: 'calls', identifier: id, payload: { stripe_customer_id: customer, value: String(count) } }"
)
REPORT = f"{HEAD}export async function report(customer, count, id) {{ await stripe.billing.meterEvents.create({EVENT}); }}\n"
ROUTE = "import { report } from './report';\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  SEND\n  res.json(answer);\n});\n"
REPORTED = "await report(req.user.customer, answer.usage.total_tokens, answer.id);"

GENERATORS = {
    "yield* stripe.billing.meterEvents.create(EVENT);": set(),
    "yield stripe.billing.meterEvents.create(EVENT);": set(),
    "stripe.billing.meterEvents.create(EVENT);": {"fire_and_forget"},
}


@pytest.mark.parametrize("sent", GENERATORS)
def test_what_a_generator_yields_is_waited_for(tmp_path: Path, sent: str) -> None:
    """`Effect.gen(function* () { yield* report() })`, `co(function* () { yield report() })`."""
    body = sent.replace("EVENT", EVENT)
    made = f"{HEAD}export function report(customer, count, id) {{ return run(function* () {{ {body} }}); }}\n"
    tree = {"report.ts": made, "server.ts": ROUTE.replace("SEND", REPORTED)}
    assert codes(audited(tmp_path, tree)) == GENERATORS[sent]


OLD = "const Stripe = require('stripe');\nconst stripe = new Stripe(process.env.KEY);\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await translate(req.body.text);\n  await stripe.subscriptionItems.createUsageRecord(req.user.item, { quantity: answer.words, timestamp: 'now' });\n  res.json(answer);\n});\n"


@pytest.mark.parametrize(("own", "wanted"), [("14.1.0", set()), ("18.0.0", {"legacy_api_removed"})])
def test_a_workspace_pins_the_kit_for_itself(tmp_path: Path, own: str, wanted: set[str]) -> None:
    tree = {
        "package.json": '{ "dependencies": { "stripe": "^20.0.0" } }',
        "apps/api/package.json": f'{{ "dependencies": {{ "stripe": "^{own}" }} }}',
        "apps/api/src/server.js": OLD,
    }
    assert codes(audited(tmp_path, tree)) == wanted


ANSWERED = {
    "console.error(e); send(res, 500, { message: e.message });": set(),
    "console.error(e); send(res, 200, answer);": {"errors_swallowed"},
}


@pytest.mark.parametrize("caught", ANSWERED)
def test_an_error_may_be_answered_by_a_function_of_its_own(tmp_path: Path, caught: str) -> None:
    tried = f"try {{ {REPORTED} }} catch (e) {{ {caught} }}"
    tree = {"report.ts": REPORT, "server.ts": ROUTE.replace("SEND", tried)}
    assert codes(audited(tmp_path, tree)) == ANSWERED[caught]


TICK = f"""{HEAD}async function drain() {{
  for (const {{ id, customer, count }} of await db.query('SELECT * FROM accounts')) {{
    await stripe.billing.meterEvents.create({EVENT});
  }}
}}
"""
TICKS = {
    "cron.schedule('*/5 * * * *', () => { drain(); });": set(),
    "setInterval(() => { drain(); }, 60_000);": set(),
    "app.post('/done', requireUser, async (req, res) => { drain(); res.json({}); });": {"fire_and_forget"},
}


@pytest.mark.parametrize("started", TICKS)
def test_nobody_waits_for_the_tick_of_a_clock(tmp_path: Path, started: str) -> None:
    kept = "app.post('/run', requireUser, async (req, res) => {\n  const answer = await translate(req.body.text);\n  await db.query('UPDATE accounts SET words = words + $1 WHERE id = $2', [answer.words, req.user.id]);\n  res.json(answer);\n});\n"
    assert codes(audited(tmp_path, {"server.ts": TICK + kept + started})) == TICKS[started]


NOTE = "import { sendNote } from './mail';\n"
MAIL = "import { Resend } from 'resend';\nconst resend = new Resend(process.env.RESEND!);\nexport async function sendNote(to, text) { await resend.emails.send({ to, text }); }\n"
WELCOME = f"{NOTE}app.post('/welcome', requireUser, async (req, res) => {{ await sendNote(req.user.email, 'hello'); res.json({{}}); }});\n"


@pytest.mark.parametrize(
    ("meter", "wanted"), [("resolutions", set()), ("emails_sent", {"unmetered_endpoint"})]
)
def test_a_mail_is_sold_only_where_the_report_speaks_of_mails(
    tmp_path: Path, meter: str, wanted: set[str]
) -> None:
    """The messages of a chat are no mails, nor is the mailbox that a report is for, nor whoever gets its receipt."""
    solved = f"{NOTE}import {{ report }} from './report';\napp.post('/solve', requireUser, async (req, res) => {{\n  const mailbox = await boxOf(req.user, req.body.messageId);\n  const done = await close(mailbox);\n  const receipt_email = req.user.email;\n  await sendNote(receipt_email, done.text);\n  await report(mailbox.customer, 1, req.body.messageId);\n  res.json(done);\n}});\n"
    tree = {
        "report.ts": REPORT.replace("'calls'", f"'{meter}'"),
        "mail.ts": MAIL,
        "solve.ts": solved,
        "welcome.ts": WELCOME,
    }
    report = audited(tmp_path, tree)
    assert codes(report) == wanted
    assert (report.verdict is Verdict.PASS) == (not wanted)


GO_SEND = """package billing

import "github.com/stripe/stripe-go/v81/billing/meterevent"

type Service struct{ db Store }

func (s *Service) JobSendUsage(ctx context.Context, job SendUsage) error {
	return s.db.Transaction(ctx, func(tx Tx) error {
		org, err := s.db.Organization(ctx, job.OrganizationID)
		if err != nil {
			return err
		}
		return s.sendUsage(ctx, org)
	})
}

func (s *Service) sendUsage(ctx context.Context, org Organization) error {
	_, err := meterevent.New(&stripe.BillingMeterEventParams{
		EventName: stripe.String("emails"), Identifier: stripe.String(org.Period()),
		Payload: map[string]string{"stripe_customer_id": org.Customer, "value": strconv.Itoa(org.Sent)},
	})
	if err != nil {
		FATE
	}
	return nil
}
"""
GO_POOL = """package worker

func Start(queue Queue, billingService *billing.Service) error {
	pool, err := workerpool.New(queue)
	if err != nil {
		return err
	}
	workerpool.AddHandler(pool, billingService.JobSendUsage)
	return pool.Run()
}
"""
RIVER = """package billing

type SendUsageWorker struct {
	river.WorkerDefaults[SendUsage]
	service *Service
}

func (w *SendUsageWorker) Work(ctx context.Context, job *river.Job[SendUsage]) error {
	return w.service.JobSendUsage(ctx, job.Args)
}
"""
FATES = {'return fmt.Errorf("meter: %w", err)': set(), 'log.Println("meter", err)': {"errors_swallowed"}}


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize(
    "pool", [{"worker/worker.go": GO_POOL}, {"billing/worker.go": RIVER}], ids=["pool", "river"]
)
def test_a_job_of_a_queue_in_go(tmp_path: Path, fate: str, pool: dict[str, str]) -> None:
    """A method given to a pool by its name, or a worker's `Work`."""
    tree = {"go.mod": "module shop\n", "billing/service.go": GO_SEND.replace("FATE", fate), **pool}
    report = audited(tmp_path, tree)
    assert codes(report) == FATES[fate], report.endpoints
    assert (report.verdict is Verdict.PASS) == (not FATES[fate])


LAGO = """package lago

type Repository struct{ client *http.Client }

func (repo Repository) Wallets(ctx context.Context) error {
	address := *repo.base
	address.Path = "/api/v1/wallets"
	_, err := repo.doRequestWithRetry(ctx, http.MethodGet, address.String(), nil)
	return err
}

func (repo Repository) SendEvent(ctx context.Context, event Event) error {
	address := *repo.base
	address.Path = "/api/v1/events"
	body, err := json.Marshal(event)
	if err != nil {
		return err
	}
	_, err = repo.doRequestWithRetry(ctx, http.MethodPost, address.String(), body)
	return err
}

func (repo Repository) doRequestWithRetry(ctx context.Context, method string, url string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return repo.client.Do(request)
}
"""


@pytest.mark.parametrize(("asked", "reports"), [("SendEvent(ctx, event)", True), ("Wallets(ctx)", False)])
def test_an_address_whose_path_is_set_for_itself(tmp_path: Path, asked: str, reports: bool) -> None:
    served = f"package lago\n\nfunc (s *Server) Run(w http.ResponseWriter, r *http.Request) {{\n\tctx, event := r.Context(), s.work(r)\n\tif err := s.lagoRepository.{asked}; err != nil {{\n\t\thttp.Error(w, err.Error(), http.StatusBadGateway)\n\t}}\n}}\n"
    report = audited(tmp_path, {"go.mod": "module shop\n", "lago/lago.go": LAGO, "lago/server.go": served})
    assert any(one.reports for one in report.endpoints) == reports, (report.findings, report.endpoints)


METER = """module Meter
  module_function

  def report_activation!(activation)
    Stripe::Billing::MeterEvent.create(event_name: "seats", identifier: activation.id.to_s, payload: { stripe_customer_id: activation.customer, value: "1" })
  HEED
  end
end
"""
JOB = "class MeterJob < ApplicationJob\n  def perform(id)\n    Meter.report_activation!(Activation.find(id))\n  end\nend\n"


@pytest.mark.parametrize(
    ("heed", "wanted"),
    [
        ("", set()),
        ("rescue Stripe::StripeError => e\n    Rails.logger.warn(e.message)", {"errors_swallowed"}),
    ],
)
def test_a_method_that_ends_in_a_bang_has_a_name(tmp_path: Path, heed: str, wanted: set[str]) -> None:
    starts = "class Activation < ApplicationRecord\n  after_create { MeterJob.perform_later(id) }\nend\n"
    tree = {
        "app/services/meter.rb": METER.replace("HEED", heed),
        "app/jobs/meter_job.rb": JOB,
        "app/models/activation.rb": starts,
    }
    report = audited(tmp_path, tree)
    assert codes(report) == wanted
    assert (report.verdict is Verdict.PASS) == (not wanted)
