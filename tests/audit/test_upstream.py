# ruff: noqa: E501
"""Usage that is lost before a good outbox has it: the row that is not written, the counter that is not raised."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
SEND = f"{HEAD}export async function send(row) {{ await stripe.billing.meterEvents.create({{ event_name: 'calls', identifier: row.id, timestamp: row.at, payload: {{ stripe_customer_id: row.customer, value: String(row.quantity) }} }}); await prisma.usageEvent.update({{ where: {{ id: row.id }}, data: {{ reported: true }} }}); }}\n"
DRAIN = """import { send } from '../../../../send';
export async function GET() {
  const rows = await prisma.usageEvent.findMany({ where: { reported: false } });
  for (const row of rows) { await send(row); }
  return Response.json({ ok: true });
}
"""
CRON = '{"crons": [{"path": "/api/cron/drain", "schedule": "*/10 * * * *"}]}'
WORK = """import { record } from '../../../record';
export async function POST(req) {
  const user = await requireUser(req);
  const answer = await openai.responses.create({ input: await req.text() });
  WAIT
  return Response.json(answer);
}
"""
INSERT = "const row = await prisma.usageEvent.create({ data: { customer, quantity, reported: false } });"
KEPT = {
    f"let row; try {{ row = {INSERT[12:]} }} catch (e) {{ console.warn(e); return; }}\n  send(row).catch((e) => console.warn(e));": {
        "errors_swallowed"
    },
    f"let row; try {{ row = {INSERT[12:]} }} catch (e) {{ console.warn(e); throw e; }}\n  send(row).catch((e) => console.warn(e));": set(),
    f"try {{ {INSERT}\n  await send(row); }} catch (e) {{ console.warn(e); }}": set(),  # a failed report leaves its row
    f"{INSERT}\n  send(row).catch((e) => console.warn(e));": set(),
}


def tree(kept: str, wait: str) -> dict[str, str]:
    record = f"import {{ send }} from './send';\nexport async function record(customer, quantity) {{\n  {kept}\n}}\n"
    return {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18.0.0"}}',
        "vercel.json": CRON,
        "send.ts": SEND,
        "record.ts": record,
        "app/api/cron/drain/route.ts": DRAIN,
        "app/api/work/route.ts": WORK.replace("WAIT", wait),
    }


@pytest.mark.parametrize("kept", KEPT)
def test_a_row_that_is_not_kept_takes_its_report_along(tmp_path: Path, kept: str) -> None:
    report = audited(tmp_path, tree(kept, "await record(user.customer, answer.usage.total_tokens);"))
    assert codes(report) == KEPT[kept]
    assert report.verdict is (Verdict.FAIL if KEPT[kept] else Verdict.PASS)


def test_a_row_that_is_put_off_is_no_record_of_the_request(tmp_path: Path) -> None:
    kept = next(one for one in KEPT if one.startswith("const"))
    for wait, wanted in (
        ("waitUntil(record(user.customer, answer.usage.total_tokens));", {"fire_and_forget"}),
        ("await record(user.customer, answer.usage.total_tokens);", set()),
    ):
        assert codes(audited(tmp_path / wait[:5], tree(kept, wait))) == wanted, wait


def test_steps_of_a_job_look_for_its_rows(tmp_path: Path) -> None:
    """What an Inngest step reads is read by the job as well as what it reads itself."""
    job = "import { send } from './send';\nexport const drain = inngest.createFunction({ id: 'drain' }, { cron: '*/10 * * * *' }, async ({ step }) => {\n  const rows = await step.run('find', () => prisma.usageEvent.findMany({ where: { reported: false } }));\n  for (const row of rows) { await step.run(`send-${row.id}`, async () => { await send(row); }); }\n});\n"
    for name, handling, wanted in (
        ("lost", ".catch((e) => console.error(e))", {"errors_swallowed"}),
        ("kept", "", set()),
    ):
        body = f"await prisma.usageEvent.create({{ data: {{ customer, quantity, reported: false }} }}){handling};"
        found = tree(body, "await record(user.customer, answer.usage.total_tokens);")
        del found["app/api/cron/drain/route.ts"], found["vercel.json"]
        assert codes(audited(tmp_path / name, {**found, "jobs.ts": job})) == wanted, name


SYNC = f"""{HEAD}export async function GET() {{
  const [, keys] = await redis.scan(0, 'MATCH', 'usage:*', 'COUNT', 100);
  for (const key of keys) {{
    const count = Number(await redis.get(key));
    await stripe.billing.meterEvents.create({{ event_name: 'calls', identifier: `${{key}}-${{count}}`, payload: {{ stripe_customer_id: key.split(':')[1], value: String(count) }} }});
    await redis.decrby(key, count);
  }}
  return Response.json({{ ok: true }});
}}
"""
RAISED = {
    "redis.incr(`usage:${customer}`).catch((e) => console.error(e));": {
        "fire_and_forget",
        "errors_swallowed",
    },
    "try { await redis.incrby('usage:' + customer, 1); } catch (e) { console.error(e); }": {
        "errors_swallowed"
    },
    "await redis.incr(`usage:${customer}`);": set(),
    "await redis.incr(`usage:${customer}`);\n  redis.incr(`ratelimit:${customer}`).catch(() => {});": set(),
    "await redis.incr(`usage:${customer}`);\n  metrics.incr('usage.calls').catch(() => {});": set(),
    "await redis.incr(`usage:${customer}`);\n  redis.set(`cache:${customer}`, '1').catch(() => {});": set(),
    "const all = redis.pipeline();\n  all.incr(`usage:${customer}`);\n  await all.exec();": set(),
}


@pytest.mark.parametrize("raised", RAISED)
def test_a_counter_that_a_clock_sends_is_the_record(tmp_path: Path, raised: str) -> None:
    found = tree(raised, "await record(user.customer);")
    del found["send.ts"]
    report = audited(tmp_path, {**found, "app/api/cron/drain/route.ts": SYNC})
    assert codes(report) == RAISED[raised]


def test_a_counter_that_another_program_raises(tmp_path: Path) -> None:
    """Go counts in Redis what a route of Next.js sends; the goroutine logs its error."""
    redirect = 'package main\n\nfunc (h *Handler) count(ctx context.Context, user string) GIVES {\n\tBODY\n}\n\nfunc (h *Handler) redirect(w http.ResponseWriter, r *http.Request) {\n\tCALL\n\thttp.Redirect(w, r, h.target(r), 302)\n}\n\nfunc main() {\n\th := New()\n\thttp.HandleFunc("/", h.redirect)\n\thttp.ListenAndServe(":80", nil)\n}\n'
    raised = 'if err := h.redis.Incr(ctx, fmt.Sprintf("usage:%s", user)).Err(); err != nil {\n'
    lost = redirect.replace("GIVES ", "").replace("CALL", "h.count(r.Context(), userOf(r))")
    lost = lost.replace("BODY", f"go func() {{\n{raised}log.Println(err)\n}}\n}}()")
    told = redirect.replace("GIVES", "error").replace("BODY", f"{raised}return err\n}}\nreturn nil")
    told = told.replace(
        "CALL",
        "if err := h.count(r.Context(), userOf(r)); err != nil {\nhttp.Error(w, err.Error(), 500)\nreturn\n}",
    )
    base = {"package.json": "{}", "vercel.json": CRON, "app/api/cron/drain/route.ts": SYNC}
    assert codes(audited(tmp_path / "lost", {**base, "go/main.go": lost})) == {
        "fire_and_forget",
        "errors_swallowed",
    }
    assert codes(audited(tmp_path / "told", {**base, "go/main.go": told})) == set()


COMMAND = "<?php\nclass ReportUsage extends Command\n{\n    protected $signature = 'usage:report';\n    public function handle()\n    {\n        $reporter = app(MeterService::class);\n        foreach (Usage::where('reported', false)->get() as $row) {\n            $reporter->reportOne($row->customer, $row->quantity, $row->id);\n            $row->markReported();\n        }\n    }\n}\n"
METER = "<?php\nclass MeterService\n{\n    public function reportOne($customer, $value, $id): void\n    {\n        try {\n            \\Stripe\\Billing\\MeterEvent::create(['event_name' => 'calls', 'identifier' => $id, 'payload' => ['stripe_customer_id' => $customer, 'value' => $value]]);\n        } catch (\\Throwable $e) {\n            Log::error($e->getMessage());END\n        }\n    }\n}\n"


def test_a_row_is_marked_although_its_report_was_only_logged(tmp_path: Path) -> None:
    """A class by its whole name, `\\Stripe\\Billing\\MeterEvent`, made by the container."""
    for end, wanted in (("", {"errors_swallowed"}), ("\n            throw $e;", set())):
        php = {
            "app/Console/Commands/ReportUsage.php": COMMAND,
            "app/Services/MeterService.php": METER.replace("END", end),
            "routes/console.php": "<?php\nSchedule::command('usage:report')->hourly();\n",
        }
        assert codes(audited(tmp_path / str(len(end)), php)) == wanted, end


def test_rows_of_one_meter_are_no_rows_of_another(tmp_path: Path) -> None:
    """Two meters under names of the file's own: what sends the one does not send the other again."""
    fee = f"{HEAD}const EVENT = process.env.EVENT ?? 'NAME';\nexport async function record(customer, quantity) {{\n  try {{ await stripe.billing.meterEvents.create({{ event_name: EVENT, identifier: newId(), payload: {{ stripe_customer_id: customer, value: String(quantity) }} }}); }} catch (e) {{ console.error(e); }}\n}}\n"
    sent = SEND.replace("export", "const CALLS = process.env.EVENT ?? 'calls';\nexport").replace(
        "event_name: 'calls'", "event_name: CALLS"
    )
    found = {**tree("", "await record(user.customer, answer.usage.total_tokens);"), "send.ts": sent}
    for name, wanted in (("fees", {"errors_swallowed"}), ("calls", set())):
        assert codes(audited(tmp_path / name, {**found, "record.ts": fee.replace("NAME", name)})) == wanted, (
            name
        )


