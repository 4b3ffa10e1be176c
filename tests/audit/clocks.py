# ruff: noqa: E501
"""Small applications that keep usage in a table and drain it by the clock, in the ways schedulers are written."""

from __future__ import annotations

from trees import Tree

PYTHON: Tree = {
    "requirements.txt": "fastapi\nstripe==12.0.0\n",
    "shop/__init__.py": "",
    "shop/db.py": "class UsageEvent(Base):\n    pass\n",
    "shop/auth.py": "def current_account():\n    return verify_token()\n",
    "shop/main.py": 'from fastapi import FastAPI, Depends\nfrom shop.auth import current_account\nfrom shop.db import session, UsageEvent\napp = FastAPI()\n\n@app.post("/run")\ndef run(account=Depends(current_account)):\n    answer = client.responses.create(input="x")\n    session.add(UsageEvent(customer_id=account.customer, quantity=answer.usage.total_tokens))\n    session.commit()\n    return answer\n',
    "shop/drain.py": 'import stripe\nfrom shop.db import session, UsageEvent\n\ndef report_usage():\n    for row in session.query(UsageEvent).filter(UsageEvent.reported == False).all():\n        stripe.billing.MeterEvent.create(event_name="calls", identifier=str(row.id), payload={"stripe_customer_id": row.customer_id, "value": str(row.quantity)})\n        row.reported = True\n        session.commit()\n',
}

