# ruff: noqa: E501
"""What a failed or late report leaves behind: rows that stay, cursors that move on, periods that close, counters opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Report, Verdict

GO = """package main

import (
	"log"
	"time"

	"github.com/stripe/stripe-go/v82"
	"github.com/stripe/stripe-go/v82/billing/meterevent"
)

type Reporter struct{ store *Store }

func (r *Reporter) report(org Org, seconds int64) error {
	_, err := meterevent.New(&stripe.BillingMeterEventParams{
		EventName: stripe.String("seconds"), Identifier: stripe.String(org.ID),
		Payload: map[string]string{"stripe_customer_id": org.Customer, "value": spell(seconds)},
	})
	return err
}

func (r *Reporter) reportOrg(org Org) {
	for _, used := range r.store.UsageSince(org.ID, org.LastReportedAt) {
		if err := r.report(org, used.Seconds); err != nil {
			log.Printf("usage of %s: %v", org.ID, err)
			LEAVE
		}
	}
	r.store.UpdateLastReportedAt(org.ID, time.Now())
}

func (r *Reporter) loop() {
	ticker := time.NewTicker(5 * time.Minute)
	for range ticker.C {
		for _, org := range r.store.Orgs() {
			r.reportOrg(org)
		}
	}
}

func main() {
	reporter := &Reporter{store: open()}
	reporter.loop()
}
"""


MODULE = "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n"
INNER = GO.replace("\treturn err\n", "\tif err != nil {\n\t\tlog.Print(err)\n\t}\n\treturn nil\n")
FLAGS = GO.replace("UsageSince(org.ID, org.LastReportedAt)", 'Where("reported = false")')


@pytest.mark.parametrize(
    ("program", "leave", "wanted"),
    [
        (GO, "", {"errors_swallowed"}),
        (GO, "continue", {"errors_swallowed"}),
        (GO, "return", set()),
        (INNER, "return", {"errors_swallowed"}),
        (FLAGS, "continue", set()),
    ],
)
def test_a_cursor_that_moves_on_behind_a_logged_failure_loses_it(
    tmp_path: Path, program: str, leave: str, wanted: set[str]
) -> None:
    tree = {"go.mod": MODULE, "main.go": program.replace("LEAVE", leave)}
    assert codes(audited(tmp_path, tree)) == wanted


TASKS = """import stripe
from celery import shared_task


@shared_task
def send_usage():
    for org in Org.objects.all():
        _send(org)


def _send(org):
    start = to_datetime(org.current_period_start)
    rows = Usage.objects.filter(
        org=org,
        reported=False,
        BOUND
    )
    for row in rows:
        stripe.billing.MeterEvent.create(event_name="calls", identifier=str(row.id), payload={"stripe_customer_id": org.customer, "value": str(row.quantity)})
        row.reported = True
        row.save()
"""
BEAT = "CELERY_BEAT_SCHEDULE = {'usage': {'task': 'shop.tasks.send_usage', 'schedule': crontab(minute=11)}}\n"


def test_unsent_rows_of_the_open_period_alone_leave_the_last_hour_behind(tmp_path: Path) -> None:
    for name, bound, wanted in (
        ("open", "created_at__gte=start,", {"scheduled_reporting"}),
        ("all", "kind='call',", set()),
    ):
        tree = {"shop/tasks.py": TASKS.replace("BOUND", bound), "shop/settings.py": BEAT}
        assert codes(audited(tmp_path / name, tree)) == wanted, name


TRACKER = """<?php
namespace App\\Services;

class UsageTracker
{
    public function track(Call $call): void
    {
        try {
            $period = UsagePeriod::where('org_id', $call->org_id)->first();
            $period->total_minutes += $call->minutes;
            $period->save();
        } catch (\\Exception $e) {
            CAUGHT
        }
    }

