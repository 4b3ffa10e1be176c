# ruff: noqa: E501
"""What joins parts that do not call each other: tables that are sent later, queues by name. Right and wrong twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

SEND = "await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: row.id, payload: { stripe_customer_id: CUSTOMER, value: String(NUMBER) } });"
HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
DRAIN = (
    HEAD
    + """
export async function GET(req: Request) {
  if (req.headers.get('authorization') !== `Bearer ${process.env.CRON_SECRET}`) return new Response('no', { status: 401 });
  const rows = READ;
  for (const row of rows) {
    SEND
    await prisma.usageEvent.update({ where: { id: row.id }, data: { reportedAt: new Date() } });
  }
  return Response.json({ ok: true });
}
""".replace("SEND", SEND.replace("CUSTOMER", "row.customerId").replace("NUMBER", "row.quantity"))
)
ROUTE = """import { auth } from '@/lib/auth';
export async function POST(req: Request) {
  const body = await req.json();
  const session = await auth();
  const answer = await openai.responses.create({ input: body.prompt });
  WRITE
  return Response.json(answer);
}
"""
TABLES = {
    "prisma": (
        "await prisma.usageEvent.findMany({ where: { reportedAt: null } })",
        "await prisma.usageEvent.create({ data: { customerId: CUSTOMER, quantity: NUMBER } });",
    ),
    "drizzle": (
        "await db.select().from(usageEvents).where(isNull(usageEvents.reportedAt))",
        "await db.insert(usageEvents).values({ customerId: CUSTOMER, quantity: NUMBER });",
    ),
    "supabase": (
        "(await supabase.from('usage_events').select('*').is('reported_at', null)).data",
        "await supabase.from('usage_events').insert({ customer_id: CUSTOMER, quantity: NUMBER }).throwOnError();",
    ),
    "sql": (
        "await pool.query('SELECT * FROM usage_events WHERE reported_at IS NULL LIMIT 100')",
        "await pool.query('INSERT INTO usage_events (customer_id, quantity) VALUES ($1, $2)', [CUSTOMER, NUMBER]);",
    ),
    "mongo": (
        "await database.collection(USAGE_EVENTS_COLLECTION).find({ reportedAt: null }).toArray()",
        "const event = { customerId: CUSTOMER, quantity: NUMBER };\n  await database.collection(USAGE_EVENTS_COLLECTION).insertOne(event);",
    ),
    "mongoose": (
        "await UsageEvent.find({ reportedAt: null })",
        "await UsageEvent.create({ customerId: CUSTOMER, quantity: NUMBER });",
    ),
}
SESSION, TOKENS = "session.user.customer", "answer.usage.total_tokens"


def outbox(table: str, write: str = "", *, customer: str = SESSION, number: str = TOKENS) -> Tree:
    """A Next.js application that keeps rows and sends them every five minutes."""
    read, kept = TABLES[table]
    text = (write or kept).replace("CUSTOMER", customer).replace("NUMBER", number)
    return {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18.0.0"}}',
        "vercel.json": '{"crons": [{"path": "/api/cron/drain", "schedule": "*/5 * * * *"}]}',
        "lib/auth.ts": "export async function auth() { return await readVerifiedCookie(); }\n",
        "app/api/cron/drain/route.ts": DRAIN.replace("READ", read),
        "app/api/generate/route.ts": ROUTE.replace("WRITE", text),
    }


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_sent_is_the_meter(tmp_path: Path, table: str) -> None:
    """The row's own numbers are judged where the row is written."""
    right = audited(tmp_path / "right", outbox(table))
    assert (right.verdict, right.reason) == ("pass", "ok_outbox"), right.findings
    assert sorted(one.grade for one in right.endpoints) == ["cron-only", "outbox"]
    wrong = audited(tmp_path / "wrong", outbox(table, number="body.tokens"))
    assert codes(wrong) == {"client_supplied_quantity"}
    assert wrong.findings[0].place.path == "app/api/generate/route.ts"
    other = audited(tmp_path / "other", outbox(table, customer="body.customerId"))
    assert codes(other) == {"client_supplied_customer"}


