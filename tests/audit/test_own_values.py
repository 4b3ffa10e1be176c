# ruff: noqa: E501
"""A value is what it was given, not what its name sounds like. Twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

PACKAGE = '{"dependencies": {"next": "15", "stripe": "18"}}'
HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
EVENT = "{ event_name: 'tokens', identifier: params.id, payload: { stripe_customer_id: params.customer, value: String(params.tokens) } }"
SEND = f"await stripe.billing.meterEvents.create({EVENT});"
ROUTE = """import { auth } from '@/auth';
import { report } from '../../../lib/meter';
export async function POST(req: Request) {
  const body = await req.json();
  const session = await auth();
  const answer = await openai.responses.create({ input: body.prompt });
  await report({ id: answer.id, customer: session.user.customer, tokens: NUMBER });
  return Response.json(answer);
}
"""
METERS = {
    "a parameter": f"{HEAD}export async function report(params: Usage) {{ {SEND} }}\n",
    "a parameter further up": f"{HEAD}async function send(params) {{ {SEND} }}\nexport const report = async (params: Usage) => {{ await send(params); }};\n",
    "an object": f"{HEAD}export async function report(usage: Usage) {{ const params = {{ id: usage.id, customer: usage.customer, tokens: usage.tokens }}; {SEND} }}\n",
}


@pytest.mark.parametrize("meter", METERS)
def test_params_are_what_they_were_given(tmp_path: Path, meter: str) -> None:
    for number, wanted in (
        ("answer.usage.total_tokens", set()),
        ("body.tokens", {"client_supplied_quantity"}),
        ("body.billing_period", set()),
    ):
        tree = {
            "package.json": PACKAGE,
            "lib/meter.ts": METERS[meter],
            "app/api/run/route.ts": ROUTE.replace("NUMBER", number),
        }
        assert codes(audited(tmp_path / number, tree)) == wanted, number


@pytest.mark.parametrize(
    ("head", "given"), [("usage, other", "other ?? kit()"), ("usage, other = kit()", "other")]
)
def test_params_of_a_function_in_an_object_are_handed_over(tmp_path: Path, head: str, given: str) -> None:
    kit = "function kit() { return { find: accountOf, bill: (params, options) => stripe.billing.meterEvents.create(params, options) }; }"
    meter = f"{HEAD}{kit}\nexport async function report({head}) {{ const params = usage; const given = {given}; await given.bill({EVENT}, {{ idempotencyKey: usage.id }}); }}\n"
    tree = {
        "package.json": PACKAGE,
        "lib/meter.ts": meter,
        "app/api/run/route.ts": ROUTE.replace("NUMBER", "answer.usage.total_tokens"),
    }
    assert codes(audited(tmp_path, tree)) == set()


ADDRESSES = {
    "taken from the request": "export async function POST(req: Request, { params }: Context) {",
    "asked of the request": "export async function POST(req: Request, context: Context) {\n  const params = await context.params;",
    "read from the address": "export async function POST(req: Request) {\n  const params = Object.fromEntries(new URL(req.url).searchParams);",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_params_of_the_address_are_the_clients(tmp_path: Path, address: str) -> None:
    body = f"{HEAD}{ADDRESSES[address]}\n  {SEND}\n  return Response.json({{}});\n}}\n"
    tree = {"package.json": PACKAGE, "app/api/run/[customer]/route.ts": body}
    assert "client_supplied_customer" in codes(audited(tmp_path, tree))


def test_params_of_a_server_action_are_the_clients(tmp_path: Path) -> None:
    tree = {
        "package.json": PACKAGE,
        "app/actions.ts": f"'use server';\n{HEAD}export async function record(params: Usage) {{ {SEND} }}\n",
    }
    assert {"client_supplied_quantity", "client_supplied_customer"} <= codes(audited(tmp_path, tree))


SAID = "export async function POST(req: Request) {\n  const session = await auth();\n  const body = await req.json();\n  GIVEN\n  await stripe.billing.meterEvents.create({ event_name: 'pages', identifier: crypto.randomUUID(), payload: { stripe_customer_id: session.user.customer, value: String(NUMBER) } });\n  return Response.json({});\n}\n"
ROWS = "await db.pages.findMany({ where: { user: session.user.id } })"
NAMED = {  # what is called like a request: ours, and the client's
    "const r = await fetch(MAKER); const made = await r.json();": ("made.pages", set()),
    "const request = await fetch(MAKER); const made = await request.json();": ("made.pages", set()),
    "const r = req; const made = await r.json();": ("made.pages", {"client_supplied_quantity"}),
    f"let pages = 0; for (const r of {ROWS}) {{ pages += r.data.pages; }}": ("pages", set()),
    "let pages = 0; for (const r of body.rows) { pages += r.data.pages; }": ("pages", {"client_supplied_quantity"}),
    "const pages = body.quality === 'high' ? 2 : 1;": ("pages", set()),
    "const pages = body.pages ? body.pages : 1;": ("pages", {"client_supplied_quantity"}),
}  # fmt: skip


@pytest.mark.parametrize("given", NAMED)
def test_an_answer_called_like_a_request_is_none(tmp_path: Path, given: str) -> None:
    number, wanted = NAMED[given]
    body = SAID.replace("GIVEN", given).replace("NUMBER", number)
    tree = {
        "package.json": PACKAGE,
        "app/api/run/route.ts": f"{HEAD}import {{ auth }} from '@/auth';\n{body}",
    }
    assert codes(audited(tmp_path, tree)) == wanted


FREE: Tree = {
    "package.json": PACKAGE,
    "lib/draft.ts": "export async function drafted(text: string) { return await openai.responses.create({ input: text }); }\n",
    "app/api/letter/route.ts": "import { drafted } from '../../../lib/draft';\nexport async function POST(req: Request) { const body = await req.json(); return Response.json(await drafted(body.text)); }\n",
}
OVERAGE = "await stripe.invoiceItems.create({ customer: row.customer, amount: row.calls * 8, description: 'Overage: calls over the plan' }, { idempotencyKey: row.id });"


def test_what_stands_beside_a_webhooks_report_is_not_what_is_sold(tmp_path: Path) -> None:
    """The payment provider's webhook bills what was over, and drafts a letter about it; other letters are no free calls."""
    hook = f"{HEAD}import {{ drafted }} from '../../../../lib/draft';\nexport async function POST(req: Request) {{ const event = stripe.webhooks.constructEvent(await req.text(), req.headers.get('stripe-signature')!, SIGNING); const row = await db.calls.findFirst({{ where: {{ customer: event.data.object.customer }} }}); {OVERAGE} await drafted(row.name); return Response.json({{}}); }}\n"
    route = f"{HEAD}import {{ drafted }} from '../../../lib/draft';\nexport async function POST() {{ const row = await db.calls.findFirst({{ where: {{ org: (await auth()).org }} }}); await drafted(row.name); {OVERAGE} return Response.json({{}}); }}\n"
    assert codes(audited(tmp_path / "hook", {**FREE, "app/api/webhooks/stripe/route.ts": hook})) == set()
    sold = codes(audited(tmp_path / "route", {**FREE, "app/api/call/route.ts": route}))
    assert sold == {"unmetered_endpoint"}


