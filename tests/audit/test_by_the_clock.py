# ruff: noqa: E501
"""Runs by the clock beside others: what they send again, what is theirs, and what they only count."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

HEAD = "import Stripe from 'stripe';\nimport { prisma } from './db';\nconst stripe = new Stripe(process.env.KEY!);\n"
EVENT = "{ event_name: 'calls', identifier: row.id, payload: { stripe_customer_id: row.customer, value: String(row.count) } }"
QUICK = '{"crons": [{"path": "/api/cron/run", "schedule": "*/10 * * * *"}, {"path": "/api/cron/old", "schedule": "*/5 * * * *"}]}'
RUN = "import { NAME } from '../../../../lib/FILE';\nexport async function GET() { await NAME(); return Response.json({}); }\n"


def run(name: str, file: str) -> str:
    return RUN.replace("NAME", name).replace("FILE", file)


OUTBOX = f"""{HEAD}export async function drain() {{
  for (const row of await prisma.usageOutbox.findMany({{ where: {{ reportedAt: null }} }})) {{
    try {{
      await stripe.billing.meterEvents.create({EVENT});
      await prisma.usageOutbox.update({{ where: {{ id: row.id }}, data: {{ reportedAt: new Date() }} }});
    }} catch (e) {{ console.error(e); }}
  }}
}}
"""
WINDOW = f"""{HEAD}export async function sendWindow() {{
  for (const org of await prisma.org.findMany()) {{
    const row = await usedSince(org, org.lastReportedAt);
    try {{
      await stripe.billing.meterEvents.create({EVENT});
      INSIDE
    }} catch (e) {{ console.error(e); }}
    BEHIND
  }}
}}
"""
MARK = "await prisma.org.update({ where: { id: org.id }, data: { lastReportedAt: new Date() } });"


@pytest.mark.parametrize(
    ("inside", "behind", "wanted"), [(MARK, "", set()), ("", MARK, {"errors_swallowed"})]
)
def test_another_run_does_not_send_what_this_one_forgets(
    tmp_path: Path, inside: str, behind: str, wanted: set[str]
) -> None:
    tree = {
        "vercel.json": QUICK,
        "lib/outbox.ts": OUTBOX,
        "lib/window.ts": WINDOW.replace("INSIDE", inside).replace("BEHIND", behind),
        "app/api/cron/run/route.ts": run("drain", "outbox"),
        "app/api/cron/old/route.ts": run("sendWindow", "window"),
    }
    assert codes(audited(tmp_path, tree)) == wanted


KEEP = """import { prisma } from './db';
export async function sendText(customer, text) {
  const sent = await twilio.messages.create({ to: customer.phone, body: text });
  await keep(customer, sent.numSegments, sent.sid);
}
async function keep(customer, count, id) { KEPT }
"""
CREATE = "await prisma.usageOutbox.create({ data: { customer, count, id } });"
REMIND = "import { prisma } from './db';\nimport { sendText } from './texts';\nexport async function remind() {\n  for (const one of await prisma.appointment.findMany({ where: { status: 'pending' } })) await sendText(one.customer, one.text);\n}\n"
TEXT = "import { auth } from '@/auth';\nimport { sendText } from '../../../lib/texts';\nexport async function POST(req) {\n  const session = await auth();\n  const body = await req.json();\n  await sendText(session.user, body.text);\n  return Response.json({});\n}\n"


@pytest.mark.parametrize(
    ("kept", "wanted"),
    [(CREATE, set()), (f"try {{ {CREATE} }} catch {{ /* never break the text */ }}", {"errors_swallowed"})],
)
def test_a_run_that_keeps_its_own_usage_makes_up_for_nothing(
    tmp_path: Path, kept: str, wanted: set[str]
) -> None:
    """Reminders go over what is pending as well: they are texts of their own."""
    tree = {
        "vercel.json": QUICK,
        "lib/outbox.ts": OUTBOX,
        "lib/texts.ts": KEEP.replace("KEPT", kept),
        "lib/reminders.ts": REMIND,
        "app/api/cron/old/route.ts": run("drain", "outbox"),
        "app/api/cron/run/route.ts": run("remind", "reminders"),
        "app/api/text/route.ts": TEXT,
    }
    assert codes(audited(tmp_path, tree)) == wanted


SCREEN = f"""{HEAD}export async function screen() {{
  for (const one of await prisma.applicant.findMany({{ where: {{ screened: false }} }})) await judge(one);
}}
export async function judge(one) {{
  const answer = await openai.responses.create({{ input: one.letter }});
  const row = {{ id: answer.id, customer: one.customer, count: 1 }};
  const used = await prisma.screening.count({{ where: {{ customer: one.customer, at: {{ gte: startOfMonth(new Date()) }} }} }});
  if (used <= 40) return;
  await stripe.billing.meterEvents.create(SENT);
}}
"""


@pytest.mark.parametrize(("sent", "wanted"), [("1", set()), ("used", {"scheduled_reporting"})])
def test_a_count_of_the_month_that_only_opens_the_allowance(
    tmp_path: Path, sent: str, wanted: set[str]
) -> None:
    """Each one beyond it is reported by itself; the count sent as it stands forgets the end of the month."""
    tree = {
        "vercel.json": QUICK,
        "lib/screening.ts": SCREEN.replace("SENT", EVENT.replace("String(row.count)", f"String({sent})")),
        "app/api/cron/run/route.ts": run("screen", "screening"),
    }
    assert codes(audited(tmp_path, tree)) == wanted
