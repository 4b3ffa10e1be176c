# ruff: noqa: E501
"""Usage in memory, lost events that nobody reads, overage that is only promised, and trees that are libraries. Twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

SEND = "stripe.billing.MeterEvent.create(event_name='calls', identifier=KEY, payload={'stripe_customer_id': CUSTOMER, 'value': NUMBER})"
REPORTER = """import asyncio
import stripe

class Reporter:
    def __init__(self):
        self.waiting = []

    def add(self, event):
        self.waiting.append(event)

    async def loop(self):
        while True:
            TAKE
            for event in batch:
                SEND
            await asyncio.sleep(30)

reporter = Reporter()
""".replace(
    "SEND", SEND.replace("KEY", "event.id").replace("CUSTOMER", "event.customer").replace("NUMBER", "event.n")
)
MAIN = """import asyncio
from fastapi import Depends, FastAPI
from shop.auth import current_account
from shop.reporter import reporter

app = FastAPI()

@app.on_event("startup")
async def start():
    asyncio.create_task(reporter.loop())

@app.post("/run")
async def run(account=Depends(current_account)):
    answer = await client.responses.create(input="x")
    KEEP
    return answer
"""
SHOP: Tree = {
    "requirements.txt": "fastapi\nstripe==12.0.0\n",
    "shop/__init__.py": "",
    "shop/auth.py": "def current_account():\n    return verify_token()\n",
}
MEMORY = {
    "shop/main.py": MAIN.replace("KEEP", "reporter.add(Used(account.customer, answer.usage.total_tokens))"),
    "shop/reporter.py": REPORTER.replace("TAKE", "batch, self.waiting = self.waiting, []"),
}
STORED = {
    "shop/main.py": MAIN.replace(
        "KEEP",
        "session.add(UsageEvent(customer_id=account.customer, quantity=answer.usage.total_tokens))\n    session.commit()",
    ),
    "shop/reporter.py": REPORTER.replace(
        "TAKE", "batch = session.query(UsageEvent).filter(UsageEvent.sent == False).all()"
    ),
}


def test_usage_that_waits_in_memory(tmp_path: Path) -> None:
    report = audited(tmp_path, {**SHOP, **MEMORY})
    assert "fire_and_forget" in codes(report), report.findings


def test_usage_that_waits_in_a_table(tmp_path: Path) -> None:
    report = audited(tmp_path, {**SHOP, **STORED})
    assert report.verdict is Verdict.PASS, report.findings


LOST = """import stripe
from shop.models import LostEvent

def bill(customer, n, key):
    try:
        SEND
    except Exception as problem:
        LostEvent.objects.create(customer=customer, n=n, error=str(problem))
""".replace("SEND", SEND.replace("KEY", "key").replace("CUSTOMER", "customer").replace("NUMBER", "n"))
VIEW = """from shop.billing import bill

@api_view(["POST"])
def run(request):
    done = client.responses.create(input=request.data["prompt"])
    bill(request.user.customer, done.usage.total_tokens, done.id)
    return Response(done.output_text)
"""
DRAIN = """import stripe
from celery import shared_task
from shop.models import LostEvent

@shared_task
def again():
    for event in LostEvent.objects.filter(sent=False):
        SEND
        event.sent = True
        event.save()