@pytest.mark.parametrize(
    ("said", "wanted"), [("Setup fee of a number", set()), ("Minutes over the plan", {"errors_swallowed"})]
)
def test_a_fixed_fee_is_no_usage(tmp_path: Path, said: str, wanted: set[str]) -> None:
    """An invoice item for what is paid once, in a route that speaks of usage otherwise."""
    body = f"const rate = USAGE_RATES.number; const number = await carrier.buy(); try {{ await stripe.invoiceItems.create({{ customer: session.user.customer, amount: rate, currency: 'usd', description: '{said}' }}, {{ idempotencyKey: number.id }}); }} catch (e) {{ console.error(e); }}"
    route = f"{HEAD}import {{ auth }} from '@/auth';\nexport async function POST() {{ const session = await auth(); {body} return Response.json({{}}); }}\n"
    assert codes(audited(tmp_path, {"package.json": PACKAGE, "app/api/numbers/route.ts": route})) == wanted


OUT_OF = {
    "const { duration } = body;": {"client_supplied_quantity"},
    "const { duration } = await probe(body.url);": set(),
    "const { size: duration } = (await req.formData()).get('file');": set(),
}


@pytest.mark.parametrize("given", OUT_OF)
def test_a_measure_out_of_the_body_is_the_clients_word(tmp_path: Path, given: str) -> None:
    body = SAID.replace("GIVEN", given).replace("NUMBER", "Math.ceil(duration / 60)")
    tree = {
        "package.json": PACKAGE,
        "app/api/run/route.ts": f"{HEAD}import {{ auth }} from '@/auth';\n{body}",
    }
    assert codes(audited(tmp_path, tree)) == OUT_OF[given]


