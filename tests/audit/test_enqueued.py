# ruff: noqa: E501
"""A job that reports usage has to get to its queue first: what becomes of an error there."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

STRIPE = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
SEND = "await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: job.data.id, payload: { stripe_customer_id: job.data.customer, value: String(job.data.count) } });"
WORKER = (
    f"import {{ Worker }} from 'bullmq';\n{STRIPE}new Worker('usage', async (job) => {{\n  WORK{SEND}\n}});\n"
)
SERVER = """import { Queue } from 'bullmq';
const usageQueue = new Queue('usage');
async function meter(customer, count, id) {
  PUT
}
app.post('/run', requireUser, async (req, res) => {
  const answer = await openai.responses.create({ input: req.body.prompt });
  await meter(req.user.customer, answer.usage.total_tokens, answer.id);
  res.json(answer);
});
"""
ADD = "await usageQueue.add('report', { customer, count, id })"
PUTS = {
    f"{ADD};": set(),
    f"try {{ {ADD}; }} catch (e) {{ console.error(e); }}": {"errors_swallowed"},
    f"{ADD}.catch((e) => console.error(e));": {"errors_swallowed"},
    f"try {{ {ADD}; }} catch (e) {{ console.error(e); throw e; }}": set(),
    f"try {{ {ADD}; }} catch (e) {{ await secondQueue.add('report', {{ customer, count, id }}); }}": set(),
}


@pytest.mark.parametrize("put", PUTS)
def test_a_job_that_never_gets_to_its_queue(tmp_path: Path, put: str) -> None:
    tree = {"worker.ts": WORKER.replace("WORK", ""), "server.ts": SERVER.replace("PUT", put)}
    assert codes(audited(tmp_path, tree)) == PUTS[put]


def test_what_is_lost_with_the_work_is_no_usage(tmp_path: Path) -> None:
    """Where the job does the work as well, without it there is nothing to bill."""
    put = f"try {{ {ADD}; }} catch (e) {{ console.error(e); }}"
    server = SERVER.replace("PUT", put).replace(
        "const answer = await openai.responses.create({ input: req.body.prompt });",
        "const answer = plan(req.body);",
    )
    work = "const answer = await openai.responses.create({ input: job.data.prompt });\n  "
    tree = {"worker.ts": WORKER.replace("WORK", work), "server.ts": server}
    assert codes(audited(tmp_path, tree)) == set()


def test_without_the_queue_it_is_sent_at_once(tmp_path: Path) -> None:
    send = "await report(customer, count, id);"
    helper = (
        f"{STRIPE}export async function report(customer, count, id) {{ {SEND.replace('job.data.', '')} }}\n"
    )
    worker = "import { Worker } from 'bullmq';\nimport { report } from './report';\nnew Worker('usage', async (job) => { await report(job.data.customer, job.data.count, job.data.id); });\n"
    for folder, caught, wanted in (
        ("right", f"console.warn('no queue', e); {send}", set()),
        ("wrong", "console.warn('no queue', e);", {"errors_swallowed"}),
    ):
        server = "import { report } from './report';\n" + SERVER.replace(
            "PUT", f"try {{ {ADD}; }} catch (e) {{ {caught} }}"
        )
        tree = {"worker.ts": worker, "report.ts": helper, "server.ts": server}
        assert codes(audited(tmp_path / folder, tree)) == wanted, folder


def test_a_job_of_another_kind_is_lost_with_its_work(tmp_path: Path) -> None:
    """Nothing calls it usage: whatever it does is not done either."""
    put = f"try {{ {ADD}; }} catch (e) {{ console.error(e); }}"
    tree = {"worker.ts": WORKER.replace("WORK", ""), "server.ts": SERVER.replace("PUT", put)}
    for name, text in tree.items():
        text = (
            text.replace("usageQueue", "queue")
            .replace("'usage'", "'renders'")
            .replace("'report'", "'render'")
        )
        tree[name] = text.replace("meter(", "render(")
    assert codes(audited(tmp_path, tree)) == set()


CONSUMER = f"{STRIPE}export default {{ fetch: app.fetch, async queue(batch, env) {{ for (const job of batch.messages) {{ {SEND.replace('job.data', 'job.body')} }} }} }};\n"
PRODUCER = """import { Hono } from 'hono';
import { meter } from './meter';
export const app = new Hono();
app.post('/run', async (c) => {
  const user = c.get('user');
  const body = await c.req.json();
  const answer = await openai.responses.create({ input: 'x' });
  await meter(c.env.USAGE_QUEUE, user.customer, NUMBER, answer.id);
  return c.json(answer);
});
"""
TAKEN = {
    "typed": "export async function meter(queue: Queue<Usage>, customer: string, count: number, id: string) {\n  BODY\n}\n",
    "by another name": "export async function meter(_: unknown, customer: string, count: number, id: string) {\n  const queue = env.USAGE_QUEUE;\n  BODY\n}\n",
}
MESSAGE = "await queue.send({ customer, count, id });"
TOKENS = "answer.usage.total_tokens"


@pytest.mark.parametrize("how", TAKEN)
@pytest.mark.parametrize(
    ("body", "number", "wanted"),
    [
        (MESSAGE, TOKENS, set()),
        (MESSAGE, "body.tokens", {"client_supplied_quantity"}),
        (f"try {{ {MESSAGE} }} catch (e) {{ console.error(e); }}", TOKENS, {"errors_swallowed"}),
    ],
)
def test_a_queue_of_the_platform_that_is_handed_over(
    tmp_path: Path, how: str, body: str, number: str, wanted: set[str]
) -> None:
    tree = {
        "src/index.ts": f"import {{ app }} from './app';\n{CONSUMER}",
        "src/app.ts": PRODUCER.replace("NUMBER", number),
        "src/meter.ts": TAKEN[how].replace("BODY", body),
    }
    tree = {name: text.replace("count", "units") for name, text in tree.items()}
    report = audited(tmp_path, tree)
    assert codes(report) == wanted
    assert "POST /run" in {one.route for one in report.endpoints}