app.conf.beat_schedule = {"again": {"task": "shop.tasks.again", "schedule": 300.0}}
""".replace(
    "SEND",
    SEND.replace("KEY", "event.key").replace("CUSTOMER", "event.customer").replace("NUMBER", "event.n"),
)
DJANGO: Tree = {
    "requirements.txt": "django\nstripe==12.0.0\n",
    "shop/__init__.py": "",
    "shop/models.py": "class LostEvent(models.Model):\n    pass\n",
    "shop/admin.py": "from shop.models import LostEvent\nadmin.site.register(LostEvent)\n",
    "shop/billing.py": LOST,
    "shop/views.py": VIEW,
}


@pytest.mark.parametrize("is_right", [False, True])
def test_lost_events_need_a_reader(tmp_path: Path, is_right: bool) -> None:
    report = audited(tmp_path, {**DJANGO, **({"shop/tasks.py": DRAIN} if is_right else {})})
    assert ("errors_swallowed" not in codes(report)) is is_right, report.findings


PLANS = "import stripe\n\nPLANS = {'team': {'price': 20, 'included': 1000, OVERAGE}}\n"
COUNTED = (
    "def bump(db, org):\n    db.execute('UPDATE orgs SET calls_used = calls_used + 1 WHERE id = $1', org)\n"
)


@pytest.mark.parametrize(
    ("overage", "counter", "is_right"),
    [
        ("'overage_rate': 0.02", COUNTED, False),
        ("'overage_rates': {'call': 0.02}", COUNTED, False),
        ("'overage_rate': 0", COUNTED, True),
        ("'limit': 1000", COUNTED, True),
        ("'overage_rate': 0.02", "", False),
    ],
)
def test_overage_that_is_promised_and_counted_only(
    tmp_path: Path, overage: str, counter: str, is_right: bool
) -> None:
    tree = {
        "requirements.txt": "stripe==12.0.0\n",
        "shop/plans.py": PLANS.replace("OVERAGE", overage),
        "shop/usage.py": counter,
    }
    report = audited(tmp_path, tree)
    assert ("never_reported" not in codes(report)) is is_right
    assert (report.verdict is Verdict.SKIP) is is_right


@pytest.mark.parametrize(
    ("name", "is_right"), [("STRIPE_OVERAGE_PRICE_ID", False), ("STRIPE_TEAM_PRICE_ID", True)]
)
def test_a_price_for_overage_in_the_settings(tmp_path: Path, name: str, is_right: bool) -> None:
    tree = {
        "requirements.txt": "stripe==12.0.0\n",
        "shop/settings.py": f"import os\nimport stripe\nPRICE = os.environ['{name}']\n",
    }
    assert (audited(tmp_path, tree).verdict is Verdict.SKIP) is is_right


HELPER = (
    "import stripe\n\ndef report(customer, n, key):\n    "
    + SEND.replace("KEY", "key").replace("CUSTOMER", "customer").replace("NUMBER", "n")
    + "\n"
)
GEM = "module Billing\n  def self.report(customer, n)\n    Stripe::Billing::MeterEvent.create(event_name: 'calls', payload: { value: n, stripe_customer_id: customer })\n  end\nend\n"
PUBLISHED = {
    "python": (
        {
            "pyproject.toml": "[build-system]\nrequires = ['hatchling']\n[project]\nname = 'meterkit'\n",
            "meterkit/__init__.py": HELPER,
        },
        {"Procfile": "web: uvicorn meterkit:app\n"},
    ),
    "ruby": (
        {"billing.gemspec": "Gem::Specification.new\n", "lib/billing.rb": GEM},
        {"config.ru": "run App\n"},
    ),
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_library_is_not_an_application(tmp_path: Path, kind: str) -> None:
    library, deployed = PUBLISHED[kind]
    assert audited(tmp_path / "library", library).verdict is Verdict.SKIP
    assert audited(tmp_path / "application", {**library, **deployed}).verdict is Verdict.FAIL


RAW = """import os
import httpx
from fastapi import Depends, FastAPI
from shop.auth import current_account

BASE = "HOST"
app = FastAPI()

@app.post("/run")
async def run(account=Depends(current_account)):
    answer = await client.responses.create(input="x")
    async with httpx.AsyncClient(base_url=BASE) as http:
        sent = await http.post(PATH, json={"events": [{"external_customer_id": account.customer, "value": answer.usage.total_tokens}]})
        sent.raise_for_status()
    return answer
