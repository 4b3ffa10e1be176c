# ruff: noqa: E501
"""Reports that are given to whoever makes them, keys that guard nothing, catches with a way out, documents by their id."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
SEND = "await stripe.billing.meterEvents.create({ event_name: 'c', identifier: id, payload: { stripe_customer_id: customer, value: String(value) } });"
FACTORY = f"{HEAD}export function createTrack(key: string) {{ return async (customer, value, id) => {{ {SEND} }}; }}\n"
PASS: Tree = {
    "track.ts": FACTORY,
    "pass.ts": "export async function pass(deps) { for (const row of await deps.unsent()) { try { await deps.track(row.customer, row.pages, row.id); } catch (error) { CATCH } } }\n",
    "jobs.ts": "import { createTrack } from './track';\nimport { pass } from './pass';\nexport function createJob(options) {\n  const run = options.run ?? pass;\n  return async () => { await run({ unsent: rowsOf(db), track: createTrack(process.env.KEY) }); };\n}\nsetInterval(createJob({}), 60_000);\n",
}


@pytest.mark.parametrize(
    ("catch", "wanted"),
    [
        ("console.error(error);", {"errors_swallowed"}),
        ("if (stopping) return 0;\n console.error(error);", {"errors_swallowed"}),
        ("throw error;", set()),
    ],
)
def test_a_report_made_by_a_factory(tmp_path: Path, catch: str, wanted: set[str]) -> None:
    """The function that a factory returns is called under the name it is given; a default is a way to it too."""
    tree = {name: text.replace("CATCH", catch) for name, text in PASS.items()}
    report = audited(tmp_path, tree)
    assert codes(report) == wanted, report.findings
    assert len(report.endpoints) == 1


@pytest.mark.parametrize(
    ("key", "guarded"), [("STRIPE_SECRET_KEY", False), ("SUPABASE_SERVICE_ROLE_KEY", False), ("METERING_SECRET", True)]
)  # fmt: skip
def test_a_key_that_guards_nothing(tmp_path: Path, key: str, guarded: bool) -> None:
    """The application's own key to a provider says nothing about who is calling."""
    use = (
        f"if (req.headers.get('authorization') !== `Bearer ${{Deno.env.get('{key}')}}`) return new Response('', {{ status: 401 }});"
        if guarded
        else f"const kit = connect(Deno.env.get('{key}'));"
    )
    text = f"{HEAD}Deno.serve(async (req) => {{ const token = req.headers.get('authorization'); {use} const customer = await customerOf(token); const {{ value, id }} = await req.json(); {SEND} return new Response('ok'); }});\n"
    found = codes(audited(tmp_path, {"supabase/functions/use/index.ts": text}))
    assert found == (set() if guarded else {"client_supplied_quantity"})


def test_a_service_role_that_is_compared(tmp_path: Path) -> None:
    """The key that only the application's services hold does guard a function when it is asked for."""
    text = f"{HEAD}Deno.serve(async (req) => {{ if (req.headers.get('authorization') !== `Bearer ${{Deno.env.get('SUPABASE_SERVICE_ROLE_KEY')}}`) return new Response('', {{ status: 401 }}); const {{ customer, value, id }} = await req.json(); {SEND} return new Response('ok'); }});\n"
    assert codes(audited(tmp_path, {"supabase/functions/use/index.ts": text})) == set()


@pytest.mark.parametrize(("id_", "wanted"), [("clientId", {"client_supplied_customer"}), ("user.uid", set())])
def test_a_document_that_the_caller_names(tmp_path: Path, id_: str, wanted: set[str]) -> None:
    """Firestore, Supabase: the customer of the row whose id the body gives, in one chain or by a reference."""
    ask = "const user = await verify(req);" if id_ == "user.uid" else ""
    looks = (
        f"const found = await database.collection('clients').doc({id_}).get(); const customer = found.data().stripeCustomerId;",
        f"const ref = database.collection('clients').doc({id_}); const found = await ref.get(); const customer = found.data().stripeCustomerId;",
        f"const {{ data }} = await supabase.from('clients').select('*').eq('id', {id_}).single(); const customer = data.stripe_customer_id;",
    )
    for number, look in enumerate(looks):
        text = f"{HEAD}export async function POST(req: Request) {{ const {{ clientId }} = await req.json(); {ask} {look} const value = 1, id = crypto.randomUUID(); {SEND} return Response.json({{}}); }}\n"
        assert codes(audited(tmp_path / str(number), {"app/api/use/route.ts": text})) == wanted, look


