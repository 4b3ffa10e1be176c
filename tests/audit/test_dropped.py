# ruff: noqa: E501
"""Frameworks that end an error by their own means: what jobs declare, calls that let nothing out, the end of a request."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

SWALLOWED, LEFT = {"errors_swallowed"}, {"fire_and_forget"}
EVENT = "Stripe::Billing::MeterEvent.create(event_name: 'pages', identifier: id, payload: { value: pages.to_s, stripe_customer_id: customer })"
SCANS = "class ScansController < ApplicationController\n  before_action :authenticate_user!\n  def create\n    found = OpenAI::Client.new.chat(parameters: { messages: params[:messages] })\n    TELL\n    render json: found\n  end\nend\n"
USED = "(current_user.customer_id, found['usage']['total_tokens'], found['id'])"
JOB = "class TellJob < ApplicationJob\n  DECLARED\n  def perform(customer, pages, id)\n    PageMeter.tell(customer, pages, id)\n  end\nDEFINED\nend\n"
METER = f"class PageMeter\n  def self.tell(customer, pages, id)\n    {EVENT}\n  end\nend\n"
DECLARED: dict[tuple[str, str], set[str]] = {
    ("discard_on Stripe::StripeError", ""): SWALLOWED,
    ("discard_on StandardError, ActiveJob::DeserializationError", ""): SWALLOWED,
    ("discard_on(Stripe::APIConnectionError) { |job, e| Rails.logger.warn(e.message) }", ""): SWALLOWED,
    ("rescue_from(StandardError) { |e| Rails.logger.error(e.message) }", ""): SWALLOWED,
    ("rescue_from StandardError, with: :note", "  def note(e)\n    Rails.logger.error(e)\n  end"): SWALLOWED,
    ("sidekiq_options queue: 'low', retry: false", ""): SWALLOWED,
    ("sidekiq_options retry: 0", ""): SWALLOWED,
    ("discard_on ActiveJob::DeserializationError", ""): set(),
    ("discard_on Stripe::InvalidRequestError", ""): set(),
    ("retry_on Stripe::StripeError, attempts: 20", ""): set(),
    ("retry_on Stripe::APIConnectionError\n  discard_on Stripe::StripeError", ""): set(),
    ("rescue_from(StandardError) { |e| retry_job wait: 5.minutes }", ""): set(),
    ("rescue_from StandardError, with: :note", "  def note(e)\n    Sentry.capture_exception(e)\n    raise e\n  end"): set(),
    ("sidekiq_options retry: 25", ""): set(),
    ("sidekiq_options queue: 'low'", ""): set(),
}  # fmt: skip


def ruby(tell: str, job: str = "") -> Tree:
    own = {"app/jobs/tell_job.rb": job} if job else {}
    return {"app/controllers/scans_controller.rb": SCANS.replace("TELL", tell), "app/models/page_meter.rb": METER, **own}  # fmt: skip


@pytest.mark.parametrize("case", DECLARED)
def test_what_a_class_of_jobs_declares(tmp_path: Path, case: tuple[str, str]) -> None:
    job = JOB.replace("DECLARED", case[0]).replace("DEFINED", case[1])
    assert codes(audited(tmp_path, ruby(f"TellJob.perform_later{USED}", job))) == DECLARED[case]


UNSENT = "class TellJob\n  include Sidekiq::Job\n  sidekiq_options retry: false\n  def perform\n    Page.where(reported_at: nil).find_each do |page|\n      PageMeter.tell(page.customer, page.count, page.id)\n      page.update!(reported_at: Time.current)\n    end\n  end\nend\n"


def test_a_job_of_the_clock_runs_again_by_itself(tmp_path: Path) -> None:
    tree = {**ruby("Page.create!(customer: current_user.customer_id, count: 1)", UNSENT), "config/schedule.yml": "tell:\n  cron: '*/5 * * * *'\n  class: TellJob\n"}  # fmt: skip
    assert codes(audited(tmp_path, tree)) == set()


CALLS = {
    f"suppress(Stripe::StripeError) {{ PageMeter.tell{USED} }}": SWALLOWED,
    f"Rails.error.handle do\n      PageMeter.tell{USED}\n    end": SWALLOWED,
    f"suppress(ActiveRecord::RecordNotFound) {{ PageMeter.tell{USED} }}": set(),
    f"Rails.error.record do\n      PageMeter.tell{USED}\n    end": set(),
}


@pytest.mark.parametrize("tell", CALLS)
def test_a_block_that_lets_nothing_out(tmp_path: Path, tell: str) -> None:
    assert codes(audited(tmp_path, ruby(tell))) == CALLS[tell]


PHP = "<?php\nnamespace App\\Http\\Controllers;\nuse App\\Jobs\\TellPages;\nclass ScanController extends Controller\n{\n    public function store(Request $request)\n    {\n        $user = $request->user();\n        $found = app(Reader::class)->read($request->input('text'));\n        TELL\n        return response()->json(['text' => $found->text]);\n    }\n}\n"
PHP_JOB = "<?php\nnamespace App\\Jobs;\nclass TellPages implements ShouldQueue\n{\n    use Queueable;\n    public function __construct(public $user, public int $pages) {}\n    public function handle(): void\n    {\n        HANDLED\n    }\n}\n"
TOLD = "$this->user->reportMeterEvent('pages', quantity: $this->pages);"
CASHIER = "$user->reportMeterEvent('pages', quantity: $found->pages)"
IN_PHP = {
    f"rescue(fn () => {CASHIER});": SWALLOWED,
    f"rescue(function () use ($user, $found) {{ {CASHIER}; }});": SWALLOWED,
    f"rescue(fn () => {CASHIER}, fn ($e) => TellPages::dispatch($user, $found->pages));": set(),
    f"{CASHIER};": set(),
    "TellPages::dispatchAfterResponse($user, $found->pages);": LEFT,
    "TellPages::dispatch($user, $found->pages)->afterResponse();": LEFT,
    "TellPages::dispatch($user, $found->pages)->afterCommit();": set(),
    "TellPages::dispatch($user, $found->pages);": set(),
}


@pytest.mark.parametrize("tell", IN_PHP)
def test_laravels_own_ways(tmp_path: Path, tell: str) -> None:
    tree = {
        "composer.json": '{"require":{"laravel/framework":"^11","laravel/cashier":"^15"}}',
        "app/Http/Controllers/ScanController.php": PHP.replace("TELL", tell),
        "app/Jobs/TellPages.php": PHP_JOB.replace("HANDLED", TOLD),
        "routes/web.php": "<?php\nRoute::middleware('auth')->post('/scan', [ScanController::class, 'store']);\n",
    }
    assert codes(audited(tmp_path, tree)) == IN_PHP[tell]


def test_a_job_that_is_put_back_is_not_lost(tmp_path: Path) -> None:
    for name, done, wanted in (
        ("put back", "$this->release(60);", set()),
        ("logged", "Log::error($e);", SWALLOWED),
    ):
        tree = {
            "composer.json": '{"require":{"laravel/framework":"^11","laravel/cashier":"^15"}}',
            "app/Http/Controllers/ScanController.php": PHP.replace(
                "TELL", "TellPages::dispatch($user, $found->pages);"
            ),
            "app/Jobs/TellPages.php": PHP_JOB.replace(
                "HANDLED", f"try {{ {TOLD} }} catch (\\Throwable $e) {{ {done} }}"
            ),
            "routes/web.php": "<?php\nRoute::middleware('auth')->post('/scan', [ScanController::class, 'store']);\n",
        }
        assert codes(audited(tmp_path / name, tree)) == wanted


PYTHON = "import stripe\n\nABOVE\ndef tell(customer, pages, key):\n    stripe.billing.MeterEvent.create(event_name='pages', identifier=key, payload={'stripe_customer_id': customer, 'value': str(pages)})\n"
VIEW = "from rest_framework.views import APIView\nfrom meter import tell\nfrom django.db import transaction\n\nclass ScanView(APIView):\n    def post(self, request):\n        customer = request.user.stripe_customer_id\n        found = openai.responses.create(input='x')\n        TELL\n        return Response({'text': found.text})\n"
URLS = "from django.urls import path\nfrom views import ScanView\nurlpatterns = [path('scan/', ScanView.as_view())]\n"
IN_PYTHON: dict[tuple[str, str], set[str]] = {
    ("", "transaction.on_commit(lambda: tell(customer, found.usage.total_tokens, found.id))"): set(),
    ("", "transaction.on_commit(lambda: tell(customer, found.usage.total_tokens, found.id), robust=True)"): SWALLOWED,
    ("", "try:\n            tell(customer, found.usage.total_tokens, found.id)\n        finally:\n            return Response({'text': found.text})"): SWALLOWED,
    ("", "try:\n            tell(customer, found.usage.total_tokens, found.id)\n        finally:\n            lock.release()"): set(),
    ("@backoff.on_exception(backoff.expo, stripe.StripeError, max_tries=3, raise_on_giveup=False)", "tell(customer, found.usage.total_tokens, found.id)"): SWALLOWED,
    ("@backoff.on_exception(backoff.expo, stripe.StripeError, max_tries=3)", "tell(customer, found.usage.total_tokens, found.id)"): set(),
    ("@dramatiq.actor(max_retries=0)", "tell.send(customer, found.usage.total_tokens, found.id)"): SWALLOWED,
    ("@dramatiq.actor", "tell.send(customer, found.usage.total_tokens, found.id)"): set(),
}  # fmt: skip


@pytest.mark.parametrize("case", IN_PYTHON)
def test_pythons_own_ways(tmp_path: Path, case: tuple[str, str]) -> None:
    tree = {"requirements.txt": "django\ndjangorestframework\nstripe==12.0.0\n", "meter.py": PYTHON.replace("ABOVE", case[0]), "views.py": VIEW.replace("TELL", case[1]), "urls.py": URLS}  # fmt: skip
    assert codes(audited(tmp_path, tree)) == IN_PYTHON[case]


@pytest.mark.parametrize(
    ("above", "wanted"),
    [
        ("@shared_task", ["low"]),
        ("@shared_task(bind=True, max_retries=0)", ["low"]),
        ("@shared_task(autoretry_for=(Exception,))", []),
        ("@shared_task(base=TryingTask)", []),
    ],
)
def test_a_plain_task_of_celery_is_for_review_only(tmp_path: Path, above: str, wanted: list[str]) -> None:
    meter = PYTHON.replace("ABOVE", f"from celery import shared_task\n\n{above}")
    tell = "tell.delay(customer, found.usage.total_tokens, found.id)"
    tree = {"requirements.txt": "django\ndjangorestframework\ncelery\nstripe==12.0.0\n", "meter.py": meter, "views.py": VIEW.replace("TELL", tell), "urls.py": URLS}  # fmt: skip
    report = audited(tmp_path, tree)
    assert report.verdict == "pass"
    assert [one.confidence for one in report.findings if one.code == "errors_swallowed"] == wanted


GO = """package main