@pytest.mark.parametrize(
    ("write", "code"),
    [
        ("try { KEPT } catch (error) { console.error(error); }", "errors_swallowed"),
        (
            "prisma.usageEvent.create({ data: { customerId: CUSTOMER, quantity: NUMBER } });",
            "fire_and_forget",
        ),
    ],
)
def test_a_row_that_may_be_missing(tmp_path: Path, write: str, code: str) -> None:
    """A job can only send the rows that exist."""
    tree = outbox("prisma", write.replace("KEPT", TABLES["prisma"][1]))
    assert codes(audited(tmp_path, tree)) == {code}


def test_rows_that_nobody_writes_are_for_review(tmp_path: Path) -> None:
    """Another program may write them, so it does not decide; it is said all the same."""
    report = audited(tmp_path, outbox("prisma", "/* nothing */"))
    assert codes(report) == set()
    assert [(one.code, one.confidence) for one in report.findings] == [("never_reported", "low")]


def test_a_table_beside_a_direct_report_is_no_second_meter(tmp_path: Path) -> None:
    """Whoever reports in the request may lose the copy for the statistics."""
    direct = SEND.replace("row.id", "answer.id")
    write = f"{direct}\n  try {{ {TABLES['prisma'][1]} }} catch (error) {{ console.error(error); }}"
    report = audited(tmp_path, outbox("prisma", HEAD.split("\n")[1] + write))
    assert report.verdict == "pass", report.findings


def test_staff_may_correct_by_hand(tmp_path: Path) -> None:
    """An administrator's adjustment names its number, and that is its purpose."""
    tree = outbox("prisma")
    write = TABLES["prisma"][1].replace("CUSTOMER", "body.customer").replace("NUMBER", "body.amount")
    tree["app/api/admin/adjust/route.ts"] = ROUTE.replace("WRITE", write)
    report = audited(tmp_path, tree)
    assert report.verdict == "pass", report.findings


@pytest.mark.parametrize(("minutes", "fails"), [("*/5", False), ("0", True)])
def test_the_running_period_alone_is_not_enough(tmp_path: Path, minutes: str, fails: bool) -> None:
    """Rows chosen by the start of the running period: those after the last run are never sent."""
    tree = outbox("prisma")
    path = "app/api/cron/drain/route.ts"
    tree["vercel.json"] = tree["vercel.json"].replace("*/5", minutes)
    if fails:
        tree[path] = tree[path].replace(
            "reportedAt: null", "createdAt: { gte: subscription.currentPeriodStart }"
        )
    assert codes(audited(tmp_path, tree)) == ({"scheduled_reporting"} if fails else set())


DJANGO = {
    "shop/__init__.py": "",
    "shop/models.py": "class UsageEvent(models.Model):\n    quantity = models.IntegerField()\n",
    "shop/settings.py": 'CELERY_BEAT_SCHEDULE = {\n    "drain": {"task": "shop.tasks.drain", "schedule": 300.0},\n}\n',
    "shop/tasks.py": """import stripe
from celery import shared_task
from shop.models import UsageEvent

@shared_task
def drain():
    for row in READ:
        stripe.billing.MeterEvent.create(event_name="calls", identifier=str(row.id), payload={"stripe_customer_id": row.customer_id, "value": row.quantity})
        row.reported_at = now()
        row.save()
""",
}
PYTHON = {
    "django": (
        "UsageEvent.objects.filter(reported_at__isnull=True)",
        "from shop.models import UsageEvent\n\nclass RunView(APIView):\n    def post(self, request):\n        answer = client.responses.create(input=request.data['prompt'])\n        UsageEvent.objects.create(customer_id=request.user.customer_id, quantity=NUMBER)\n        return Response(answer.text)\n",
        "request.data['tokens']",
    ),
    "sqlalchemy": (
        "session.query(UsageEvent).filter(UsageEvent.reported_at.is_(None))",
        "from shop.models import UsageEvent\napp = FastAPI()\n\n@app.post('/run')\ndef run(body: Body, user=Depends(current_user), session=Depends(get_session)):\n    answer = client.responses.create(input=body.prompt)\n    event = UsageEvent(customer_id=user.customer_id, quantity=NUMBER)\n    session.add(event)\n    session.commit()\n    return answer.text\n",
        "body.tokens",
    ),
}