# name: the base, what is written over it, and how a slow and a quick schedule is spelled there
PYTHON_CLOCKS: dict[str, tuple[Tree, Tree, str, str]] = {
    "apscheduler add_job interval": (
        PYTHON,
        {
            "shop/jobs.py": "from apscheduler.schedulers.background import BackgroundScheduler\nfrom shop.drain import report_usage\nscheduler = BackgroundScheduler()\nscheduler.add_job(report_usage, 'interval', WHEN)\nscheduler.start()\n",
        },
        "hours=24",
        "minutes=5",
    ),
    "apscheduler trigger obj": (
        PYTHON,
        {
            "shop/jobs.py": "from apscheduler.triggers.interval import IntervalTrigger\nfrom shop.drain import report_usage\nscheduler.add_job(report_usage, trigger=IntervalTrigger(WHEN), id='x')\n",
        },
        "hours=24",
        "minutes=5",
    ),
    "schedule lib": (
        PYTHON,
        {
            "shop/jobs.py": "import schedule\nfrom shop.drain import report_usage\nschedule.every()WHEN.do(report_usage)\nwhile True:\n    schedule.run_pending()\n",
        },
        ".day.at('02:00')",
        ".minute",
    ),
    "arq cron": (
        PYTHON,
        {
            "shop/jobs.py": "from arq import cron\nfrom shop.drain import report_usage\nasync def report(ctx):\n    report_usage()\nclass WorkerSettings:\n    functions = [report]\n    cron_jobs = [cron(report, WHEN)]\n",
        },
        "hour=2, minute=0",
        "minute={0,5,10,15,20,25,30,35,40,45,50,55}",
    ),
    "huey": (
        PYTHON,
        {
            "shop/jobs.py": "from huey import crontab\nfrom shop.drain import report_usage\n@huey.periodic_task(crontab(WHEN))\ndef report():\n    report_usage()\n",
        },
        "hour='2', minute='0'",
        "minute='*/5'",
    ),
    "django mgmt + crontab": (
        PYTHON,
        {
            "shop/management/commands/report_usage.py": "from django.core.management.base import BaseCommand\nfrom shop.drain import report_usage\nclass Command(BaseCommand):\n    def handle(self, *args, **options):\n        report_usage()\n",
            "deploy/crontab": "WHEN cd /app && python manage.py report_usage\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "django crontab settings": (
        PYTHON,
        {
            "shop/settings.py": "CRONJOBS = [\n    ('WHEN', 'shop.drain.report_usage'),\n]\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "celery beat conf dict": (
        PYTHON,
        {
            "shop/tasks.py": "from celery import shared_task\nfrom shop.drain import report_usage\n@shared_task\ndef report():\n    report_usage()\n",
            "shop/celery.py": "app.conf.beat_schedule = {\n    'report': {'task': 'shop.tasks.report', 'schedule': crontab(WHEN)},\n}\n",
        },
        "hour=2, minute=0",
        "minute='*/5'",
    ),
    "celery beat timedelta": (
        PYTHON,
        {
            "shop/tasks.py": "from celery import shared_task\nfrom shop.drain import report_usage\n@shared_task\ndef report():\n    report_usage()\n",
            "shop/celery.py": "from datetime import timedelta\napp.conf.beat_schedule = {\n    'report': {'task': 'shop.tasks.report', 'schedule': timedelta(WHEN)},\n}\n",
        },
        "days=1",
        "minutes=5",
    ),
    "celery beat seconds": (
        PYTHON,
        {
            "shop/tasks.py": "from celery import shared_task\nfrom shop.drain import report_usage\n@shared_task(name='report-usage')\ndef report():\n    report_usage()\n",
            "shop/celery.py": "app.conf.beat_schedule = {\n    'report': {\n        'task': 'report-usage',\n        'schedule': WHEN,\n    },\n}\n",
        },
        "86400.0",
        "300.0",
    ),
    "asyncio loop sleep": (
        PYTHON,
        {
            "shop/jobs.py": "import asyncio\nfrom shop.drain import report_usage\nasync def loop():\n    while True:\n        report_usage()\n        await asyncio.sleep(WHEN)\n@app.on_event('startup')\nasync def start():\n    asyncio.create_task(loop())\n",
        },
        "86400",
        "300",
    ),
    "thread loop sleep const": (
        PYTHON,
        {
            "shop/jobs.py": "import time, threading\nfrom shop.drain import report_usage\nINTERVAL = WHEN\ndef loop():\n    while True:\n        report_usage()\n        time.sleep(INTERVAL)\nthreading.Thread(target=loop, daemon=True).start()\n",
        },
        "60 * 60 * 24",
        "60 * 5",
    ),
    "lifespan create_task loop": (
        PYTHON,
        {
            "shop/main.py": """from fastapi import FastAPI, Depends
from shop.auth import current_account
from shop.db import session, UsageEvent
import asyncio
from contextlib import asynccontextmanager
from shop.drain import report_usage

async def usage_loop():
    while True:
        try:
            report_usage()
        except Exception:
            logger.exception('x')
        await asyncio.sleep(WHEN)

@asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(usage_loop())
    yield
    task.cancel()

app = FastAPI(lifespan=lifespan)

@app.post("/run")
def run(account=Depends(current_account)):
    answer = client.responses.create(input="x")
    session.add(UsageEvent(customer_id=account.customer, quantity=answer.usage.total_tokens))
    session.commit()
    return answer
""",
        },
        "24 * 3600",
        "60",
    ),
    "modal cron": (
        PYTHON,
        {
            "shop/jobs.py": "import modal\nfrom shop.drain import report_usage\napp = modal.App('x')\n@app.function(schedule=modal.Cron('WHEN'))\ndef report():\n    report_usage()\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "k8s cronjob script": (
        PYTHON,
        {
            "scripts/report.py": "from shop.drain import report_usage\nif __name__ == '__main__':\n    report_usage()\n",
            "k8s/cron.yaml": 'apiVersion: batch/v1\nkind: CronJob\nspec:\n  schedule: "WHEN"\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n            - command: ["python", "scripts/report.py"]\n',
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "gh workflow script -m": (
        PYTHON,
        {
            "shop/report_job.py": "from shop.drain import report_usage\nif __name__ == '__main__':\n    report_usage()\n",
            ".github/workflows/cron.yml": "on:\n  schedule:\n    - cron: 'WHEN'\njobs:\n  run:\n    steps:\n      - run: python -m shop.report_job\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "fastapi cron route by gh curl": (
        PYTHON,
        {
            "shop/cron.py": "from shop.drain import report_usage\n@router.post('/internal/report-usage')\ndef go(secret: str = Header()):\n    verify_cron_secret(secret)\n    report_usage()\n",
            ".github/workflows/cron.yml": "on:\n  schedule:\n    - cron: 'WHEN'\njobs:\n  run:\n    steps:\n      - run: curl -X POST https://shop.example/internal/report-usage\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "render.yaml cron": (
        PYTHON,
        {
            "scripts/report.py": "from shop.drain import report_usage\nreport_usage()\n",
            "render.yaml": 'services:\n  - type: cron\n    name: report\n    schedule: "WHEN"\n    startCommand: python scripts/report.py\n',
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "zappa/sam rate": (
        PYTHON,
        {
            "shop/fn.py": "from shop.drain import report_usage\ndef handler(event, context):\n    report_usage()\n",
            "template.yaml": "Resources:\n  Report:\n    Type: AWS::Serverless::Function\n    Properties:\n      Handler: shop.fn.handler\n      Events:\n        Tick:\n          Type: Schedule\n          Properties:\n            Schedule: WHEN\n",
        },
        "rate(1 day)",
        "rate(5 minutes)",
    ),
    "flask-apscheduler decorator": (
        PYTHON,
        {
            "shop/jobs.py": "from shop.drain import report_usage\n@scheduler.task('interval', id='r', WHEN)\ndef report():\n    report_usage()\n",
        },
        "hours=24",
        "minutes=5",
    ),
    "taskiq labels": (
        PYTHON,
        {
            "shop/jobs.py": "from shop.drain import report_usage\n@broker.task(schedule=[{'cron': 'WHEN'}])\nasync def report():\n    report_usage()\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "procrastinate periodic": (
        PYTHON,
        {
            "shop/jobs.py": "from shop.drain import report_usage\n@app.periodic(cron='WHEN')\n@app.task\ndef report(timestamp):\n    report_usage()\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "rocketry/aiocron": (
        PYTHON,
        {
            "shop/jobs.py": "import aiocron\nfrom shop.drain import report_usage\n@aiocron.crontab('WHEN')\nasync def report():\n    report_usage()\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "celery fan-out": (
        PYTHON,
        {
            "shop/tasks.py": """import stripe
from celery import shared_task
from shop.db import session, UsageEvent
@shared_task
def report_one(row_id):
    row = session.query(UsageEvent).get(row_id)
    stripe.billing.MeterEvent.create(event_name='calls', identifier=str(row.id), payload={'stripe_customer_id': row.customer_id, 'value': str(row.quantity)})
    row.reported = True
    session.commit()
@shared_task
def report_all():
    for row in session.query(UsageEvent).filter(UsageEvent.reported == False).all():
        report_one.delay(row.id)
""",
            "shop/celery.py": "app.conf.beat_schedule = {\n    'report': {'task': 'shop.tasks.report_all', 'schedule': crontab(WHEN)},\n}\n",
        },
        "hour=2, minute=0",
        "minute='*/5'",
    ),
    "script docstring cron": (
        PYTHON,
        {
            "scripts/report.py": "#!/usr/bin/env python\n# Cron: WHEN python scripts/report.py\nfrom shop.drain import report_usage\nreport_usage()\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "procfile worker loop": (
        PYTHON,
        {
            "worker.py": "import time\nfrom shop.drain import report_usage\nwhile True:\n    report_usage()\n    time.sleep(WHEN)\n",
            "Procfile": "worker: python worker.py\n",
        },
        "86400",
        "60",
    ),
}