WORKER = f"{HEAD}new Worker('usage', async (job) => {{\n  try {{ await stripe.billing.meterEvents.create({{ event_name: 'calls', identifier: job.data.id, payload: {{ stripe_customer_id: job.data.customer, value: String(job.data.quantity) }} }}); }}\n  catch (e) {{\n    console.error('will not retry this one', e);\n    await prisma.usageEvent.update({{ where: {{ id: job.data.id }}, data: {{ MARK }} }});END\n  }}\n}});\n"
ASKED = "const usage = new Queue('usage');\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  await usage.add('usage', { id: answer.id, customer: req.user.customer, quantity: answer.usage.total_tokens });\n  res.json(answer);\n});\n"
AGAIN = "import { report } from './report';\nsetInterval(async () => { for (const row of await prisma.usageEvent.findMany({ where: { status: 'failed' } })) { await report(row); } }, 60_000);\n"
GIVEN_UP = {
    ("status: 'failed'", "", ""): {"errors_swallowed"},
    ("reportFailedAt: new Date()", "", ""): {"errors_swallowed"},
    ("status: 'failed'", "\n    throw e;", ""): set(),
    ("status: 'failed'", "", AGAIN): set(),
    ("status: 'pending'", "", ""): set(),
}


@pytest.mark.parametrize(("mark", "end", "again"), GIVEN_UP)
def test_a_worker_that_gives_up_on_what_it_marks(tmp_path: Path, mark: str, end: str, again: str) -> None:
    """The job is done for its queue; a mark that nothing asks for is no second try."""
    worker = WORKER.replace("MARK", mark).replace("END", end)
    found = {"worker.ts": worker, "server.ts": ASKED, **({"again.ts": again} if again else {})}
    assert codes(audited(tmp_path, found)) == GIVEN_UP[mark, end, again]


