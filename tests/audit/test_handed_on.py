# ruff: noqa: E501
"""Work that something else than a call starts: tables of handlers, queues of a platform, answers that nobody asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
SEND = "await stripe.billing.meterEvents.create({ event_name: 'c', identifier: JOB.id, payload: { stripe_customer_id: JOB.customer, value: String(JOB.tokens) } });"
REPORT = f"{HEAD}export const sendUsage = async (data, context) => {{ {SEND.replace('JOB', 'data')} }};\n"
IMPORT = "import { sendUsage } from './report';\n"
HANDLERS = {
    "a constant": "export const jobHandlers = { 'report-usage': sendUsage };\nexport const work = (job) => jobHandlers[job.name](job.data);\n",
    "definitions": "export const jobDefinitions = { [NAMES.usage]: { retries: 3, handle: sendUsage } };\n",
    "a wrapped handler": "export const getHandlerOverrides = (): Overrides => ({ [NAMES.usage]: logged<Job>(sendUsage) });\n",
    "a map": "const processors = new Map([['report-usage', sendUsage]]);\nnew Consumer((job) => processors.get(job.name)(job.data));\n",
}


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_a_table_of_handlers(tmp_path: Path, name: str) -> None:
    """Its handlers are live; one that no table holds is not, nor is a table of something else a reason."""
    table = HANDLERS[name]
    live = audited(tmp_path / "live", {"report.ts": REPORT, "jobs.ts": IMPORT + table})
    assert "never_reported" not in codes(live), live.findings
    assert [one.grade for one in live.endpoints] == ["queued"]
    swallowing = REPORT.replace(
        SEND.replace("JOB", "data"),
        f"try {{ {SEND.replace('JOB', 'data')} }} catch (e) {{ console.error(e); }}",
    )
    assert codes(audited(tmp_path / "lost", {"report.ts": swallowing, "jobs.ts": IMPORT + table})) == {
        "errors_swallowed"
    }
    assert codes(
        audited(tmp_path / "dead", {"report.ts": REPORT, "jobs.ts": table.replace("sendUsage", "other")})
    ) == {"never_reported"}


def test_a_service_is_no_table_of_handlers(tmp_path: Path) -> None:
    """An object that only gathers functions starts none of them."""
    tree = {"report.ts": REPORT, "usage.ts": f"{IMPORT}export const usage = {{ sendUsage }};\n"}
    assert audited(tmp_path, tree).endpoints == ()


ROUTE = "app.post('/run', requireUser, async (req, res) => { const answer = await openai.responses.create({ input: req.body.prompt }); PUT res.json(answer); });\n"
WORKER = "const app = new Hono();\napp.post('/run', async (c) => { const req = { user: c.get('user'), body: await c.req.json() }; const answer = await openai.responses.create({ input: 'x' }); PUT return c.json(answer); });\n"
JOB = "{ id: answer.id, customer: CUSTOMER, tokens: NUMBER }"
PLATFORM: dict[str, Tree] = {
    "cloudflare": {"src/index.ts": f"{HEAD}{WORKER.replace('PUT', f'await c.env.USAGE.send({JOB});')}export default {{ fetch: app.fetch, async queue(batch, env) {{ for (const message of batch.messages) {{ {SEND.replace('JOB', 'message.body')} message.ack(); }} }} }};\n"},
    "sqs": {"src/server.ts": ROUTE.replace("PUT", f"await sqs.send(new SendMessageCommand({{ QueueUrl: URL, MessageBody: JSON.stringify({JOB}) }}));"), "src/worker.ts": f"{HEAD}export const handler = async (event) => {{ for (const record of event.Records) {{ const job = JSON.parse(record.body); {SEND.replace('JOB', 'job')} }} }};\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PLATFORM))
def test_a_queue_of_the_platform(tmp_path: Path, name: str) -> None:
    """Whoever puts messages on the only queue there is feeds its consumer."""
    for folder, customer, number, wanted in (
        ("right", "req.user.customer", "answer.usage.total_tokens", set()),
        ("wrong", "req.user.customer", "req.body.tokens", {"client_supplied_quantity"}),
    ):
        tree = {
            path: text.replace("CUSTOMER", customer).replace("NUMBER", number)
            for path, text in PLATFORM[name].items()
        }
        report = audited(tmp_path / folder, tree)
        assert codes(report) == wanted, (folder, report.findings)
        assert {one.grade for one in report.endpoints} == {"queued"}
        assert "POST /run" in {one.route for one in report.endpoints}


def test_a_message_that_is_published_to_a_route(tmp_path: Path) -> None:
    """QStash calls the route whose address it is given, and calls it again when it fails."""
    tree = {
        "app/api/jobs/report/route.ts": f"{HEAD}async function handler(req: Request) {{ const job = await req.json(); {SEND.replace('JOB', 'job')} return Response.json({{}}); }}\nexport const POST = verifySignatureAppRouter(handler);\n",
        "app/api/run/route.ts": "export async function POST(req: Request) { const { user } = await auth(); const answer = await openai.responses.create({}); await qstash.publishJSON({ url: `${BASE}/api/jobs/report`, body: { id: answer.id, customer: user.customer, tokens: answer.usage.total_tokens } }); return Response.json(answer); }\n",
    }
    report = audited(tmp_path, tree)
    assert codes(report) == set(), report.findings
    assert {one.route for one in report.endpoints} == {"POST /api/jobs/report", "POST /api/run"}


@pytest.mark.parametrize(
    ("after", "swallowed"),
    [
        ("const ok = await report(user, id); return Response.json({\n  ok, id });", True),
        ("const ok = await report(user, id); console.info('reported', ok); return Response.json({ id });", True),
        ("const ok = await report(user, id); if (!ok) throw new Error('unbilled'); return Response.json({ id });", False),
        ("const { ok } = await report(user, id); if (!ok) return new Response('', { status: 502 }); return Response.json({ id });", False),
        ("const ok = await report(user, id); return ok ? Response.json({ id }) : new Response('', { status: 502 });", False),
    ],
)  # fmt: skip
def test_an_answer_that_nobody_asks_for(tmp_path: Path, after: str, swallowed: bool) -> None:
    """A helper that says false instead of raising has to be listened to."""
    tree = {
        "report.ts": f"{HEAD}export async function report(user, id) {{ try {{ {SEND.replace('JOB.id', 'id').replace('JOB.customer', 'user.customer').replace('JOB.tokens', '1')} return true; }} catch (e) {{ console.error(e); return false; }} }}\n",
        "app/api/run/route.ts": f"import {{ report }} from '../../../report';\nexport async function POST(req: Request) {{ const {{ user }} = await auth(); const id = await work(); {after} }}\n",
    }
    assert codes(audited(tmp_path, tree)) == ({"errors_swallowed"} if swallowed else set())
