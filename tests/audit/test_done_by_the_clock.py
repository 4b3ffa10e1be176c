# ruff: noqa: E501
"""Work that a slow schedule does and reports in one go, and usage that only waits for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

COMPOSER = (
    '{"require": {"laravel/framework": "^8.0", "laravel/cashier": "^13.0", "stripe/stripe-php": "^7.0"}}'
)
KERNEL = "<?php\nnamespace App\\Console;\nclass Kernel extends ConsoleKernel\n{\n    protected function schedule(Schedule $schedule)\n    {\n        $schedule->command('shop:remind')->dailyAt('10:00');\n    }\n}\n"
PHP = "<?php\nnamespace App\\Console\\Commands;\nclass Remind extends Command\n{\n    protected $signature = 'shop:remind';\n    public function handle()\n    {\n        foreach (Visit::where('date', $tomorrow)->get() as $visit) {\n            BODY\n        }\n    }\n}\n"
PHP_BODIES = {
    "$answer = $sms->to($visit->phone)->text($words)->send();\n$visit->shop->subscription('default')->reportUsageFor('price_sms', $answer['parts']);": set(),
    "$parts = $sms->to($visit->phone)->text($words)->send()['parts'];\n$visit->shop->subscription('default')->reportUsageFor('price_sms', $parts);": set(),
    "$visit->shop->subscription('default')->reportUsageFor('price_sms', $visit->parts);\n$sms->to($visit->phone)->text($words)->send();": {"scheduled_reporting"},
    "$sms->to($visit->phone)->text($words)->send();\n$visit->shop->subscription('default')->reportUsageFor('price_sms', $visit->parts_today);": {"scheduled_reporting"},
    "$visit->shop->subscription('default')->reportUsageFor('price_sms', $visit->parts_today);": {"scheduled_reporting"},
}  # fmt: skip


@pytest.mark.parametrize("body", PHP_BODIES)
def test_a_command_that_sends_and_reports(tmp_path: Path, body: str) -> None:
    files = {"app/Console/Kernel.php": KERNEL, "app/Console/Commands/Remind.php": PHP.replace("BODY", body)}
    assert codes(audited(tmp_path, {"composer.json": COMPOSER, **files})) == PHP_BODIES[body]


BEAT = "from celery import Celery\nfrom celery.schedules import crontab\nimport stripe\n\napp = Celery('shop')\napp.conf.beat_schedule = {'remind': {'task': 'tasks.remind', 'schedule': crontab(hour=9, minute=0)}}\n\n\n"
PYTHON = BEAT + "@app.task\ndef remind():\n    for visit in Visit.objects.filter(day=tomorrow()):\nBODY\n"
METER = "        stripe.billing.MeterEvent.create(event_name='sms', identifier=f'visit-{visit.id}', payload={'stripe_customer_id': visit.customer, 'value': VALUE})"
PYTHON_BODIES = {
    "        sent = client.messages.create(to=visit.phone, body=words)\n" + METER.replace("VALUE", "sent.num_segments"): set(),
    "        client.messages.create(to=visit.phone, body=words)\n" + METER.replace("VALUE", "1"): set(),
    "        client.messages.create(to=visit.phone, body=words)\n" + METER.replace("VALUE", "visit.count"): {"scheduled_reporting"},
    METER.replace("VALUE", "1"): {"scheduled_reporting"},
}  # fmt: skip


@pytest.mark.parametrize("body", PYTHON_BODIES)
def test_a_task_that_sends_and_reports(tmp_path: Path, body: str) -> None:
    assert codes(audited(tmp_path, {"tasks.py": PYTHON.replace("BODY", body)})) == PYTHON_BODIES[body]


GEMS = "source 'https://rubygems.org'\ngem 'rails'\ngem 'stripe', '~> 13.0'\ngem 'whenever'\n"
RUBY = "class RemindJob < ApplicationJob\n  def perform\n    Visit.tomorrow.each do |visit|\n      BODY\n    end\n  end\nend\n"
CLOCK = "every 1.day, at: '9:00 am' do\n  runner 'RemindJob.perform_now'\nend\n"
EVENT = "Stripe::Billing::MeterEvent.create(event_name: 'sms', identifier: visit.key, payload: { stripe_customer_id: visit.customer, value: VALUE })"
RUBY_BODIES = {
    "sent = twilio_client.messages.create(to: visit.phone, body: words)\n      " + EVENT.replace("VALUE", "sent.num_segments"): set(),
    EVENT.replace("VALUE", "visit.segments"): {"scheduled_reporting"},
}  # fmt: skip


@pytest.mark.parametrize("body", RUBY_BODIES)
def test_a_job_that_sends_and_reports(tmp_path: Path, body: str) -> None:
    files = {
        "Gemfile": GEMS,
        "config/schedule.rb": CLOCK,
        "app/jobs/remind_job.rb": RUBY.replace("BODY", body),
    }
    assert codes(audited(tmp_path, files)) == RUBY_BODIES[body]


TYPESCRIPT = "const stripe = require('stripe')(process.env.KEY);\nasync function digest() {\n  for (const org of await prisma.org.findMany()) {\nBODY\n  }\n}\ncron.schedule('0 6 * * *', digest);\n"
TOLD = "await stripe.billing.meterEvents.create({ event_name: 'tokens', identifier: org.today, payload: { stripe_customer_id: org.customer, value: VALUE } });"
TYPESCRIPT_BODIES = {
    "const { usage, text } = await generateText({ model, prompt: org.prompt });\nawait save(org, text);\n" + TOLD.replace("VALUE", "usage.totalTokens"): set(),
    "const text = await summary(org);\n" + TOLD.replace("VALUE", "'1'") + "\n}}\nasync function summary(org) {{\n  return await openai.chat.completions.create({ model, messages: [org.prompt] });": set(),
    "const { text } = await generateText({ model, prompt: org.prompt });\n" + TOLD.replace("VALUE", "org.tokensToday"): {"scheduled_reporting"},
}  # fmt: skip


@pytest.mark.parametrize("body", TYPESCRIPT_BODIES)
def test_a_cron_that_generates_and_reports(tmp_path: Path, body: str) -> None:
    assert (
        codes(audited(tmp_path, {"server.js": TYPESCRIPT.replace("BODY", body)})) == TYPESCRIPT_BODIES[body]
    )


SEATS = "try { \\Stripe\\SubscriptionItem::createUsageRecord($visit->item, ['quantity' => $visit->shop->seats()->count(), 'timestamp' => time(), 'action' => 'ACTION']); } catch (\\Throwable $e) { Log::error($e->getMessage()); }"


@pytest.mark.parametrize(
    ("action", "wanted"),
    [("set", {"scheduled_reporting"}), ("increment", {"scheduled_reporting", "errors_swallowed"})],
)
def test_a_number_set_anew_by_every_run(tmp_path: Path, action: str, wanted: set[str]) -> None:
    """What one run could not tell the next one does: what is lost is the end of the period."""
    body = SEATS.replace("ACTION", action)
    files = {"app/Console/Kernel.php": KERNEL, "app/Console/Commands/Remind.php": PHP.replace("BODY", body)}
    assert codes(audited(tmp_path, {"composer.json": COMPOSER, **files})) == wanted