@pytest.mark.parametrize(
    ("call", "reports"),
    [
        ("sdk.check({ customer_id: user.id, feature_id: 'chat', required_balance: 1, send_event: true })", True),
        ("sdk.check({ customer_id: user.id, feature_id: 'chat' })", False),
        ("fetchImpl('https://api.useautumn.com/v1/track', { body: JSON.stringify({ customer_id: user.id, value: 1 }) })", True),
        ("fetchImpl('https://api.useautumn.com/v1/customers', { body: JSON.stringify({ customer_id: user.id }) })", False),
    ],
)  # fmt: skip
def test_a_check_that_counts(tmp_path: Path, call: str, reports: bool) -> None:
    """Autumn deducts in the check itself when it is told to; a fetch of any name is a fetch."""
    text = f"import {{ Autumn }} from 'autumn-js';\nconst sdk = new Autumn();\nexport async function POST() {{ const {{ user }} = await auth(); await {call}; return Response.json(await work()); }}\n"
    assert bool(audited(tmp_path, {"app/api/chat/route.ts": text}).endpoints) is reports


@pytest.mark.parametrize(("work", "wanted"), [("", {"fire_and_forget"}), ("await generateText({ prompt: args.prompt });", set())])  # fmt: skip
def test_a_timer_that_does_the_work_too(tmp_path: Path, work: str, wanted: set[str]) -> None:
    """A platform timer that is lost loses the report; when it does the work as well, nothing was sold."""
    tree = {
        "convex/ask.ts": "export const ask = mutation({ args: {}, handler: async (ctx, args) => { const user = await ctx.auth.getUserIdentity(); await ctx.scheduler.runAfter(0, internal.answer.answer, { customer: user.customer }); } });\n",
        "convex/answer.ts": f"{HEAD}export const answer = internalAction({{ args: {{}}, handler: async (ctx, args) => {{ {work} await report(args.customer); }} }});\nasync function report(customer) {{ const value = 1, id = key(); {SEND} }}\n",
    }
    assert codes(audited(tmp_path, tree)) == wanted


def test_a_method_of_what_a_factory_returns(tmp_path: Path) -> None:
    """`createBilling()` gives an object; whoever is handed it calls its methods by their names."""
    tree = {
        "billing.ts": f"{HEAD}export function createBilling(key: string) {{ return {{ async trackPages(customer, value, id) {{ {SEND} }} }}; }}\n",
        "server.ts": "export function serve(config) { app.post('/draw', async (req, res) => { const page = await draw(req.body.url); try { await config.billing.trackPages(req.user.customer, 1, page.id); } catch (error) { console.warn(error); } res.json(page); }); }\n",
        "main.ts": "import { createBilling } from './billing';\nimport { serve } from './server';\nserve({ billing: createBilling(process.env.KEY) });\n",
    }
    assert codes(audited(tmp_path, tree)) == {"errors_swallowed"}


@pytest.mark.parametrize(("unit", "wanted"), [("await open(job); await trade(job); await close(job); ", set()), ("", {"fire_and_forget"})])  # fmt: skip
def test_a_larger_unit_that_is_left_alone(tmp_path: Path, unit: str, wanted: set[str]) -> None:
    """What is not waited for is the whole work with its report at the end: that is for review, not sure."""
    tree = {
        "report.ts": f"{HEAD}export async function report(customer, value, id) {{ {SEND} }}\n",
        "server.ts": f"import {{ report }} from './report';\nasync function handle(job) {{ {unit}await report(job.customer, 1, job.id); }}\napp.post('/run', requireUser, async (req, res) => {{ const job = await jobOf(req.user); handle(job); res.json(job); }});\n",
    }
    assert codes(audited(tmp_path, tree)) == wanted


HANDED_OVER = {
    "shop/meter.py": "import stripe\n\n\nclass StripeMeter:\n    async def report_usage(self, customer, count, key):\n        await stripe.billing.MeterEvent.create_async(event_name='calls', identifier=key, payload={'stripe_customer_id': customer, 'value': str(count)})\n",
    "shop/answers.py": "class Answers:\n    def __init__(self, meter: object) -> None:\n        self.meter = meter\n\n    async def answer_and_count(self, account, prompt):\n        answer = await client.responses.create(input=prompt)\n        await self.meter.report_usage(account.customer, answer.usage.total_tokens, answer.id)\n        return answer\n",
    "shop/main.py": "from fastapi import Depends, FastAPI, Request\n\napp = FastAPI()\n\n\n@app.post('/answers')\nasync def answers(request: Request, account=Depends(current_account)):\n    return CALL\n",
}


def test_a_reporter_that_is_handed_over_is_found_by_its_name(tmp_path: Path) -> None:
    for name, call, verdict in (
        ("called", "await request.app.state.answers.answer_and_count(account, 'x')", Verdict.PASS),
        ("forgotten", "await client.responses.create(input='x')", Verdict.FAIL),
    ):
        tree = {path: text.replace("CALL", call) for path, text in HANDED_OVER.items()}
        report = audited(tmp_path / name, tree)
        assert report.verdict is verdict, name
        assert codes(report) == (set() if verdict is Verdict.PASS else {"never_reported"}), name