"""
HOSTS = {
    "polar": ("https://api.polar.sh", '"/v1/events/ingest"'),
    "orb": ("https://api.withorb.com", '"/v1/ingest"'),
    "metronome": ("https://api.metronome.com", '"/v1/ingest"'),
    "openmeter": ("https://openmeter.cloud", '"/api/v1/events"'),
    "lago": ("https://api.getlago.com", 'BASE + "/api/v1/events"'),
}


@pytest.mark.parametrize("provider", HOSTS)
def test_a_provider_called_by_hand(tmp_path: Path, provider: str) -> None:
    host, path = HOSTS[provider]
    report = audited(tmp_path, {**SHOP, "shop/main.py": RAW.replace("HOST", host).replace("PATH", path)})
    assert report.verdict is Verdict.PASS, report.findings
    assert report.providers == (provider,)


def test_another_service_called_by_hand(tmp_path: Path) -> None:
    report = audited(
        tmp_path,
        {
            **SHOP,
            "shop/main.py": RAW.replace("HOST", "https://search.example").replace("PATH", '"/v1/ingest"'),
        },
    )
    assert report.verdict is Verdict.SKIP


TABLE = """import stripe

class Events:
    def __init__(self):
        self.handlers = {"invoice.paid": self.on_invoice_paid}

    def on_invoice_paid(self, event):
        SEND
""".replace(
    "SEND", SEND.replace("KEY", "event.id").replace("CUSTOMER", "event.customer").replace("NUMBER", "event.n")
)


@pytest.mark.parametrize("is_handed", [True, False])
def test_a_method_in_a_table_of_its_own_file_may_be_called(tmp_path: Path, is_handed: bool) -> None:
    said = TABLE if is_handed else TABLE.replace("self.on_invoice_paid}", "None}")
    report = audited(tmp_path, {"requirements.txt": "stripe==12.0.0\n", "shop/events.py": said})
    sure = [one for one in report.findings if one.code == "never_reported" and one.confidence == "high"]
    assert (sure == []) is is_handed


BUS = "def on(name):\n    def register(f):\n        return handlers.add(name, f)\n    return register\n\ndef emit(name, **data):\n    for f in handlers[name]:\n        f(**data)\n"
BILL = (
    "import stripe\n\nDECORATED def bill(FIRSTcustomer, n, key):\n    "
    + SEND.replace("KEY", "key").replace("CUSTOMER", "customer").replace("NUMBER", "n")
    + "\n"
)
TOLD = """from fastapi import Depends, FastAPI
from shop.auth import current_account
from shop.bus import emit

app = FastAPI()

@app.post("/run")
async def run(body: dict, account=Depends(current_account)):
    answer = await client.responses.create(input="x")
    CALL
    return answer
"""
BY_WORD = {
    "an event": (
        "from shop.bus import on\n\n@on('used')\n",
        "",
        "emit('used', customer=account.customer, n=NUMBER, key=answer.id)",
    ),
    "a job": (
        "async",
        "ctx, ",
        "await app.state.pool.enqueue_job('bill', account.customer, NUMBER, answer.id)",
    ),
}


@pytest.mark.parametrize("way", BY_WORD)
@pytest.mark.parametrize(
    ("number", "is_right"), [("answer.usage.total_tokens", True), ("body['tokens']", False)]
)
def test_told_by_a_word(tmp_path: Path, way: str, number: str, is_right: bool) -> None:
    head, first, call = BY_WORD[way]
    billing = BILL.replace("DECORATED ", f"{head} " if head == "async" else head).replace("FIRST", first)
    tree = {
        **SHOP,
        "shop/bus.py": BUS,
        "shop/billing.py": billing,
        "shop/main.py": TOLD.replace("CALL", call.replace("NUMBER", number)),
    }
    report = audited(tmp_path, tree)
    assert ("client_supplied_quantity" not in codes(report)) is is_right, report.findings
    assert (report.verdict is Verdict.PASS) is is_right, report.findings