def test_a_lambda_that_gives_up_on_what_it_marks(tmp_path: Path) -> None:
    """What a queue's function returns without an error is taken from the queue, unless it names it as failed."""
    body = "const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');\nexports.handler = async (event) => {\n  const failures = [];\n  for (const record of event.Records) {\n    const data = JSON.parse(record.body);\n    try { await marketplace.batchMeterUsage({ UsageRecords: [{ Timestamp: data.at, CustomerIdentifier: data.customer, Dimension: 'calls', Quantity: data.quantity }], ProductCode: CODE }); }\n    catch (error) {\n      await db.send(new UpdateCommand({ TableName: 't', UpdateExpression: 'SET metering_failed = :f', ExpressionAttributeValues: { ':f': true } }));\n      failures.push({ itemIdentifier: record.messageId });\n    }\n  }\n  return ANSWER;\n};\n"
    send = "const { SQSClient, SendMessageCommand } = require('@aws-sdk/client-sqs');\nexports.handler = async (event) => { const job = await work(event); await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify({ customer: job.customer, quantity: job.pages, at: job.at }) })); };\n"
    for name, answer, wanted in (
        ("lost", "{ statusCode: 200 }", {"errors_swallowed"}),
        ("told", "{ batchItemFailures: failures }", set()),
    ):
        lambdas = {"meter/index.js": body.replace("ANSWER", answer), "job/index.js": send}
        assert codes(audited(tmp_path / name, lambdas)) == wanted, name


