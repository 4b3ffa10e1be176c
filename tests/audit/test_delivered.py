# ruff: noqa: E501
"""Who hears of an error: whoever delivers a webhook, the platform of a task, the shell of a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
HOOK = (
    HEAD
    + """export async function POST(request) {
  const call = stripe.webhooks.constructEvent(await request.text(), request.headers.get('signature'), process.env.HOOK!);
  try {
    const org = await db.org.findUnique({ where: { phone: call.to } });
    await stripe.billing.meterEvents.create({ event_name: 'minutes', identifier: call.id, payload: { stripe_customer_id: org.customer, value: String(call.duration) } });
    return NextResponse.json({ received: true });
  } catch (error) {
    console.error(error);
    ANSWER
  }
}
"""
)
ANSWERS = {
    "return NextResponse.json({ received: true });": True,
    "return NextResponse.json(\n      { received: true },\n      { status: 200 },\n    );": True,
    "return new Response('OK', { status: 200 });": True,
    "return { received: true };": True,
    "return NextResponse.json({ received: false }, { status: 500 });": False,
    "return new Response('try again', { status: 503 });": False,
    "return failed(error);": False,
    "throw error;": False,
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_webhook_that_answers_that_all_is_well_gets_it_once(tmp_path: Path, answer: str) -> None:
    text = HOOK.replace("ANSWER", answer)
    found = codes(audited(tmp_path / "hook", {"app/api/webhooks/calls/route.ts": text}))
    assert found == ({"errors_swallowed"} if ANSWERS[answer] else set())
    asked = {"app/api/calls/route.ts": text}  # here somebody waits for the answer
    assert codes(audited(tmp_path / "route", asked)) == set()


TASK = (
    HEAD
    + """import { schedules, task } from '@trigger.dev/sdk/v3';
async function report(customer, id) {
  await stripe.billing.meterEvents.create({ event_name: 'runs', identifier: id, payload: { stripe_customer_id: customer, value: '1' } });
}
export const watch = KIND({
  id: 'watch',
  HOOK: async (payload, output) => {
    const row = await db.watch.findUnique({ where: { id: payload.externalId } });
    await report(row.customer, output.id);
  },
});
"""
)
SETTING = "import { schedules } from '@trigger.dev/sdk/v3';\nexport async function add(cron) { await schedules.create({ task: 'watch', cron }); }\n"


def test_a_task_that_reports_and_a_hook_that_nobody_hears(tmp_path: Path) -> None:
    for name, hook, wanted in (("run", "run", set()), ("hook", "onSuccess", {"errors_swallowed"})):
        tree = {"trigger/watch.ts": TASK.replace("KIND", "task").replace("HOOK", hook)}
        assert codes(audited(tmp_path / name, tree)) == wanted, name


def test_a_schedule_that_each_customer_sets_is_the_work(tmp_path: Path) -> None:
    task = {"trigger/watch.ts": TASK.replace("KIND", "schedules.task").replace("HOOK", "run")}
    assert audited(tmp_path / "set", {**task, "app/add.ts": SETTING}).verdict is Verdict.PASS
    assert codes(audited(tmp_path / "unset", task)) == {"scheduled_reporting"}


COMMAND = """<?php
class SendUsage extends Command {
    protected $signature = 'usage:send {customer} {minutes}';
    public function handle(): int {
        try {
            $this->stripe->billing->meterEvents->create(['event_name' => 'minutes', 'payload' => ['stripe_customer_id' => $this->argument('customer'), 'value' => $this->argument('minutes')]]);
            return self::SUCCESS;
        } catch (\\Throwable $error) {
            $this->error($error->getMessage());
            return self::LAST;
        }
    }
}
"""


def test_a_command_that_ends_as_failed_is_heard(tmp_path: Path) -> None:
    for last, swallowed in (("FAILURE", False), ("SUCCESS", True)):
        tree = {"app/Console/Commands/SendUsage.php": COMMAND.replace("LAST", last)}
        assert ("errors_swallowed" in codes(audited(tmp_path / last, tree))) is swallowed
