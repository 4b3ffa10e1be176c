# ruff: noqa: E501
"""Usage that goes through a queue: what becomes of it where the queue itself does not take the job."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
SEND = "await stripe.billing.meterEvents.create({ event_name: 'c', identifier: JOB.id, payload: { stripe_customer_id: JOB.customer, value: String(JOB.tokens) } });"
JOB = "{ id: out.id, customer: req.user.customer, tokens: out.usage.total_tokens }"
BULL = "import { Queue } from 'bullmq';\nexport const usageQueue = new Queue('usage', { connection });\nexport async function enqueue(job) {\n  try {\n    await usageQueue.add('report', job);\n  } catch (err) { CATCH }\n}\n"
SERVER = "import { inngest } from './inngest';\nimport { usageQueue, enqueue } from './queue';\nimport { sendUsage } from './report';\napp.post('/run', requireUser, async (req, res) => {\n  const out = await openai.responses.create({ input: req.body.prompt });\n  PUT\n  res.json(out);\n});\n"
WORKERS = {
    "bullmq": "new Worker('usage', async (job) => { await sendUsage(job.data); }, { connection });\n",
    "pg-boss": "boss.work('usage', async ([job]) => { await sendUsage(job.data); });\n",
    "inngest": "export const f = inngest.createFunction({ id: 'usage' }, { event: 'usage/made' }, async ({ event, step }) => { await step.run('r', async () => sendUsage(event.data)); });\n",
    "trigger.dev": "export const t = task({ id: 'usage', run: async (payload) => { await sendUsage(payload); } });\n",
}
PUTS = {
    "bullmq": f"await usageQueue.add('report', {JOB})",
    "pg-boss": f"await boss.send('usage', {JOB})",
    "inngest": f"await inngest.send({{ name: 'usage/made', data: {JOB} }})",
    "trigger.dev": f"await tasks.trigger('usage', {JOB})",
}
LOGS = "console.error(\n    'failed to enqueue usage, no retry',\n    err,\n  );"


def tree(library: str, put: str, caught: str = "throw err;") -> Tree:
    report = f"{HEAD}export async function sendUsage(job) {{ {SEND.replace('JOB', 'job')} }}\n"
    return {
        "src/report.ts": report,
        "src/queue.ts": BULL.replace("CATCH", caught),
        "src/server.ts": SERVER.replace("PUT", put),
        "src/worker.ts": f"import {{ sendUsage }} from './report';\n{WORKERS[library]}",
    }


@pytest.mark.parametrize("library", sorted(WORKERS))
def test_a_job_that_could_not_be_put_on_its_queue(tmp_path: Path, library: str) -> None:
    """Waited for it is a report; with its own failure only logged, the usage is gone when the queue is down."""
    put = PUTS[library]
    for name, code, wanted in (
        ("right", f"{put};", set()),
        ("raises", f"try {{ {put}; }} catch (err) {{ console.error(err); throw err; }}", set()),
        ("caught", f"try {{ {put}; }} catch (err) {{ {LOGS} }}", {"errors_swallowed"}),
        ("chained", f"{put}.catch((err) => console.error('enqueue', err));", {"errors_swallowed"}),
        ("directly", f"try {{ {put}; }} catch (err) {{ await sendUsage({JOB}); }}", set()),
    ):
        report = audited(tmp_path / name, tree(library, code))
        assert codes(report) == wanted, (name, report.findings)


@pytest.mark.parametrize(
    ("caught", "wanted"),
    [
        (LOGS, {"errors_swallowed"}),
        ("logger.warn('queue down'); return null;", {"errors_swallowed"}),
        ("throw err;", set()),
        ("await sendUsage(job);", set()),
        ("await prisma.usageOutbox.create({ data: job });", {"errors_swallowed"}),  # which nothing reads
    ],
)  # fmt: skip
def test_a_helper_that_puts_jobs_on_a_queue(tmp_path: Path, caught: str, wanted: set[str]) -> None:
    files = tree("bullmq", f"await enqueue({JOB});", caught)
    files["src/queue.ts"] = "import { sendUsage } from './report';\n" + files["src/queue.ts"]
    report = audited(tmp_path, files)
    assert codes(report) == wanted, report.findings


def test_a_row_that_a_sweeper_puts_on_the_queue_again(tmp_path: Path) -> None:
    """What could not be put there is still unsent in its table; without the sweeper nothing asks for it."""
    keeps = "const row = await prisma.usageEvent.create({ data: { customer: req.user.customer, tokens: out.usage.total_tokens } });\n"
    files = tree("bullmq", f"{keeps}try {{ await usageQueue.add('report', row); }} catch (err) {{ {LOGS} }}")
    sweep = "import { usageQueue } from './queue';\ncron.schedule('*/5 * * * *', async () => {\n  for (const row of await prisma.usageEvent.findMany({ where: { reportedAt: null } })) await usageQueue.add('report', row);\n});\n"
    assert codes(audited(tmp_path / "alone", files)) == {"errors_swallowed"}
    assert codes(audited(tmp_path / "swept", {**files, "src/sweep.ts": sweep})) == set()


def test_a_job_that_only_reminds(tmp_path: Path) -> None:
    """A worker that is told no number counts rows, and those are there without the job as well."""
    put = "try { await usageQueue.add('report', { org: req.user.org }); } catch (err) { console.error(err); }"
    files = tree("bullmq", put)
    files["src/worker.ts"] = (
        "import { sendUsage } from './report';\nnew Worker('usage', async (job) => {\n  for (const row of await prisma.document.findMany({ where: { org: job.data.org } })) await sendUsage({ id: row.id, customer: row.customer, tokens: row.pages });\n}, { connection });\n"
    )
    assert codes(audited(tmp_path, files)) == set()


def test_a_job_that_is_the_work(tmp_path: Path) -> None:
    """Where the worker makes what is sold, a job that is lost costs the customer, not the seller."""
    put = "try { await usageQueue.add('make', { id: req.body.id, customer: req.user.customer, prompt: req.body.prompt }); } catch (err) { console.error(err); }"
    files = tree("bullmq", put)
    files["src/server.ts"] = files["src/server.ts"].replace(
        "const out = await openai.responses.create({ input: req.body.prompt });", ""
    )
    files["src/worker.ts"] = (
        "import { sendUsage } from './report';\nnew Worker('usage', async (job) => {\n  const out = await openai.responses.create({ input: job.data.prompt });\n  await sendUsage({ id: out.id, customer: job.data.customer, tokens: out.usage.total_tokens });\n}, { connection });\n"
    )
    assert codes(audited(tmp_path, files)) == set()


def test_a_job_that_nobody_waits_for(tmp_path: Path) -> None:
    """Where the process ends with the answer it may never be sent; a server that goes on sends it."""
    files = tree("inngest", "")
    put = PUTS["inngest"].removeprefix("await ").replace("req.user", "session.user")
    files["app/api/run/route.ts"] = (
        f"import {{ inngest }} from '../../../src/inngest';\nexport async function POST(req: Request) {{ const session = await auth(); const out = await openai.responses.create({{}}); {put}; return Response.json(out); }}\n"
    )
    del files["src/server.ts"]
    assert codes(audited(tmp_path / "function", files)) == {"fire_and_forget"}
    report = audited(tmp_path / "server", tree("bullmq", PUTS["bullmq"].removeprefix("await ") + ";"))
    assert codes(report) == set()
    assert [one.code for one in report.findings if one.decides] == ["fire_and_forget"]


CELERY: Tree = {
    "app/tasks.py": "import stripe\nfrom celery import shared_task\n\n@shared_task(bind=True, max_retries=5)\ndef report_usage(self, customer, tokens, key):\n    try:\n        stripe.billing.MeterEvent.create(event_name='c', identifier=key, payload={'stripe_customer_id': customer, 'value': str(tokens)})\n    except Exception as exc:\n        raise self.retry(exc=exc)\n",
    "app/main.py": "from fastapi import FastAPI, Depends\nfrom app.tasks import report_usage\napp = FastAPI()\n\n@app.post('/run')\nasync def run(ask: Ask, user=Depends(current_user)):\n    out = await client.responses.create(model='m', input=ask.prompt)\nPUT\n    return out\n",
}
DELAY = "report_usage.delay(user.customer_id, out.usage.total_tokens, out.id)"


@pytest.mark.parametrize(
    ("put", "wanted"),
    [
        (f"    {DELAY}", set()),
        (f"    try:\n        {DELAY}\n    except Exception:\n        logger.exception(\n            'could not enqueue'\n        )", {"errors_swallowed"}),
        (f"    try:\n        {DELAY}\n    except Exception:\n        pass", {"errors_swallowed"}),
        (f"    try:\n        {DELAY}\n    except Exception:\n        logger.exception('broker is down')\n        {DELAY.replace('.delay', '')}", set()),
    ],
)  # fmt: skip
def test_a_task_of_celery(tmp_path: Path, put: str, wanted: set[str]) -> None:
    files = {**CELERY, "app/main.py": CELERY["app/main.py"].replace("PUT", put)}
    report = audited(tmp_path, files)
    assert codes(report) == wanted, report.findings


PUSHED = f"await redis.rpush('usage:events', JSON.stringify({JOB}));"
DRAINS = {
    # a list that is emptied as it is read
    ("const event = JSON.parse(await redis.lpop('usage:events'));", "console.error(err);"): {"errors_swallowed"},
    ("const event = JSON.parse(await redis.lpop('usage:events'));", "await redis.rpush('usage:events', JSON.stringify(event));"): set(),
    ("const event = JSON.parse(await redis.lpop('usage:events'));", "await redis.rpush('usage:dead', JSON.stringify(event));"): {"errors_swallowed"},
    # a counter that is taken, and given back
    ("const event = { id, customer, tokens: await redis.getdel(key) };", "logger.error(\n'usage is put in no outbox', err\n);"): {"errors_swallowed"},
    ("const event = { id, customer, tokens: await redis.getdel(key) };", "await redis.incrby(key, event.tokens);"): set(),
}  # fmt: skip
SENT = SEND.replace("JOB", "event")
ACKED = "const event = read(fields);\ntry {\nSENT\nMORE\n} catch (err) { console.error(err); }\nTHEN"


@pytest.mark.parametrize("case", DRAINS)
def test_what_is_taken_before_it_is_sent(tmp_path: Path, case: tuple[str, str]) -> None:
    taken, caught = case
    text = f"{HEAD}export async function flush(id, customer, key) {{\n{taken}\ntry {{\n{SENT}\n}} catch (err) {{ {caught} }}\n}}\ncron.schedule('* * * * *', () => flush());\n"
    report = audited(tmp_path, {"src/server.ts": SERVER.replace("PUT", PUSHED), "src/flush.ts": text})
    assert codes(report) == DRAINS[case], report.findings


@pytest.mark.parametrize(
    ("more", "then", "wanted"),
    [
        ("await redis.xack('usage', 'meter', id);", "", set()),
        ("await redis.decrby(key, event.tokens);", "", set()),
        ("", "await redis.xack('usage', 'meter', id);", {"errors_swallowed"}),
        ("", "", {"errors_swallowed"}),
    ],
)
def test_what_is_acknowledged_once_it_is_sent(tmp_path: Path, more: str, then: str, wanted: set[str]) -> None:
    body = ACKED.replace("SENT", SENT).replace("MORE", more).replace("THEN", then)
    text = f"{HEAD}export async function flush(key) {{\nfor (const [id, fields] of await redis.xreadgroup('GROUP', 'meter', 'one', 'STREAMS', 'usage', '>')) {{\n{body}\n}}\n}}\ncron.schedule('* * * * *', () => flush());\n"
    report = audited(tmp_path, {"src/server.ts": SERVER.replace("PUT", PUSHED), "src/flush.ts": text})
    assert codes(report) == wanted, report.findings


POLL = "import json, stripe, logging\n\ndef report(job):\n    stripe.billing.MeterEvent.create(event_name='c', identifier=job['id'], payload={'stripe_customer_id': job['customer'], 'value': str(job['tokens'])})\n\ndef main():\n    while True:\n        for message in receive():\n            job = json.loads(message['Body'])\n            try:\n                report(job)\nINSIDE            except Exception:\n                logging.exception('usage')\nAFTERif __name__ == '__main__':\n    main()\n"
ACKS = (
    "sqs.delete_message(QueueUrl=URL, ReceiptHandle=message['ReceiptHandle'])",
    "message.ack()",
    "channel.basic_ack(tag)",
)


@pytest.mark.parametrize("ack", ACKS)
def test_a_message_that_comes_again(tmp_path: Path, ack: str) -> None:
    """Acknowledged after the report, and nowhere else, it is handed out again when that failed."""
    for name, inside, after, wanted in (
        ("once sent", ack, "", set()),
        ("whatever comes", "", ack, {"errors_swallowed"}),
        ("both", ack, ack, {"errors_swallowed"}),
        ("never", "", "", {"errors_swallowed"}),
    ):
        text = POLL.replace("INSIDE", f"                {inside}\n" if inside else "")
        text = text.replace("AFTER", f"            {after}\n" if after else "")
        assert codes(audited(tmp_path / name, {"worker.py": text})) == wanted, name


def test_a_platform_that_acknowledges_by_itself(tmp_path: Path) -> None:
    """A batch whose handler comes to its end is done, whatever it has said of its messages."""
    body = f"for (const message of batch.messages) {{ try {{ {SEND.replace('JOB', 'message.body')}\n message.ack(); }} catch (e) {{ console.error(e); }} }}"
    text = f"{HEAD}export default {{ async queue(batch, env) {{ {body} }} }};\n"
    assert codes(audited(tmp_path, {"src/index.ts": text})) == {"errors_swallowed"}


JOBS = {
    "dramatiq": ("import dramatiq, stripe\n\n@dramatiq.actor\ndef report_usage(customer, tokens, key):\n", "report_usage.send(user.customer_id, NUMBER, out.id)"),
    "taskiq": ("import stripe\nfrom app.broker import broker\n\n@broker.task\ndef report_usage(customer, tokens, key):\n", "await report_usage.kiq(user.customer_id, NUMBER, out.id)"),
    "sqs": ("import json, stripe\n\ndef handler(event, context):\n    for record in event['Records']:\n        job = json.loads(record['body'])\n        customer, tokens, key = job['customer'], job['tokens'], job['id']\n    ", "sqs.send_message(QueueUrl=URL, MessageBody=json.dumps({'customer': user.customer_id, 'tokens': NUMBER, 'id': out.id}))"),
}  # fmt: skip
BILLED = "    stripe.billing.MeterEvent.create(event_name='c', identifier=key, payload={'stripe_customer_id': customer, 'value': str(tokens)})\n"


@pytest.mark.parametrize("name", sorted(JOBS))
def test_jobs_of_python(tmp_path: Path, name: str) -> None:
    worker, put = JOBS[name]
    for how, code, number, wanted in (
        ("right", f"    {put}", "out.usage.total_tokens", set()),
        ("caught", f"    try:\n        {put}\n    except Exception:\n        logger.exception('usage')", "out.usage.total_tokens", {"errors_swallowed"}),
    ):  # fmt: skip
        main = CELERY["app/main.py"].replace("PUT", code).replace("NUMBER", number)
        report = audited(tmp_path / how, {"app/tasks.py": worker + BILLED, "app/main.py": main})
        assert codes(report) == wanted, (how, report.findings)
        assert "POST /run" in {one.route for one in report.endpoints}


PHP = "<?php\nclass ReportUsage implements ShouldQueue {\n  public function __construct(public string $customer, public int $tokens, public string $key) {}\n  public function handle(): void {\n    $this->stripe->billing->meterEvents->create(['event_name' => 'c', 'identifier' => $this->key, 'payload' => ['stripe_customer_id' => $this->customer, 'value' => (string) $this->tokens]]);\n  }\n}\n"
ASKED = "<?php\nuse App\\Jobs\\ReportUsage;\nclass RunController extends Controller {\n  public function store(Request $request) {\n    $out = OpenAI::chat()->create(['model' => 'm']);\n    PUT\n    return response()->json($out);\n  }\n}\n"


@pytest.mark.parametrize(
    ("put", "wanted"),
    [
        ("ReportUsage::dispatch($user->stripe_id, $out->usage->totalTokens, $out->id);", set()),
        ("try { ReportUsage::dispatch($user->stripe_id, $out->usage->totalTokens, $out->id); } catch (\\Throwable $e) { Log::error($e->getMessage()); }", {"errors_swallowed"}),
    ],
)  # fmt: skip
def test_a_job_of_laravel(tmp_path: Path, put: str, wanted: set[str]) -> None:
    files = {
        "app/Jobs/ReportUsage.php": PHP,
        "app/Http/Controllers/RunController.php": ASKED.replace("PUT", put),
    }
    assert codes(audited(tmp_path, files)) == wanted