KEYED = "const { DynamoDBClient, UpdateItemCommand } = require('@aws-sdk/client-dynamodb');\nexports.handler = async (event) => {\n  await Promise.all(event.Records.map(async (record) => {\n    const data = JSON.parse(record.body);\n    let failed = false;\n    try { await marketplace.send(new BatchMeterUsageCommand({ ProductCode: CODE, UsageRecords: [{ Timestamp: data.at, CustomerIdentifier: data.customer, Dimension: 'calls', Quantity: data.quantity }] })); }\n    catch (error) { logger.error({ error }); failed = true; }\n    LEAVE\n    await Promise.all(data.keys.map(async (key) => {\n      await db.send(new UpdateItemCommand({ TableName: 'usage', Key: key, UpdateExpression: 'UPDATE', ExpressionAttributeValues: { ':f': { BOOL: failed } } }));\n    }));\n  }));\n};\n"
SWEEP = "const { DynamoDBClient, QueryCommand } = require('@aws-sdk/client-dynamodb');\nconst { SQSClient, SendMessageCommand } = require('@aws-sdk/client-sqs');\nexports.job = async () => {\n  const rows = await db.send(new QueryCommand({ TableName: 'usage', KeyConditionExpression: 'metering_pending = :b' }));\n  for (const row of rows.Items) await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify(row) }));\n};\n"
SWEPT = "Resources:\n  Sweep:\n    Type: AWS::Serverless::Function\n    Properties:\n      Handler: src/sweep.job\n      Events:\n        T:\n          Type: Schedule\n          Properties:\n            Schedule: rate(1 hour)\n  Meter:\n    Type: AWS::Serverless::Function\n    Properties:\n      Handler: src/meter.handler\n"


@pytest.mark.parametrize(
    ("leave", "update", "wanted"),
    [
        ("", "set failed = :f remove metering_pending", {"errors_swallowed"}),
        ("if (failed) return;", "set failed = :f remove metering_pending", set()),
        ("", "set failed = :f", set()),
    ],
)
def test_rows_of_dynamodb_that_no_longer_wait(
    tmp_path: Path, leave: str, update: str, wanted: set[str]
) -> None:
    """An hourly sweep takes the rows that wait; what failed is one of them only as long as its mark stays."""
    meter = KEYED.replace("LEAVE", leave).replace("UPDATE", update)
    tree = {"src/meter.js": meter, "src/sweep.js": SWEEP, "template.yaml": SWEPT}
    assert codes(audited(tmp_path, tree)) == wanted


