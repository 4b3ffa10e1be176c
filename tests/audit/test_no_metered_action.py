# ruff: noqa: E501
"""What reports usage and is no metered action: a function that waits for a caller, a trial, a change of plan. Twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

PACKAGE = '{"name": "shop", "private": true, "dependencies": {"next": "15", "stripe": "18", "openai": "4"}}'
HEAD = "import Stripe from 'stripe';\nimport { traced, createService, cache, bus, createBot, Effect, Layer, BillingPort } from './kit';\nconst stripe = new Stripe(process.env.KEY!);\n"
SENT = "await stripe.billing.meterEvents.create({ event_name: 'pages', identifier: id, payload: { stripe_customer_id: customer, value: String(n) } })"
BODY = f"async (customer, n, id) => {{ {SENT}; }}"
ROUTE = "import { auth } from '@/auth';\nimport { report, meter } from '@/lib/meter';\nexport async function POST(req: Request) {\n  const session = await auth();\n  const answer = await render(await req.json());\n  CALLED;\n  return Response.json(answer);\n}\n"

WAITING = {  # what is exported, and how a route calls it
    f"export const report = traced('report', {BODY});": "await report(session.customer, answer.pages, answer.id)",
    f"export const report = cache({BODY});": "await report(session.customer, answer.pages, answer.id)",
    f"export const report =\n  traced(\n    {BODY},\n  );": "await report(session.customer, answer.pages, answer.id)",
    f"export const report: Report = traced(async (customer, n, id) => retried(() => {SENT.removeprefix('await ')}));": "await report(session.customer, answer.pages, answer.id)",
    f"export const meter = createService({{ async reportPages(customer, n, id) {{ {SENT}; }} }});": "await meter.reportPages(session.customer, answer.pages, answer.id)",
    f"export const meter = {{\n  reportPages: traced({BODY}),\n}};": "await meter.reportPages(session.customer, answer.pages, answer.id)",
    f"export const MeterLive = Layer.effect(\n  BillingPort,\n  Effect.map((kit) => ({{\n    recordPages: Effect.fn('x')(async (customer, n, id) => {{ {SENT}; }}),\n  }})),\n);": "await runtime(MeterLive).recordPages(session.customer, answer.pages, answer.id)",
    f"async function send(customer, n, id) {{ {SENT}; }}\nexport const report = traced(send);": "await report(session.customer, answer.pages, answer.id)",
}  # fmt: skip


@pytest.mark.parametrize("is_called", [False, True])
@pytest.mark.parametrize("exported", WAITING)
def test_a_function_that_waits_for_a_caller(tmp_path: Path, exported: str, is_called: bool) -> None:
    called = WAITING[exported] if is_called else "await save(answer)"
    tree = {
        "package.json": PACKAGE,
        "lib/meter.ts": HEAD + exported + "\n",
        "lib/index.ts": "export { report, meter } from './meter';\nexport {\n  MeterLive,\n} from './meter';\n",
        "app/api/render/route.ts": ROUTE.replace("CALLED", called).replace(
            "import { report, meter }",
            "import { report, meter, MeterLive }" if is_called else "import { other }",
        ),
    }
    report = audited(tmp_path, tree)
    assert codes(report) == (set() if is_called else {"never_reported"}), report.findings
    assert report.verdict is (Verdict.PASS if is_called else Verdict.FAIL)
    assert [one.route for one in report.endpoints] == (["POST /api/render"] if is_called else [])


def test_what_a_wrapper_makes_of_a_named_function_is_followed(tmp_path: Path) -> None:
    caught = "try { await report(session.customer, answer.pages, answer.id) } catch (e) { console.error(e) }"
    for exported, route in {
        "export const report = traced(send);": ROUTE,
        "export default traced(send);": ROUTE.replace("{ report, meter }", "report"),
    }.items():
        tree = {
            "package.json": PACKAGE,
            "lib/meter.ts": f"{HEAD}async function send(customer, n, id) {{ {SENT}; }}\n{exported}\n",
            "app/api/render/route.ts": route.replace("CALLED", caught),
        }
        assert codes(audited(tmp_path, tree)) == {"errors_swallowed"}, exported


def test_what_is_given_a_part_of_its_values_is_no_other_name(tmp_path: Path) -> None:
    """Which values are whose is not known any more: the size of the body is no customer."""
    tree = {
        "package.json": PACKAGE,
        "lib/meter.ts": f"{HEAD}async function send(customer, n, id) {{ {SENT}; }}\nexport const report = partial(send, org.customer);\n",
        "app/api/render/route.ts": ROUTE.replace(
            "CALLED", "const body = await req.json();\n  await report(body.pages, answer.id)"
        ),
    }
    assert "client_supplied_customer" not in codes(audited(tmp_path, tree))


RUNNING = {  # the call itself runs what it is given, at its time; or a framework finds what is exported
    "src/start.ts": f"bus.on('rendered', {BODY});",
    "src/listen.ts": f"Deno.serve({BODY});",
    "src/clock.ts": f"RunCron('meter', {{ schedule: EVERY_MINUTE }}, {BODY});",
    "src/chat.ts": f"export const unsubscribe = bus.subscribe('rendered', {BODY});",
    "src/talk.ts": f"export const helper = createBot({{ onMessage: {BODY} }});",
    "src/once.ts": f"export const done = await main({BODY});",
    "src/local.ts": f"const held = keepAlive({BODY});",
    "src/lead.ts": f"export default traced({BODY});",
    "src/workers/meter.ts": f"export const meterPages = traced({BODY});",
    "src/named.ts": f"export const onRendered = traced({BODY});",
}


@pytest.mark.parametrize("path", RUNNING)
def test_a_function_that_a_call_runs(tmp_path: Path, path: str) -> None:
    report = audited(tmp_path, {"package.json": PACKAGE, path: HEAD + RUNNING[path] + "\n"})
    assert "never_reported" not in codes(report), report.findings


LOADED = {
    "import './meter';": False,
    "await import('./meter');": False,
    "import * as meters from './meter';\nfor (const one of Object.values(meters)) install(one);": False,
    "import { reportPages } from './meter';\ninstall(reportPages);": False,
    "import { reportPages } from './meter';\n// install(reportPages);": True,
    "install('other');": True,
}


@pytest.mark.parametrize("loaded", LOADED)
def test_a_file_that_is_loaded_for_what_it_does(tmp_path: Path, loaded: str) -> None:
    tree = {
        "package.json": PACKAGE,
        "src/meter.ts": f"{HEAD}export const reportPages = traced({BODY});\n",
        "src/start.ts": loaded + "\n",
    }
    assert ("never_reported" in codes(audited(tmp_path, tree))) is LOADED[loaded]


METER = f"{HEAD}export async function report(customer, n, id) {{ {SENT}; }}\n"
PROGRAM = "import OpenAI from 'openai';\nimport { report } from '../lib/meter';\nconst openai = new OpenAI();\nasync function main() {\n  const out = await openai.responses.create({ input: 'x' });\n  await report(process.env.CUSTOMER, out.usage.total_tokens, out.id);\n}\nmain();\n"
TRIALS = {
    "evals/run.ts": True,
    "benchmarks/speed.ts": True,
    "scripts/run-eval.ts": True,
    "prisma/seed.ts": True,
    "src/db/seed.ts": True,
    "src/worker.ts": False,
    "src/evaluations/worker.ts": False,  # that is what some sell
    "scripts/send-digests.ts": False,  # somebody's clock may start that
}


@pytest.mark.parametrize("path", TRIALS)
def test_a_program_beside_the_product(tmp_path: Path, path: str) -> None:
    tree = {
        "package.json": PACKAGE,
        "lib/meter.ts": METER,
        path: PROGRAM.replace("../lib", f"{'../' * path.count('/')}lib"),
    }
    report = audited(tmp_path, tree)
    assert codes(report) == ({"never_reported"} if TRIALS[path] else set()), report.findings
    assert report.verdict is (Verdict.FAIL if TRIALS[path] else Verdict.PASS)


STARTED = {
    "package.json": PACKAGE.replace('"private"', '"scripts": {"start": "tsx evals/grading.ts"}, "private"'),
    "Dockerfile": "FROM node\nCMD node dist/evals/grading.js\n",
}


@pytest.mark.parametrize("starter", STARTED)
def test_a_program_that_is_started_is_the_product(tmp_path: Path, starter: str) -> None:
    tree = {
        "package.json": PACKAGE,
        "lib/meter.ts": METER,
        "evals/grading.ts": PROGRAM,
        starter: STARTED[starter],
    }
    report = audited(tmp_path, tree)
    assert report.verdict is Verdict.PASS, report.findings


def test_a_reporter_that_other_code_names_may_be_called(tmp_path: Path) -> None:
    other = "export async function render(kits) {\n  await kits[0].reportRendered(1);\n}\n"
    tree = {
        "package.json": PACKAGE,
        "lib/meter.ts": METER.replace("report(", "reportRendered("),
        "evals/run.ts": PROGRAM.replace("report(", "reportRendered(").replace(
            "{ report }", "{ reportRendered }"
        ),
    }
    assert codes(audited(tmp_path / "alone", tree)) == {"never_reported"}
    assert codes(audited(tmp_path / "named", {**tree, "src/render.ts": other})) == set()


def test_trials_are_not_counted_beside_what_is_sold(tmp_path: Path) -> None:
    route = ROUTE.replace("CALLED", "await report(session.customer, answer.pages, answer.id)")
    tree = {
        "package.json": PACKAGE,
        "lib/meter.ts": METER,
        "evals/run.ts": PROGRAM,
        "evals/again.ts": PROGRAM.replace("await report", "report"),
        "app/api/render/route.ts": route,
    }
    report = audited(tmp_path, tree)
    assert [one.route for one in report.endpoints] == ["POST /api/render"]
    assert report.verdict is Verdict.PASS, report.findings


USED = "  const used = await db.usage.aggregate({ where: { org: org.id }, _sum: { pages: true } });\n"
SETTLED = "  await stripe.billing.meterEvents.create({ event_name: 'pages', identifier: org.id, payload: { stripe_customer_id: org.customer, value: String(VALUE) } });\n"
PLAN = "import Stripe from 'stripe';\nimport { auth } from '@/auth';\nconst stripe = new Stripe(process.env.KEY!);\nexport async function POST(req: Request) {\n  const { org } = await auth();\n"
CHANGES = {
    (f"{PLAN}{USED}  await stripe.subscriptions.update(org.subscription, {{ items }});\n{SETTLED}}}\n", "app/api/plan/switch/route.ts"): True,
    (f"{PLAN}{USED}{SETTLED}  await stripe.subscriptions.cancel(org.subscription);\n}}\n", "app/api/billing/cancel/route.ts"): True,
    (f"{PLAN}{USED}{SETTLED}  await stripe.checkout.sessions.create({{ mode: 'subscription', line_items }});\n}}\n", "app/api/checkout/route.ts"): True,
    # the work is an order, and the shop pays for each; the plan is made for who has none; one is told when it happens
    (f"{PLAN}  const order = await db.order.findFirst();\n{SETTLED.replace('VALUE', 'order.lines')}  await stripe.checkout.sessions.create({{ mode: 'payment', line_items }});\n}}\n", "app/api/checkout/route.ts"): False,
    (f"{PLAN}{USED}  if (!org.subscription) await stripe.subscriptions.create({{ customer: org.customer }});\n{SETTLED}}}\n", "app/api/render/route.ts"): False,
    (f"{PLAN}  await stripe.subscriptions.create({{ customer: org.customer }});\n{SETTLED.replace('VALUE', '1')}}}\n", "app/api/subscribe/route.ts"): False,
    (f"{PLAN}  await openai.responses.create({{ input }});\n  await stripe.subscriptions.update(org.subscription, {{ items }});\n{USED}{SETTLED}}}\n", "app/api/plans/route.ts"): False,
}  # fmt: skip


@pytest.mark.parametrize(("text", "path"), CHANGES)
def test_a_report_at_a_change_of_plan(tmp_path: Path, text: str, path: str) -> None:
    report = audited(tmp_path, {"package.json": PACKAGE, path: text.replace("VALUE", "used._sum.pages")})
    assert codes(report) == ({"never_reported"} if CHANGES[text, path] else set()), report.findings
    assert report.verdict is (Verdict.FAIL if CHANGES[text, path] else Verdict.PASS)


def test_a_change_of_plan_supports_what_reports(tmp_path: Path) -> None:
    plan = next(text for text, _ in CHANGES).replace("VALUE", "used._sum.pages")
    route = ROUTE.replace("CALLED", "await report(session.customer, answer.pages, answer.id)")
    tree = {
        "package.json": PACKAGE,
        "lib/meter.ts": METER,
        "app/api/render/route.ts": route,
        "app/api/plan/switch/route.ts": plan,
    }
    report = audited(tmp_path, tree)
    assert report.verdict is Verdict.PASS, report.findings
    assert len(report.endpoints) == 2


PYTHON = "import stripe\nfrom fastapi import Depends, FastAPI\n\napp = FastAPI()\n\n\n@app.post('ADDRESS')\ndef act(org=Depends(current_org)):\n    used = db.query(Usage).filter_by(org=org.id).count()\n    CHANGED\n    stripe.billing.MeterEvent.create(event_name='pages', identifier=org.key, payload={'stripe_customer_id': org.customer, 'value': str(used)})\n"
SPOKEN = {
    ("/subscription/upgrade", "stripe.Subscription.modify(org.subscription, items=items)"): {
        "never_reported"
    },
    ("/subscription/upgrade", "log(org)"): set(),
    ("/usage/change", "stripe.Subscription.modify(org.subscription, items=items)"): set(),
}


@pytest.mark.parametrize(("address", "changed"), SPOKEN)
def test_a_change_of_plan_in_python(tmp_path: Path, address: str, changed: str) -> None:
    text = PYTHON.replace("ADDRESS", address).replace("CHANGED", changed)
    report = audited(tmp_path, {"requirements.txt": "fastapi\nstripe==12.0.0\n", "main.py": text})
    assert codes(report) == SPOKEN[address, changed], report.findings
