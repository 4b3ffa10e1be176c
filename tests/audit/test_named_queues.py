# ruff: noqa: E501
"""Queues, jobs and events that are known by a constant's name, or that a helper is told: producer and worker meet all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
SEND = "await stripe.billing.meterEvents.create({ event_name: 'c', identifier: JOB.id, payload: { stripe_customer_id: JOB.customer, value: String(JOB.tokens) } });"
NAMES = "export const USAGE_QUEUE = 'usage-made';\nexport const QUEUES = { usage: 'usage-made', mail: 'mail' } as const;\nexport const EVENTS = Object.freeze({ usage: { made: 'usage-made' } });\nexport enum Queues { Usage = 'usage-made', Mail = 'mail' }\nexport class Jobs { static readonly USAGE = 'usage-made'; }\n"
TAKEN = "import { USAGE_QUEUE, QUEUES, EVENTS, Queues, Jobs } from './names';\n"
SERVER = "IMPORTapp.post('/run', requireUser, async (req, res) => {\n  const out = await openai.responses.create({ input: req.body.prompt });\n  PUT\n  res.json(out);\n});\n"
JOB = "{ id: out.id, customer: req.user.customer, tokens: NUMBER }"
TOKENS, CHOSEN = "out.usage.total_tokens", "req.body.tokens"


def tree(put: str, worker: str, number: str, helper: str = "", imports: str = "") -> Tree:
    text = SERVER.replace("PUT", put).replace("JOB", JOB).replace("NUMBER", number)
    return {
        "src/names.ts": NAMES,
        "src/queue.ts": f"import {{ Queue }} from 'bullmq';\n{TAKEN}{helper}",
        "src/server.ts": text.replace("IMPORT", TAKEN + imports),
        "src/worker.ts": f"{HEAD}{TAKEN}import {{ inngest }} from './inngest';\n{worker}",
    }


WORKER = f"new Worker(NAME, async (job) => {{ {SEND.replace('JOB', 'job.data')} }}, {{ connection }});\n"
FUNCTION = f"export const f = inngest.createFunction({{ id: 'f' }}, {{ event: NAME }}, async ({{ event }}) => {{ {SEND.replace('JOB', 'event.data')} }});\n"
QUEUE = "export const usage = new Queue(NAME, { connection });\n"
CONSTANTS = ["USAGE_QUEUE", "QUEUES.usage", "EVENTS.usage.made", "Queues.Usage", "Jobs.USAGE", "'usage-made'"]


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_name_that_is_a_constant(tmp_path: Path, name: str) -> None:
    for number, wanted in ((TOKENS, set()), (CHOSEN, {"client_supplied_quantity"})):
        files = tree(
            "await usage.add('report', JOB);",
            WORKER.replace("NAME", name),
            number,
            QUEUE.replace("NAME", name),
            "import { usage } from './queue';\n",
        )
        report = audited(tmp_path / number, files)
        assert codes(report) == wanted, report.findings
        assert "POST /run" in {one.route for one in report.endpoints}
        sent = f"await inngest.send({{ name: {name}, data: JOB }});"
        taken = "import { inngest } from './inngest';\n"
        report = audited(
            tmp_path / f"event {number}", tree(sent, FUNCTION.replace("NAME", name), number, "", taken)
        )
        assert codes(report) == wanted, report.findings


HELPERS = {
    "a queue of its own": ("export async function enqueue(data) {\n  BODY\n}\n", "usage.add('report', data)", "JOB"),
    "a queue that is told": ("export async function enqueue(queue, data) {\n  BODY\n}\n", "getQueue(queue).add('report', data)", "QUEUES.usage, JOB"),
    "an event that is told": ("export async function enqueue({ name, data }) {\n  BODY\n}\n", "inngest.send({ name, data })", "{ name: EVENTS.usage.made, data: JOB }"),
}  # fmt: skip


@pytest.mark.parametrize("how", sorted(HELPERS))
def test_a_helper_that_is_told_the_queue(tmp_path: Path, how: str) -> None:
    """What the helper does with an error counts, and only for those who name this queue."""
    helper, call, given = HELPERS[how]
    worker = (FUNCTION if "event" in how else WORKER).replace("NAME", "USAGE_QUEUE")
    head = QUEUE.replace("NAME", "USAGE_QUEUE") + "import { inngest } from './inngest';\n"
    taken = "import { enqueue } from './queue';\n"
    other = given.replace("QUEUES.usage", "QUEUES.mail").replace("EVENTS.usage.made", "'mail'")
    for name, body, put, number, wanted in (
        ("right", f"await {call};", given, TOKENS, set()),
        ("chosen", f"await {call};", given, CHOSEN, {"client_supplied_quantity"}),
        ("caught", f"try {{ await {call}; }} catch (e) {{ console.error(e); }}", given, TOKENS, {"errors_swallowed"}),
        ("another", f"await {call};", other, CHOSEN, set()),
    ):  # fmt: skip
        if name == "another" and how == "a queue of its own":
            continue
        text = tree(f"await enqueue({put});", worker, number, head + helper.replace("BODY", body), taken)
        report = audited(tmp_path / name, text)
        assert codes(report) == wanted, (name, report.findings)


NEST = "import { Processor, WorkerHost } from '@nestjs/bullmq';\nimport { USAGE_QUEUE } from './names';\n@Processor(USAGE_QUEUE)\nexport class UsageProcessor extends WorkerHost {\n  async process(job) { SEND }\n}\n"
ASKS = "import { USAGE_QUEUE } from './names';\n@Controller('ai')\n@UseGuards(AuthGuard)\nexport class AiController {\n  constructor(@InjectQueue(USAGE_QUEUE) private readonly waiting: Queue, private readonly openai: OpenAI) {}\n  @Post('run')\n  async run(@Body() body: Ask, @Req() req) {\n    const out = await this.openai.responses.create({ input: body.prompt });\n    await this.waiting.add('report', JOB);\n    return out;\n  }\n}\n"


@pytest.mark.parametrize(
    ("number", "wanted"), [(TOKENS, set()), ("body.tokens", {"client_supplied_quantity"})]
)
def test_a_queue_that_is_injected(tmp_path: Path, number: str, wanted: set[str]) -> None:
    files = {
        "src/names.ts": NAMES,
        "src/usage.processor.ts": HEAD + NEST.replace("SEND", SEND.replace("JOB", "job.data")),
        "src/ai.controller.ts": ASKS.replace("JOB", JOB).replace("NUMBER", number),
    }
    report = audited(tmp_path, files)
    assert codes(report) == wanted, (report.findings, report.endpoints)


OTHERS = {
    "kafka": (f"const consumer = kafka.consumer({{ groupId: 'b' }});\nawait consumer.subscribe({{ topics: [USAGE_QUEUE] }});\nawait consumer.run({{ eachMessage: async ({{ message }}) => {{ const job = JSON.parse(message.value); {SEND.replace('JOB', 'job')} }} }});\n", "await producer.send({ topic: USAGE_QUEUE, messages: [{ value: JSON.stringify(JOB) }] })"),
    "rabbitmq": (f"await channel.consume(USAGE_QUEUE, async (msg) => {{ const job = JSON.parse(msg.content.toString()); {SEND.replace('JOB', 'job')} channel.ack(msg); }});\n", "await channel.sendToQueue(USAGE_QUEUE, Buffer.from(JSON.stringify(JOB)))"),
    "graphile": (f"const taskList = {{ 'usage-made': async (payload) => {{ {SEND.replace('JOB', 'payload')} }} }};\nawait run({{ taskList }});\n", "await quickAddJob({}, USAGE_QUEUE, JOB)"),
    "agenda": (f"agenda.define(USAGE_QUEUE, async (job) => {{ {SEND.replace('JOB', 'job.attrs.data')} }});\n", "await agenda.now(USAGE_QUEUE, JOB)"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_queues_of_other_kinds(tmp_path: Path, name: str) -> None:
    worker, put = OTHERS[name]
    for how, text, wanted in (
        ("right", f"{put};", set()),
        ("caught", f"try {{ {put}; }} catch (e) {{ console.error(e); }}", {"errors_swallowed"}),
    ):
        report = audited(tmp_path / how, tree(text, worker, TOKENS))
        assert codes(report) == wanted, (how, report.findings, report.endpoints)
        assert "POST /run" in {one.route for one in report.endpoints}