FLOW = 'package flows\n\nfunc Enrich(ctx workflow.Context, in Input) error {\n\tctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{RetryPolicy: &temporal.RetryPolicy{LIMIT}})\n\tvar out Output\n\tif err := workflow.ExecuteActivity(ctx, "RunPrompt", in).Get(ctx, &out); err != nil {\n\t\treturn err\n\t}\n\tREPORT\n\treturn nil\n}\n'
ACTIVITIES = "package activities\n\ntype Activities struct {\n\tbilling Meter\n}\n\nfunc (a *Activities) ReportUsage(ctx context.Context, in Used) error {\n\treturn a.billing.ReportUsage(ctx, in.Customer, in.Count)\n}\n"
BILLING = 'package billing\n\nfunc (b *Billing) ReportUsage(ctx context.Context, customer string, count int) error {\n\t_, err := b.stripe.V1BillingMeterEvents.Create(ctx, &stripe.BillingMeterEventCreateParams{EventName: stripe.String("cells"), Payload: map[string]string{"stripe_customer_id": customer, "value": strconv.Itoa(count)}})\n\tif err != nil {\n\t\treturn err\n\t}\n\treturn nil\n}\n'
RUNS = "package main\n\nfunc main() {\n\tw := worker.New(c, queue, worker.Options{})\n\tw.RegisterWorkflow(flows.Enrich)\n\tw.RegisterActivity(activities.New(b))\n\tw.Run(worker.InterruptCh())\n}\n"
ACTIVITY = 'workflow.ExecuteActivity(ctx, "ReportUsage", Used{Customer: in.Customer, Count: len(out.Cells)}).Get(ctx, nil)'
HEARD = {
    ("MaximumAttempts: 3", ACTIVITY): {"errors_swallowed"},
    ("MaximumAttempts: 3", f"if err := {ACTIVITY}; err != nil {{\n\t\treturn err\n\t}}"): set(),
    ("InitialInterval: time.Second", ACTIVITY): set(),  # it is tried until it is done
}


@pytest.mark.parametrize(("limit", "report"), HEARD)
def test_an_activity_whose_last_error_nobody_hears(tmp_path: Path, limit: str, report: str) -> None:
    """Temporal gives up after some attempts, and the workflow goes on as if all was well."""
    found = {
        "flows/flows.go": FLOW.replace("LIMIT", limit).replace("REPORT", report),
        "activities/activities.go": ACTIVITIES,
        "billing/billing.go": BILLING,
        "main.go": RUNS,
    }
    report_of = audited(tmp_path, found)
    assert codes(report_of) == HEARD[limit, report]
    assert report_of.verdict is (Verdict.FAIL if HEARD[limit, report] else Verdict.PASS)


def test_a_queue_that_a_function_gives(tmp_path: Path) -> None:
    """One queue for the process, behind a getter: who fills it is known, and what becomes of its refusal."""
    queue = f"{HEAD}let kept = null;\nexport function usageQueue() {{\n  if (!kept) {{ kept = new Queue('usage'); }}\n  return kept;\n}}\nnew Worker('usage', async (job) => {{ await stripe.billing.meterEvents.create({{ event_name: 'calls', identifier: job.data.id, payload: {{ stripe_customer_id: job.data.customer, value: String(job.data.quantity) }} }}); }});\n"
    asked = "import { usageQueue } from './queue';\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  PUT\n  res.json(answer);\n});\n"
    job = "{ id: answer.id, customer: req.user.customer, quantity: answer.usage.total_tokens }"
    for name, put, wanted in (
        (
            "kept",
            f"const queue = usageQueue();\n  queue.add('usage', {job}).catch((e) => console.error(e));",
            {"errors_swallowed"},
        ),
        (
            "chained",
            f"usageQueue().add('usage', {job}).catch((e) => console.error(e));",
            {"errors_swallowed"},
        ),
        ("awaited", f"const queue = usageQueue();\n  await queue.add('usage', {job});", set()),
    ):
        tree_of = {"queue.ts": queue, "server.ts": asked.replace("PUT", put)}
        assert codes(audited(tmp_path / name, tree_of)) == wanted, name


RUN = """import { bill } from '../../../../bill';
export async function GET() {
  const jobs = await prisma.renderJob.findMany({ where: { status: 'pending' } });
  for (const job of jobs) {
    await openai.images.generate({ prompt: job.prompt });
    STEPS
  }
  return Response.json({ ok: true });
}
"""
DONE = "await prisma.renderJob.update({ where: { id: job.id }, data: { status: 'completed' } });"
BILL = "await prisma.usageEvent.create({ data: { customer: job.customer, quantity: job.pages, reported: false } });"
TRIED = f"try {{ {BILL} }} catch (e) {{\n      console.error(e);\n    }}"
STEPS = {
    f"{DONE}\n    {TRIED}": {"errors_swallowed"},
    f"{TRIED}\n    {DONE}": {"errors_swallowed"},
    f"try {{ {BILL}\n    {DONE} }} catch (e) {{\n      console.error(e);\n    }}": set(),  # it stays pending
    f"{BILL}\n    {DONE}": set(),
    f"{TRIED}\n    await prisma.renderJob.update({{ where: {{ id: job.id }}, data: {{ seen: true }} }});": set(),
}


