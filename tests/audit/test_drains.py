"""A counter that a frequent job sends: what was not sent stays in the difference, unless the job forgets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

CRONTAB = "*/15 * * * * root sh /send.sh\n"
SCRIPT = "curl -fsS -X POST http://api:8000/admin/usage/send\n"
ROUTE = """from fastapi import FastAPI
from meters import send_all
app = FastAPI()

@app.post("/admin/usage/send")
async def send():
    await send_all()
"""
JOB = """import stripe

async def send_all():
    for meter in await Meter.all():
        try:
            {amount}
            stripe.billing.MeterEvent.create(
                event_name="calls", identifier=f"{{meter.id}}:{{meter.synced}}",
                payload={{"stripe_customer_id": meter.customer_id, "value": str(amount)}},
            )
            meter.synced = meter.value
            await meter.save()
        except Exception:
            log.error("meter %s", meter.id)
            continue
"""
AMOUNTS = {
    "amount = meter.value - meter.synced": set(),
    "amount = meter.take()": {"errors_swallowed"},
}


@pytest.mark.parametrize("amount", AMOUNTS)
def test_what_is_left_of_a_counter_is_sent_the_next_time(tmp_path: Path, amount: str) -> None:
    """The total less what was told already; a counter that is emptied first has nothing left."""
    report = audited(
        tmp_path,
        {
            "deploy/cron/send.txt": CRONTAB,
            "deploy/cron/send.sh": SCRIPT,
            "app.py": ROUTE,
            "meters.py": JOB.format(amount=amount),
        },
    )
    assert codes(report) == AMOUNTS[amount], report.findings
