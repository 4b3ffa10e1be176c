# ruff: noqa: E501
"""Schedules wherever they are written: once a day is too late, every few minutes is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

SEND = "await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: row.id, payload: { stripe_customer_id: row.customerId, value: String(row.quantity) } });"
HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
JOB = f"{HEAD}export async function reportUsage() {{\n  const rows = await db.usage.findMany({{ where: {{ sentAt: null }} }});\n  for (const row of rows) {{ {SEND} }}\n}}\n"
PYTHON_JOB = "import stripe\ndef report_usage():\n    for row in Usage.objects.filter(sent_at=None):\n        stripe.billing.MeterEvent.create(event_name='c', identifier=str(row.id), payload={'stripe_customer_id': row.customer_id, 'value': row.quantity})\n"
IMPORT = "import { reportUsage } from '../lib/job';\n"
HANDLER = "export const handler = async () => { await reportUsage(); return { statusCode: 200 }; };\n"
OWN_INTERVAL = "export function every(name: string, job: () => Promise<void>, ms: number) {\n  const tick = async () => { try { await job(); } catch (error) { log.error(name, error); } };\n  setInterval(tick, ms);\n}\n"
OWN_TIMEOUT = "export const loop = ({ run, every }: { run: () => Promise<void>; every: number }) => {\n  const again = async () => { await run(); setTimeout(again, every); };\n  setTimeout(again, 0);\n};\n"
CRON = ("0 3 * * *", "*/5 * * * *")

Row = tuple[Tree, tuple[str, str]]
SCRIPT: dict[str, Row] = {
    "netlify.toml": ({"netlify.toml": '[functions."report-usage"]\nschedule = "WHEN"\n', "netlify/functions/report-usage.ts": IMPORT.replace("../", "../../") + HANDLER}, CRON),
    "netlify config": ({"netlify/functions/report-usage.mts": IMPORT.replace("../", "../../") + "export default async () => { await reportUsage(); };\nexport const config = { schedule: 'WHEN' };\n"}, CRON),
    "netlify call": ({"netlify/functions/report-usage.ts": IMPORT.replace("../", "../../") + "export const handler = schedule('WHEN', async () => { await reportUsage(); return { statusCode: 200 }; });\n"}, ("@daily", "*/5 * * * *")),
    "wrangler.toml": ({"wrangler.toml": '[triggers]\ncrons = ["WHEN"]\n', "src/index.ts": IMPORT + "export default {\n  async scheduled(event, env, ctx) { await reportUsage(); },\n};\n"}, CRON),
    "wrangler.jsonc": ({"wrangler.jsonc": '{ "name": "a", // a comment\n "triggers": { "crons": ["WHEN"] } }\n', "src/index.ts": IMPORT + "export default {\n  async scheduled(event, env, ctx) { await reportUsage(); },\n};\n"}, CRON),
    "kubernetes": ({"k8s/cron.yaml": 'kind: Service\nmetadata:\n  name: web\n---\nkind: CronJob\nspec:\n  schedule: "WHEN"\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n            - command: ["node", "dist/jobs/report-usage.js"]\n', "jobs/report-usage.ts": IMPORT + "await reportUsage();\n"}, CRON),
    "sam": ({"template.yaml": "Resources:\n  Report:\n    Type: AWS::Serverless::Function\n    Properties:\n      Handler: src/report.handler\n      Events:\n        T:\n          Type: Schedule\n          Properties:\n            Schedule: WHEN\n", "src/report.ts": IMPORT + HANDLER}, ("rate(1 day)", "rate(5 minutes)")),
    "serverless": ({"serverless.yml": "functions:\n  report:\n    handler: src/report.handler\n    events:\n      - schedule: WHEN\n", "src/report.ts": IMPORT + HANDLER}, ("cron(0 3 * * ? *)", "rate(5 minutes)")),
    "crontab": ({"deploy/crontab": "WHEN cd /app && node dist/report.js\n", "src/report.ts": IMPORT + "async function main() { await reportUsage(); }\nmain();\n"}, CRON),
    "crontab of a container": ({"deploy/cron/meters.txt": "WHEN root sh /meters.sh >> /proc/1/fd/1 2>&1\n", "deploy/cron/meters.sh": "#!/bin/sh\ncurl -fsS -X POST http://web:8000/internal/usage/send\n", "src/server.ts": IMPORT + "app.post('/internal/usage/send', async (req, res) => { await reportUsage(); res.json({}); });\n"}, CRON),
    "crontab that a script installs": ({"setup.sh": "(crontab -l; echo 'WHEN cd /srv && node dist/report.js') | crontab -\n", "src/report.ts": IMPORT + "async function main() { await reportUsage(); }\nmain();\n"}, CRON),
    "railway": ({"railway.toml": '[deploy]\nstartCommand = "node dist/report.js"\ncronSchedule = "WHEN"\n', "src/report.ts": IMPORT + "async function main() { await reportUsage(); }\nmain();\n"}, CRON),
    "railway json": ({"railway.json": '{"deploy": {"startCommand": "node dist/report.js", "cronSchedule": "WHEN"}}', "src/report.ts": IMPORT + "async function main() { await reportUsage(); }\nmain();\n"}, CRON),
    "workflow that runs a package's command": ({".github/workflows/r.yml": "on:\n  schedule:\n    - cron: 'WHEN'\njobs:\n  a:\n    steps:\n      - run: bunx nx run @acme/jobs:cron:usage\n", "jobs/package.json": '{"scripts": {"cron:usage": "tsx src/usage.ts"}}', "jobs/src/usage.ts": "import { reportUsage } from '../../lib/job';\nawait reportUsage();\n"}, CRON),
    "workflow": ({".github/workflows/r.yml": "on:\n  schedule:\n    - cron: 'WHEN'\njobs:\n  a:\n    steps:\n      - run: npx tsx scripts/report-usage.ts\n", "scripts/report-usage.ts": IMPORT + "await reportUsage();\n"}, CRON),
    "terraform": ({"infra/main.tf": 'resource "google_cloud_scheduler_job" "r" {\n  schedule = "WHEN"\n  http_target { uri = "https://x.example/tasks/report" }\n}\n', "src/server.ts": IMPORT + "app.post('/tasks/report', async (req, res) => { await reportUsage(); res.json({}); });\n"}, CRON),
    "pg_cron": ({"supabase/migrations/1.sql": "select cron.schedule('report', 'WHEN', $$ select net.http_post(url := 'https://x.example/functions/v1/report-usage') $$);", "supabase/functions/report-usage/index.ts": "import { reportUsage } from '../../../lib/job';\nDeno.serve(async () => { await reportUsage(); return new Response('ok'); });\n"}, CRON),
    "node-cron": ({"src/index.ts": IMPORT + "cron.schedule('WHEN', async () => { await reportUsage(); });\n"}, CRON),
    "node-cron by name": ({"src/index.ts": IMPORT + "cron.schedule('WHEN', reportUsage);\n"}, CRON),
    "cron class": ({"src/index.ts": IMPORT + "new CronJob('WHEN', reportUsage, null, true);\n"}, CRON),
    "nest": ({"src/tasks.service.ts": IMPORT + "@Injectable()\nexport class Tasks {\n  @Cron(WHEN)\n  async run() { await reportUsage(); }\n}\n"}, ("CronExpression.EVERY_DAY_AT_MIDNIGHT", "CronExpression.EVERY_5_MINUTES")),
    "interval": ({"src/index.ts": IMPORT + "setInterval(() => reportUsage(), WHEN);\n"}, ("24 * 60 * 60 * 1000", "5 * 60 * 1000")),
    "own clock": ({"src/clock.ts": OWN_INTERVAL, "src/index.ts": IMPORT + "import { every } from './clock';\nevery('usage', reportUsage, WHEN);\n"}, ("24 * 60 * 60 * 1000", "5 * 60 * 1000")),
    "own clock by a literal": ({"src/clock.ts": OWN_INTERVAL, "src/index.ts": IMPORT + "import { every } from './clock';\nevery('usage', async () => { await reportUsage(); }, WHEN);\n"}, ("24 * 60 * 60 * 1000", "5 * 60 * 1000")),
    "own clock that sets itself": ({"src/clock.ts": OWN_TIMEOUT, "src/index.ts": IMPORT + "import { loop } from './clock';\nconst every = WHEN;\nloop({ run: reportUsage, every });\n"}, ("Number(process.env.EVERY_SEC ?? 86400) * 1000;", "Number(process.env.EVERY_SEC ?? 300) * 1000;")),
    "bullmq": ({"src/worker.ts": IMPORT + "const queue = new Queue('usage');\nawait queue.upsertJobScheduler('r', { pattern: 'WHEN' }, { name: 'r' });\nnew Worker('usage', async () => { await reportUsage(); });\n"}, CRON),
    "bullmq elsewhere": ({"src/queue.ts": "export const usageQueue = new Queue('usage');\nawait usageQueue.add('r', {}, { repeat: { pattern: 'WHEN' } });\n", "src/worker.ts": IMPORT + "new Worker('usage', async () => { await reportUsage(); });\n"}, CRON),
    "pg-boss": ({"src/worker.ts": IMPORT + "await boss.schedule('usage', 'WHEN');\nawait boss.work('usage', async () => { await reportUsage(); });\n"}, CRON),
    "agenda": ({"src/worker.ts": IMPORT + "agenda.define('usage', async () => { await reportUsage(); });\nawait agenda.every('WHEN', 'usage');\n"}, ("24 hours", "5 minutes")),
    "inngest": ({"src/fn.ts": IMPORT + "export const f = inngest.createFunction({ id: 'r' }, { cron: 'TZ=Europe/Paris WHEN' }, async ({ step }) => { await step.run('r', async () => { await reportUsage(); }); });\n"}, CRON),
    "trigger.dev": ({"src/fn.ts": IMPORT + "export const f = schedules.task({ id: 'r', cron: 'WHEN', run: async () => { await reportUsage(); } });\n"}, CRON),
    "firebase": ({"src/index.ts": IMPORT + "export const r = onSchedule('WHEN', async () => { await reportUsage(); });\n"}, ("every day 03:00", "every 5 minutes")),
    "firebase chain": ({"src/index.ts": IMPORT + "exports.r = functions.pubsub.schedule('WHEN').onRun(async () => { await reportUsage(); });\n"}, ("every 24 hours", "every 5 minutes")),
    "nitro": ({"nuxt.config.ts": "export default defineNuxtConfig({ nitro: { scheduledTasks: { 'WHEN': ['report'] } } });\n", "server/tasks/report.ts": "import { reportUsage } from '../../lib/job';\nexport default defineTask({ meta: { name: 'report' }, async run() { await reportUsage(); return {}; } });\n"}, CRON),
    "convex": ({"convex/crons.ts": "const crons = cronJobs();\nWHEN\nexport default crons;\n", "convex/usage.ts": f"{HEAD}export const report = internalAction({{ args: {{}}, handler: async (ctx) => {{\n  const rows = await ctx.runQuery(internal.usage.unsent);\n  for (const row of rows) {{ {SEND} }}\n}} }});\nexport const unsent = internalQuery({{ handler: async (ctx) => ctx.db.query('usage').collect() }});\n"}, ("crons.daily('r', { hourUTC: 3, minuteUTC: 0 }, internal.usage.report);", "crons.interval('r', { minutes: 5 }, internal.usage.report);")),
}  # fmt: skip
TASK = PYTHON_JOB.replace("def report", "@app.task\ndef report")
ADD = (
    "from job import report_usage\nscheduler = BackgroundScheduler()\nscheduler.add_job(report_usage, WHEN)\n"
)
PYTHON: dict[str, Row] = {
    "apscheduler": ({"main.py": ADD}, ("'interval', hours=24", "'interval', minutes=5")),
    "apscheduler cron": ({"main.py": ADD}, ("'cron', hour=3", "CronTrigger.from_crontab('*/5 * * * *')")),
    "apscheduler decorator": ({"job.py": PYTHON_JOB.replace("def report", "@scheduler.scheduled_job(WHEN)\ndef report")}, ("'cron', hour=3", "'interval', minutes=5")),
    "celery periodic": ({"job.py": TASK, "beat.py": "from job import report_usage\n@app.on_after_configure.connect\ndef setup(sender, **kw):\n    sender.add_periodic_task(WHEN, report_usage.s())\n"}, ("crontab(hour=3, minute=0)", "300.0")),
    "celery beat": ({"job.py": TASK, "celeryconf.py": "app.conf.beat_schedule = {\n    'r': {\n        'task': 'job.report_usage',\n        'schedule': WHEN,\n    },\n}\n"}, ("crontab(hour=3, minute=0)", "crontab(minute='*/5')")),
    "schedule": ({"main.py": "import schedule\nfrom job import report_usage\nschedule.WHEN.do(report_usage)\n"}, ("every().day.at('03:00')", "every(5).minutes")),
    "repeat_every": ({"main.py": "from job import report_usage\n@repeat_every(seconds=WHEN)\ndef go():\n    report_usage()\n"}, ("86400", "300")),
    "loop": ({"main.py": "import asyncio\nfrom job import report_usage\nasync def loop():\n    while True:\n        report_usage()\n        await asyncio.sleep(WHEN)\nasyncio.run(loop())\n"}, ("24 * 3600", "300")),
    "django command": ({"crontab": "WHEN python manage.py report_usage\n", "job.py": PYTHON_JOB, "shop/management/commands/report_usage.py": "from job import report_usage\nclass Command(BaseCommand):\n    def handle(self, *args, **options):\n        report_usage()\n"}, CRON),
}  # fmt: skip


@pytest.mark.parametrize("name", [*SCRIPT, *PYTHON])
def test_once_a_day_is_too_late(tmp_path: Path, name: str) -> None:
    """The same job, daily and every five minutes; the finding stands where the schedule is written."""
    tree, times = (SCRIPT | PYTHON)[name]
    job: Tree = {"lib/job.ts": JOB} if name in SCRIPT and name != "convex" else {}
    job = {"job.py": PYTHON_JOB} if name in PYTHON else job
    for folder, when, wanted in (("slow", times[0], {"scheduled_reporting"}), ("quick", times[1], set())):
        report = audited(
            tmp_path / folder, job | {path: text.replace("WHEN", when) for path, text in tree.items()}
        )
        assert codes(report) == wanted, (folder, report.findings)
        for one in (one for one in report.findings if one.code in wanted):
            lines = (tmp_path / folder / one.place.path).read_text().splitlines()
            assert one.confidence == "high"
            assert 0 < one.place.line <= len(lines)