@pytest.mark.parametrize("name", PYTHON)
def test_a_table_in_python(tmp_path: Path, name: str) -> None:
    """The same through Celery beat, Django's and SQLAlchemy's models."""
    read, view, field = PYTHON[name]
    for folder, number, wanted in (("right", "answer.usage.total_tokens", set()), ("wrong", field, {"client_supplied_quantity"})):  # fmt: skip
        tree = DJANGO | {"shop/views.py": view.replace("NUMBER", number)}
        tree["shop/tasks.py"] = tree["shop/tasks.py"].replace("READ", read)
        assert codes(audited(tmp_path / folder, tree)) == wanted


def worker(text: str, job: str) -> str:
    """A worker's file."""
    send = SEND.replace("CUSTOMER", f"{job}.customerId").replace("NUMBER", f"{job}.quantity")
    return HEAD + text.replace("SEND", send.replace("row.id", f"{job}.id"))


EXPRESS = """import { Queue } from 'bullmq';
const usageQueue = new Queue('usage');
app.post('/run', async (req, res) => {
  const answer = await openai.responses.create({ input: req.body.prompt });
  PUT
  res.json(answer);
});
"""
JOB = "{ customerId: CUSTOMER, quantity: NUMBER, id: answer.id }"
QUEUES = {
    "bullmq": (
        worker("new Worker('usage', async (job) => {\n  SEND\n});\n", "job.data"),
        f"await usageQueue.add('report', {JOB});",
    ),
    "pg-boss": (
        worker("await boss.work('usage', async ([job]) => {\n  SEND\n});\n", "job.data"),
        f"await boss.send('usage', {JOB});",
    ),
    "inngest": (
        worker("export const report = inngest.createFunction({ id: 'report' }, { event: 'usage/used' }, async ({ event, step }) => {\n  await step.run('send', async () => { SEND });\n});\n", "event.data"),
        f"await inngest.send({{ name: 'usage/used', data: {JOB} }});",
    ),
    "trigger.dev": (
        worker("export const report = task({ id: 'report-usage', run: async (payload) => { SEND } });\n", "payload"),
        f"await tasks.trigger('report-usage', {JOB});",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_joins_the_request_to_the_report(tmp_path: Path, name: str) -> None:
    """Producer and worker meet by name; what the client put into the job stays the client's word."""
    consumer, put = QUEUES[name]
    for folder, customer, number, wanted in (
        ("right", "req.user.customer", TOKENS, set()),
        ("number", "req.user.customer", "req.body.tokens", {"client_supplied_quantity"}),
        ("customer", "req.body.customerId", "1", {"client_supplied_customer"}),
    ):
        text = EXPRESS.replace("PUT", put.replace("CUSTOMER", customer).replace("NUMBER", number))
        report = audited(tmp_path / folder, {"worker.ts": consumer, "server.ts": text})
        assert codes(report) == wanted, (folder, report.findings)
        assert {one.grade for one in report.endpoints} == {"queued"}
        assert "POST /run" in {one.route for one in report.endpoints}


@pytest.mark.parametrize(
    "put",
    [
        "report.delay(user.customer, NUMBER, answer.id)",
        "report.apply_async(args=[user.customer, NUMBER, answer.id])",
        "report.apply_async(kwargs={'customer': user.customer, 'n': NUMBER, 'key': answer.id})",
    ],
)
def test_a_celery_task(tmp_path: Path, put: str) -> None:
    """Arguments go through the broker in their order, or by name."""
    task = "import stripe\nfrom celery import Celery\napp = Celery()\n\n@app.task(autoretry_for=(Exception,))\ndef report(customer, n, key):\n    stripe.billing.MeterEvent.create(event_name='c', identifier=key, payload={'stripe_customer_id': customer, 'value': n})\n"
    view = "from fastapi import FastAPI, Depends\nfrom tasks import report\napi = FastAPI()\n\n@api.post('/run')\ndef run(body: Body, user=Depends(current_user)):\n    answer = client.responses.create(input=body.prompt)\n    PUT\n    return answer.text\n"
    for folder, number, wanted in (("right", "answer.usage.total_tokens", set()), ("wrong", "body.n", {"client_supplied_quantity"})):  # fmt: skip
        tree = {"tasks.py": task, "main.py": view.replace("PUT", put.replace("NUMBER", number))}
        assert codes(audited(tmp_path / folder, tree)) == wanted


@pytest.mark.parametrize(("column", "fails"), [("count", False), ("quantity", True)])
def test_a_table_that_only_sounds_like_usage(tmp_path: Path, column: str, fails: bool) -> None:
    """A job reads the calendar too: its rows are usage only if the column that is sent is the one written."""
    tree = outbox("prisma")
    path = "app/api/cron/drain/route.ts"
    read = "  const plans = await prisma.calendarEvent.findMany({ where: { day } });\n  const rows"
    tree[path] = tree[path].replace("  const rows", read)
    write = f"await prisma.calendarEvent.create({{ data: {{ userId: session.user.id, {column}: body.guests }} }});"
    work = "  const answer = await openai.responses.create({ input: body.prompt });\n"
    tree["app/api/calendar/route.ts"] = (
        ROUTE.replace(work, "").replace("WRITE", write).replace("answer", "{}")
    )
    assert codes(audited(tmp_path, tree)) == ({"client_supplied_quantity"} if fails else set())


def test_queues_of_one_variable_name_are_told_apart(tmp_path: Path) -> None:
    """`queue` means another queue in each file."""
    consumer, put = QUEUES["bullmq"]
    own = EXPRESS.replace("usageQueue", "queue").replace(
        "PUT",
        put.replace("usageQueue", "queue").replace("CUSTOMER", "req.user.customer").replace("NUMBER", TOKENS),
    )
    other = "import { Queue } from 'bullmq';\nconst queue = new Queue('mail');\napp.post('/mail', async (req, res) => { await queue.add('mail', req.body); res.json({}); });\n"
    tree = {"worker.ts": consumer, "server.ts": own, "mail.ts": other}
    report = audited(tmp_path, tree)
    assert codes(report) == set(), report.findings
    assert "POST /mail" not in {one.route for one in report.endpoints}


@pytest.mark.parametrize("inside", [True, False])
def test_a_row_marked_as_sent_although_it_was_not(tmp_path: Path, inside: bool) -> None:
    """A caught error is harmless while the row stays unsent, and fatal when it is marked all the same."""
    tree = outbox("prisma")
    path = "app/api/cron/drain/route.ts"
    mark = next(line for line in tree[path].splitlines() if "reportedAt: new Date()" in line).strip()
    send = next(line for line in tree[path].splitlines() if "meterEvents.create" in line).strip()
    caught = "} catch (error) { console.error(error); }"
    body = (
        f"try {{\n    {send}\n    {mark}\n    {caught}"
        if inside
        else f"try {{\n    {send}\n    {caught}\n    {mark}"
    )
    tree[path] = tree[path].replace(mark, "").replace(send, body)
    assert codes(audited(tmp_path, tree)) == (set() if inside else {"errors_swallowed"})
