# ruff: noqa: E501
"""A run that asks for one past day, or hour, by itself: what failed in it is asked for by no later run."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

SLOW, LOST = {"scheduled_reporting"}, {"errors_swallowed"}
ROUTE = """import Stripe from 'stripe';
const stripe = new Stripe(process.env.KEY!);
export async function GET() {
  GIVEN
  for (const row of await db.daily.findMany({ where: { ASKED } })) {
    try {
      await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: row.id, timestamp: row.at, payload: { stripe_customer_id: row.customer, value: String(row.calls) } });
      await db.daily.update({ where: { id: row.id }, data: { reported: true } });
    } catch (e) {
      CAUGHT
    }
  }
  return Response.json({});
}
"""
CALL = "export async function POST() { const user = await requireUser(); await db.daily.create({ data: { customer: user.customer, calls: 1, reported: false } }); return Response.json({}); }\n"
DAY = (
    "const yesterday = new Date(Date.now() - 86400000);\n  const day = yesterday.toISOString().slice(0, 10);"
)
HOUR = "const hour = subHours(new Date(), 1).toISOString().slice(0, 13);"
LOGGED = "console.error(e);"
RUNS = {
    ("0 2 * * *", DAY, "day, reported: false", LOGGED): SLOW | LOST,
    ("0 2 * * *", DAY, "day: { lte: day }, reported: false", LOGGED): SLOW,
    ("0 2 * * *", DAY, "reported: false", LOGGED): SLOW,
    ("0 2 * * *", DAY, "day, reported: false", "throw e;"): SLOW,
    ("5 * * * *", HOUR, "hour, reported: false", LOGGED): LOST,
    ("5 * * * *", HOUR, "hour: { lte: hour }, reported: false", LOGGED): set(),
    ("5 * * * *", HOUR, "reported: false", LOGGED): set(),
    (
        "5 * * * *",
        HOUR.replace("hour", "date") + "\n  const rate = await db.rate.findFirst({ where: { date } });",
        "reported: false",
        LOGGED,
    ): set(),
    ("5 * * * *", "const day = new Date().getDay();", "day, reported: false", LOGGED): set(),
}


@pytest.mark.parametrize("run", RUNS)
def test_a_mark_within_one_day(tmp_path: Path, run: tuple[str, str, str, str]) -> None:
    """Rows that were not sent are looked for again only where the day does not matter."""
    cron, given, asked, caught = run
    tree: Tree = {
        "vercel.json": f'{{"crons": [{{"path": "/api/cron/send", "schedule": "{cron}"}}]}}',
        "app/api/cron/send/route.ts": ROUTE.replace("GIVEN", given)
        .replace("ASKED", asked)
        .replace("CAUGHT", caught),
        "app/api/call/route.ts": CALL,
    }
    assert codes(audited(tmp_path, tree)) == RUNS[run]


TASK = """import stripe
from shop.models import Org, Usage


@shared_task
def report():
    today = timezone.now().date()
    DAY
    for org in Org.objects.all():
        rows = Usage.objects.filter(org=org, ASKED, reported=False)
        try:
            stripe.billing.MeterEvent.create(event_name='calls', identifier=str(org.id), timestamp=org.at, payload={'stripe_customer_id': org.customer, 'value': rows.count()})
            rows.update(reported=True)
        except Exception:
            logger.exception('not sent')
"""
TASKS = {
    ("yesterday = today - timedelta(days=1)", "day=yesterday"): SLOW | LOST,
    ("at = today - timedelta(days=1)", "created_at__date=at"): SLOW | LOST,
    ("yesterday = today - timedelta(days=1)", "day__lte=yesterday"): SLOW,
    ("days_back = 3", "day=today - timedelta(days=days_back)"): SLOW,
}


@pytest.mark.parametrize("task", TASKS)
def test_a_day_of_a_task(tmp_path: Path, task: tuple[str, str]) -> None:
    tree = {
        "requirements.txt": "django\nstripe==12.0.0\n",
        "shop/__init__.py": "",
        "shop/settings.py": "CELERY_BEAT_SCHEDULE = {'usage': {'task': 'shop.tasks.report', 'schedule': crontab(hour=2, minute=0)}}\n",
        "shop/tasks.py": TASK.replace("DAY", task[0]).replace("ASKED", task[1]),
        "shop/views.py": "@login_required\ndef call(request):\n    Usage.objects.create(org=request.user.org, n=1)\n    return JsonResponse({})\n",
        "shop/urls.py": "from shop.views import call\nurlpatterns = [path('call', call)]\n",
    }
    assert codes(audited(tmp_path, tree)) == TASKS[task]