@pytest.mark.parametrize("steps", STEPS)
def test_a_job_that_is_closed_before_its_usage_is_kept(tmp_path: Path, steps: str) -> None:
    """What a clock takes by its state it does not find again once that says that all is done."""
    found = {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18.0.0"}}',
        "vercel.json": '{"crons": [{"path": "/api/cron/drain", "schedule": "*/10 * * * *"}, {"path": "/api/cron/run", "schedule": "* * * * *"}]}',
        "send.ts": SEND,
        "app/api/cron/drain/route.ts": DRAIN,
        "app/api/cron/run/route.ts": RUN.replace("STEPS", steps),
    }
    assert codes(audited(tmp_path, found)) == STEPS[steps]


ROW = "supabase.from('usage_events').insert({ customer: user.customer, quantity: answer.usage.total_tokens, reported: false })"
SUPABASE = {
    f"await {ROW};": {"errors_swallowed"},
    f"try {{ await {ROW}; }} catch (e) {{ return new Response('', {{ status: 500 }}); }}": {
        "errors_swallowed"
    },
    f"const {{ error }} = await {ROW};\n  if (error) throw error;": set(),
    f"const {{ error }} = await {ROW};\n  if (error) {{ return new Response('', {{ status: 500 }}); }}": set(),
    f"await {ROW}.throwOnError();": set(),
    f"const kept = await {ROW};\n  if (kept.error) throw kept.error;": set(),
    f"const {{ error }} = await {ROW};\n  if (error) throw error;\n  await supabase.from('visits').insert({{ at: now }});": set(),
}


@pytest.mark.parametrize("kept", SUPABASE)
def test_a_database_that_answers_instead_of_raising(tmp_path: Path, kept: str) -> None:
    """Supabase raises nothing: who does not look at its answer does not know whether the row is there."""
    drain = f"import {{ supabase }} from '../../../../supabase';\n{HEAD}export async function GET() {{\n  const {{ data: rows }} = await supabase.from('usage_events').select('*').eq('reported', false);\n  for (const row of rows) {{\n    await stripe.billing.meterEvents.create({{ event_name: 'calls', identifier: row.id, payload: {{ stripe_customer_id: row.customer, value: String(row.quantity) }} }});\n    await supabase.from('usage_events').update({{ reported: true }}).eq('id', row.id);\n  }}\n  return Response.json({{ ok: true }});\n}}\n"
    found = {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18.0.0"}}',
        "vercel.json": CRON,
        "supabase.ts": "import { createClient } from '@supabase/supabase-js';\nexport const supabase = createClient(process.env.URL, process.env.KEY);\n",
        "app/api/cron/drain/route.ts": drain,
        "app/api/work/route.ts": f"import {{ supabase }} from '../../../supabase';\n{WORK}".replace(
            "WAIT", kept
        ),
    }
    assert codes(audited(tmp_path, found)) == SUPABASE[kept]


def test_a_subscription_that_is_sold_is_no_resolver(tmp_path: Path) -> None:
    """A library's own class of this name, which hands a report on to its items, is no way in."""
    item = "<?php\nclass SubscriptionItem\n{\n    public function reportUsage($quantity = 1)\n    {\n        return $this->stripe()->subscriptionItems->createUsageRecord($this->stripe_id, ['quantity' => $quantity]);\n    }\n}\n"
    whole = "<?php\nclass Subscription\n{\n    public function reportUsage($quantity = 1)\n    {\n        return $this->singleItemOrFail()->reportUsage($quantity);\n    }\n}\n"
    library = {
        "composer.json": '{"name": "acme/billing", "autoload": {"psr-4": {"Acme\\\\": "src/"}}}',
        "src/SubscriptionItem.php": item,
        "src/Subscription.php": whole,
    }
    assert audited(tmp_path, library).verdict is Verdict.SKIP