@pytest.mark.parametrize(
    ("mapped", "wanted"),
    [
        ("answer.choices.map(async (one) => { SENT });", {"fire_and_forget"}),
        ("await Promise.all(answer.choices.map(async (one) => { SENT }));", set()),
        ("const sent = answer.choices.map(async (one) => { SENT }); await Promise.all(sent);", set()),
    ],
)
def test_promises_that_a_map_makes(tmp_path: Path, mapped: str, wanted: set[str]) -> None:
    sent = "await stripe.billing.meterEvents.create({ event_name: 'choices', identifier: one.id, payload: { stripe_customer_id: session.user.customer, value: '1' } });"
    given = "const answer = await openai.responses.create({ input: body.prompt }); " + mapped.replace(
        "SENT", sent
    )
    body = SAID.partition("GIVEN")[0] + given + "\n  return Response.json({});\n}\n"
    tree = {
        "package.json": PACKAGE,
        "app/api/run/route.ts": f"{HEAD}import {{ auth }} from '@/auth';\n{body}",
    }
    assert codes(audited(tmp_path, tree)) == wanted


SPOKEN: Tree = {
    "package.json": PACKAGE,
    "lib/words.ts": "export async function words(url: string) { return await openai.audio.transcriptions.create({ file: url, model: 'w' }); }\n",
    "app/api/one/route.ts": f"{HEAD}import {{ auth }} from '@/auth';\nimport {{ words }} from '../../../lib/words';\nexport async function POST(req: Request) {{ const session = await auth(); const body = await req.json(); const made = await words(body.url); await stripe.billing.meterEvents.create({{ event_name: 'minutes', identifier: body.url, payload: {{ stripe_customer_id: session.user.customer, value: String(made.duration) }} }}); return Response.json(made); }}\n",
}
MANY = "import { words } from '../../../lib/words';\nexport async function POST(req: Request) { const body = await req.json(); return Response.json(await Promise.all(body.urls.map((one) => words(one)))); }\n"


def test_speech_is_work_too(tmp_path: Path) -> None:
    assert codes(audited(tmp_path / "one", SPOKEN)) == set()
    many = {**SPOKEN, "app/api/many/route.ts": MANY}
    assert codes(audited(tmp_path / "many", many)) == {"unmetered_endpoint"}


JOB = "export async function POST(req: Request) {\n  SENT\n  return Response.json({});\n}\n"
SENDING = "await stripe.billing.meterEvents.create({ event_name: 'jobs', identifier: job.id, payload: { stripe_customer_id: WHOSE, value: String(job.pages) } });"
OWN = f"const session = await auth(); const job = await work(await req.json()); {SENDING.replace('WHOSE', 'session.user.customer')}"
KEYED = f"const key = await requireApiKey(req); const job = await work(await req.json()); {SENDING.replace('WHOSE', 'key.customer')}"
ALL = f"for (const job of await unsent()) {{ {SENDING.replace('WHOSE', 'job.customer')} }}"
SECRET = "if (req.headers.get('authorization') !== `Bearer ${process.env.CRON_SECRET}`) return new Response('', { status: 401 });"
JOBS = {
    ("app/api/jobs/route.ts", OWN): set(),
    ("app/api/jobs/[id]/run/route.ts", OWN): set(),
    ("app/api/v1/schedule/route.ts", KEYED): set(),
    ("app/api/jobs/send/route.ts", ALL): {"scheduled_reporting"},
    ("app/api/jobs/send/route.ts", SECRET + ALL): {"scheduled_reporting"},
    ("app/api/cron/send/route.ts", ALL): {"scheduled_reporting"},
}


@pytest.mark.parametrize("job", JOBS)
def test_jobs_may_be_what_is_sold(tmp_path: Path, job: tuple[str, str]) -> None:
    """A route called jobs is for a clock where nobody asks whose job it is."""
    text = f"{HEAD}import {{ auth }} from '@/auth';\n{JOB.replace('SENT', job[1])}"
    assert codes(audited(tmp_path, {"package.json": PACKAGE, job[0]: text})) == JOBS[job]
