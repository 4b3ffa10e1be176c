# ruff: noqa: E501
"""The state that a failed report leaves its row in: what a sweep asks for comes again, and what nothing asks for is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

LOST = {"errors_swallowed"}
HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
SEND = f"{HEAD}export async function send(row) {{\n  await stripe.billing.meterEvents.create({{ event_name: 'calls', identifier: row.id, timestamp: row.at, payload: {{ stripe_customer_id: row.customer, value: String(row.n) }} }});\n}}\n"
SWEEP = """import { send } from '../../../../send';
export async function GET() {
  for (const row of await prisma.usageEvent.findMany({ where: { status: ASKED } })) {
    try {
      await send(row);
      await prisma.usageEvent.update({ where: { id: row.id }, data: { status: 'sent' } });
    } catch (e) {
      console.error('failed', e);
      CAUGHT
    }
  }
  return Response.json({});
}
"""
CALL = """import { auth } from '@/auth';
import { send } from '../../../send';
export async function POST() {
  const session = await auth();
  const row = await prisma.usageEvent.create({ data: { customer: session.user.customer, n: 1, status: 'pending' } });
  TOLD
  return Response.json({});
}
"""
FAILED = "await prisma.usageEvent.update({ where: { id: row.id }, data: { status: STATE } });"
ORDERS = "export async function pay(one) {\n  try {\n    await charge(one);\n  } catch (e) {\n    await prisma.order.update({ where: { id: one.id }, data: { status: 'failed' } });\n  }\n}\n"
ENUM = "export enum Status { PENDING = 'pending', FAILED = 'failed' }\n"
AGAIN = "setInterval(async () => {\n  await prisma.usageEvent.updateMany({ where: { status: 'failed' }, data: { status: 'pending' } });\n}, 60_000);\n"


def script(asked: str, caught: str, told: str = "", **more: str) -> Tree:
    return {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18.0.0"}}',
        "vercel.json": '{"crons": [{"path": "/api/cron/drain", "schedule": "*/10 * * * *"}]}',
        "send.ts": SEND,
        "app/api/cron/drain/route.ts": SWEEP.replace("ASKED", asked).replace("CAUGHT", caught),
        "app/api/call/route.ts": CALL.replace("TOLD", told),
        **{f"{name}.ts": text for name, text in more.items()},
    }


TRIED = "try {\n    await send(row);\n  } catch (e) {\n    " + FAILED.replace("STATE", "'failed'") + "\n  }"
STATES: dict[str, tuple[Tree, set[str]]] = {
    "failed": (script("'pending'", FAILED.replace("STATE", "'failed'")), LOST),
    "failed, as orders do": (script("'pending'", FAILED.replace("STATE", "'failed'"), orders=ORDERS), LOST),
    "a constant": (script("Status.PENDING", FAILED.replace("STATE", "Status.FAILED"), status=ENUM), LOST),
    "ambiguous": (script("'pending'", FAILED.replace("STATE", "'ambiguous'")), LOST),
    "of the request's own try": (script("'pending'", "", TRIED), LOST),
    "both are asked for": (script("{ in: ['pending', 'failed'] }", FAILED.replace("STATE", "'failed'")), set()),
    "all but what was sent": (script("{ not: 'sent' }", FAILED.replace("STATE", "'failed'")), set()),
    "put back": (script("'pending'", FAILED.replace("STATE", "'failed'"), again=AGAIN), set()),
    "after some tries": (script("'pending'", FAILED.replace("STATE", "row.attempts > 5 ? 'failed' : 'pending'")), set()),
    "for good": (script("'pending'", "if (isPermanent(e)) " + FAILED.replace("STATE", "'failed'")), set()),
    "an answer, and no row": (script("'pending'", "console.log(e);\n      return { status: 'failed' };"), set()),
    "left as it is": (script("'pending'", ""), set()),
    "of the request, and asked for": (script("{ in: ['pending', 'failed'] }", "", TRIED), set()),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_a_state_of_a_row(tmp_path: Path, name: str) -> None:
    tree, wanted = STATES[name]
    assert codes(audited(tmp_path, tree)) == wanted


TASK = """import stripe
from shop.models import Usage


@shared_task
def report():
    for row in Usage.objects.filter(status=ASKED):
        try:
            stripe.billing.MeterEvent.create(event_name='calls', identifier=row.id, payload={'stripe_customer_id': row.customer, 'value': row.n})
        except Exception as error:
            logger.error('failed: %s', error)
            row.status = STATE
            row.save(update_fields=['status'])
            continue
        row.status = 'sent'
        row.save()
"""
DJANGO: Tree = {
    "requirements.txt": "django\nstripe==12.0.0\n",
    "shop/__init__.py": "",
    "shop/settings.py": "CELERY_BEAT_SCHEDULE = {'usage': {'task': 'shop.tasks.report', 'schedule': crontab(minute='*/5')}}\n",
    "shop/models.py": "class Usage(models.Model):\n    PENDING, FAILED = 'pending', 'failed'\n    status = models.CharField()\n",
    "shop/views.py": "@login_required\ndef call(request):\n    Usage.objects.create(customer=request.user.customer, n=1, status='pending')\n    return JsonResponse({})\n",
    "shop/urls.py": "from shop.views import call\nurlpatterns = [path('call', call)]\n",
}


@pytest.mark.parametrize(
    ("asked", "state", "wanted"),
    [
        ("'pending'", "'failed'", LOST),
        ("Usage.PENDING", "Usage.FAILED", LOST),
        ("'pending'", "'pending'", set()),
    ],
)
def test_a_row_that_is_saved_as_failed(tmp_path: Path, asked: str, state: str, wanted: set[str]) -> None:
    task = TASK.replace("ASKED", asked).replace("STATE", state)
    assert codes(audited(tmp_path, {**DJANGO, "shop/tasks.py": task})) == wanted
