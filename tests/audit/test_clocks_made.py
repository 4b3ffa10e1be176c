# ruff: noqa: E501
"""Schedules that are made while the program runs: one for every subscription, or as often as a customer likes."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

PACKAGE = '{"dependencies": {"@trigger.dev/sdk": "4", "stripe": "18.0.0"}}'
TASK = "import { schedules } from '@trigger.dev/sdk';\nimport Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport const NAME = schedules.task({\n  id: 'ID',\n  run: async (payload) => {\n    const one = await db.subscription.findFirst({ where: { id: payload.externalId } });\n    const used = await db.message.count({ where: { org: one.org } });\n    await stripe.billing.meterEvents.create({ event_name: 'messages', identifier: payload.timestamp, payload: { stripe_customer_id: one.customer, value: String(used) } });\n  },\n});\n"
MADE = "import { schedules } from '@trigger.dev/sdk';\nimport { NAME } from './task';\nexport async function subscribed(one, setting) {\n  await schedules.create({ task: TOLD, externalId: one.id, cron: CRON, deduplicationKey: one.id });\n}\n"


@pytest.mark.parametrize(
    ("name", "told", "cron", "wanted"),
    [
        ("trackUsage", "trackUsage.id", "'0 3 * * *'", {"scheduled_reporting"}),
        ("trackUsage", "'track-usage'", "'0 */12 * * *'", {"scheduled_reporting"}),
        ("trackUsage", "trackUsage.id", "'*/10 * * * *'", set()),
        ("trackUsage", "other.id", "'0 3 * * *'", set()),
        ("watchPage", "watchPage.id", "'0 3 * * *'", set()),
        ("trackUsage", "trackUsage.id", "setting.cron", set()),
    ],
)
def test_a_schedule_for_every_subscription(
    tmp_path: Path, name: str, told: str, cron: str, wanted: set[str]
) -> None:
    task = TASK.replace("NAME", name).replace("ID", "track-usage" if name == "trackUsage" else "watch-page")
    made = MADE.replace("NAME", name).replace("TOLD", told).replace("CRON", cron)
    assert (
        codes(audited(tmp_path, {"package.json": PACKAGE, "src/task.ts": task, "src/hook.ts": made}))
        == wanted
    )