func tell(c context.Context, customer string, n int64) error {
	_, err := meterevent.New(&stripe.BillingMeterEventParams{Payload: map[string]string{"value": strconv.FormatInt(n, 10), "stripe_customer_id": customer}})
	return err
}

func scan(w http.ResponseWriter, r *http.Request) {
	account := r.Context().Value("account").(*Account)
	answer := read(r.Context())
	TELL
	w.WriteHeader(200)
}

func main() {
	http.HandleFunc("/scan", scan)
	http.ListenAndServe(":8080", nil)
}
"""
LITERAL = "defer func() {\n\t\tif err := tell(r.Context(), account.Customer, answer.Tokens); err != nil {\n\t\t\tpanic(err)\n\t\t}\n\t}()"
DEFERRED = {
    "defer tell(r.Context(), account.Customer, answer.Tokens)": SWALLOWED,
    LITERAL: set(),
    LITERAL.replace("panic(err)", "log.Println(err)"): SWALLOWED,
}


@pytest.mark.parametrize("told", DEFERRED)
def test_what_go_defers(tmp_path: Path, told: str) -> None:
    tree = {"go.mod": "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n", "main.go": GO.replace("TELL", told)}  # fmt: skip
    assert codes(audited(tmp_path, tree)) == DEFERRED[told]