    public function open(Org $org): void
    {
        try {
            UsagePeriod::create(['org_id' => $org->id, 'total_minutes' => 0, 'total_calls' => 0]);
        } catch (\\Exception $e) {
            \\Log::error($e->getMessage());
        }
    }
}
"""
LARAVEL: Tree = {
    "app/Http/Controllers/CallController.php": "<?php\nclass CallController extends Controller\n{\n    public function __construct(private UsageTracker $tracker) {}\n\n    public function store(Request $request)\n    {\n        $call = $this->dial($request->user());\n        $this->tracker->track($call);\n        return $call;\n    }\n\n    public function signup(Request $request)\n    {\n        $this->tracker->open($request->user()->org);\n        return 1;\n    }\n}\n",
    "app/Console/Commands/BillUsage.php": "<?php\nclass BillUsage extends Command\n{\n    protected $signature = 'usage:bill';\n\n    public function handle()\n    {\n        foreach (UsagePeriod::where('billed', false)->get() as $period) {\n            \\Stripe\\InvoiceItem::create(['customer' => $period->customer, 'amount' => $period->total_minutes, 'description' => 'overage'], ['idempotency_key' => $period->id]);\n            $period->update(['billed' => true]);\n        }\n    }\n}\n",
    "routes/console.php": "<?php\nSchedule::command('usage:bill')->everyFiveMinutes();\n",
}


def test_a_counter_that_is_opened_is_no_usage_and_one_that_is_raised_is(tmp_path: Path) -> None:
    for name, caught, wanted in (
        ("logged", "\\Log::error($e->getMessage());", {"errors_swallowed"}),
        ("thrown", "throw $e;", set()),
    ):
        tree = {**LARAVEL, "app/Services/UsageTracker.php": TRACKER.replace("CAUGHT", caught)}
        report = audited(tmp_path / name, tree)
        assert codes(report) == wanted, name
        assert [one.place.line for one in _swallowed(report)] == ([12] if wanted else []), name


def _swallowed(report: Report) -> list[object]:
    return [one for one in report.findings if one.code == "errors_swallowed"]


PYTHON = """import stripe
from fastapi import Depends, FastAPI

app = FastAPI()


@app.post("/generate")
async def generate(account=Depends(current_account)):
    answer = await client.responses.create(input="x")
    report(account.customer, answer.usage.total_tokens, answer.id)
    return answer


def report(customer, tokens, key):
    try:
        stripe.billing.MeterEvent.create(event_name="tokens", identifier=key, payload={"stripe_customer_id": customer, "value": str(tokens)})
    except SwitchedOffError:
        log.info("billing is off")
    except Exception as problem:
        log.error(problem)
        LAST
"""


def test_of_several_catches_that_for_any_error_is_the_one_that_counts(tmp_path: Path) -> None:
    for last, wanted in (("raise", set()), ("pass", {"errors_swallowed"})):
        report = audited(tmp_path / last, {"main.py": PYTHON.replace("LAST", last)})
        assert codes(report) == wanted, last


METER = """package shop;

@Service
class MeterServiceImpl implements MeterService {
  @Override
  public void forward(String customer, long units, String id) throws StripeException {
    MeterEventCreateParams params = MeterEventCreateParams.builder()
        .setEventName("calls").setIdentifier(id).putPayload("stripe_customer_id", customer).putPayload("value", "" + units).build();
    client.v1().billing().meterEvents().create(params);
  }
}
"""
EVENTS = """package shop;

@Service
class EventServiceImpl implements EventService {
  private final MeterService meterService;

  public void take(Event event) {
    save(event);
    settle(event);
  }

  private void settle(Event event) {
    try {
      meterService.forward(event.customer(), event.units(), event.id());
    } catch (Exception e) {
      CAUGHT
    }
  }
}
"""
CONTROLLER = """package shop;

@RestController
class EventController {
  private final EventService eventService;

  @PostMapping("/events")
  public void create(Account account) {
    eventService.take(account.event());
  }
}
"""


@pytest.mark.parametrize(
    ("caught", "wanted"),
    [('log.error("not sent", e);', {"errors_swallowed"}), ("throw new IllegalStateException(e);", set())],
)
def test_java_is_followed_through_an_interface_to_its_implementation(
    tmp_path: Path, caught: str, wanted: set[str]
) -> None:
    tree = {
        "pom.xml": "<project><artifactId>stripe-java</artifactId><version>31.0.0</version></project>\n",
        "src/main/java/shop/MeterService.java": "package shop;\n\npublic interface MeterService {\n  void forward(String customer, long units, String id);\n}\n",
        "src/main/java/shop/EventService.java": "package shop;\n\npublic interface EventService {\n  void take(Event event);\n}\n",
        "src/main/java/shop/MeterServiceImpl.java": METER,
        "src/main/java/shop/EventServiceImpl.java": EVENTS.replace("CAUGHT", caught),
        "src/main/java/shop/EventController.java": CONTROLLER,
    }
    report = audited(tmp_path, tree)
    assert codes(report) == wanted
    assert report.verdict is (Verdict.FAIL if wanted else Verdict.PASS)
