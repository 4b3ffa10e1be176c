# ruff: noqa: E501
"""Ruby as applications write it: marks on names, service objects, rake tasks, jobs put off, loaders named by a schedule."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

SERVICE = """class UsageSender
  def call
    Meter.unsent.find_each do |row|
      settle!(row)
    end
  end

  private

  def settle!(row)
    Stripe::Billing::MeterEvent.create(
      event_name: 'calls', identifier: row.id.to_s, payload: { value: row.quantity.to_s, stripe_customer_id: row.customer_id }
    )
    row.update!(reported_at: Time.current)
  end
end
"""
TASK = "namespace :stripe do\n  task other: :environment do\n    puts 1\n  end\n\n  task usage: :environment do\n    UsageSender.new.call\n  end\nend\n"
LOADER = "class UsageLoader\n  include Sidekiq::Worker\n\n  def perform\n    UsageSenderJob.set(wait: 5).perform_later\n  end\nend\n"
JOB = "class UsageSenderJob < ApplicationJob\n  def perform\n    send_usage\n  end\n\n  def send_usage\n    UsageSender.new.call\n  end\nend\n"
CRON = "Sidekiq::Cron::Job.load_from_hash({ 'usage' => { 'cron' => 'WHEN', 'class' => 'UsageLoader' } })\n"
STARTS: dict[str, tuple[Tree, str, str]] = {
    "rake": (
        {"lib/tasks/stripe.rake": TASK, "config/schedule.rb": "every WHEN do\n  rake 'stripe:usage'\nend\n"},
        "1.day",
        "5.minutes",
    ),
    "loader": (
        {
            "lib/usage_loader.rb": LOADER,
            "app/jobs/usage_sender_job.rb": JOB,
            "config/initializers/cron.rb": CRON,
        },
        "0 1 * * *",
        "*/5 * * * *",
    ),
}


@pytest.mark.parametrize("start", STARTS)
def test_a_service_is_followed_to_the_schedule_that_starts_it(tmp_path: Path, start: str) -> None:
    tree, slow, quick = STARTS[start]
    for said, wanted in ((slow, {"scheduled_reporting"}), (quick, set())):
        given = {name: text.replace("WHEN", said) for name, text in tree.items()}
        report = audited(
            tmp_path / wanted.__str__()[:5].strip("{("), {"app/services/usage_sender.rb": SERVICE, **given}
        )
        assert codes(report) == wanted, said
        assert report.verdict is (Verdict.FAIL if wanted else Verdict.PASS)


JOBS = {
    "app/services/staff_meter.rb": "module StaffMeter\n  module_function\n\n  def report!(row)\n    Stripe::Billing::MeterEvent.create(event_name: 'seats', identifier: row.id.to_s, payload: { value: '1', stripe_customer_id: row.customer_id })\n    row.update!(reported_at: Time.current)\nRESCUE\n  end\n\n  def again!\n    Activation.where(reported_at: nil).find_each { |row| report!(row) }\n  end\nend\n",
    "app/services/guest_meter.rb": "module GuestMeter\n  module_function\n\n  def report!(row)\n    puts row\n  end\nend\n",
    "app/models/activation.rb": "class Activation < ApplicationRecord\n  after_create_commit :meter\n\n  def meter\n    ActivationJob.perform_later(id)\n  end\nend\n",
    "app/jobs/activation_job.rb": "class ActivationJob < ApplicationJob\n  def perform(id)\n    StaffMeter.report!(Activation.find(id))\n  end\nend\n",
}
LOGGED = "  rescue Stripe::StripeError => e\n    Rails.logger.warn(e.message)\n    :error"
AGAIN = {
    "app/jobs/again_job.rb": "class AgainJob < ApplicationJob\n  def perform\n    StaffMeter.again!\n  end\nend\n",
    "config/recurring.yml": "production:\n  again:\n    class: AgainJob\n    schedule: every day at 4am\n",
}


def test_a_failure_that_a_nightly_job_sends_again_is_not_lost(tmp_path: Path) -> None:
    logged = {name: text.replace("RESCUE", LOGGED) for name, text in JOBS.items()}
    assert codes(audited(tmp_path / "lost", logged)) == {"errors_swallowed"}
    report = audited(tmp_path / "kept", {**logged, **AGAIN})
    assert codes(report) == set()
    assert [one.confidence for one in report.findings if one.code == "errors_swallowed"] == ["low"]
    assert report.verdict is Verdict.PASS


ROUTE = "class WebhooksController < ApplicationController\n  def stripe\n    Overage.new(params).bill!\n    head :ok\n  rescue ERRORS\n    DONE\n  end\nend\n"
OVERAGE = "class Overage\n  def bill!\n    Stripe::InvoiceItem.create({ customer: customer, amount: 100 * minutes, description: 'Overage' }, { idempotency_key: id })\n  end\nend\n"


def test_a_rescue_of_other_errors_swallows_no_report(tmp_path: Path) -> None:
    for number, (errors, done, wanted) in enumerate(
        (
            ("JSON::ParserError, Stripe::SignatureVerificationError", "Rails.logger.warn('no event')", set()),
            ("StandardError => e", "Rails.logger.warn(e)", {"errors_swallowed"}),
            ("StandardError => e", "head :internal_server_error", set()),
        )
    ):
        tree = {
            "app/controllers/webhooks_controller.rb": ROUTE.replace("ERRORS", errors).replace("DONE", done),
            "app/services/overage.rb": OVERAGE,
        }
        assert codes(audited(tmp_path / str(number), tree)) == wanted, errors


MODEL = "class Message < ApplicationRecord\n  belongs_to :account\n  after_create_commit :meter\n\n  def meter\n    Stripe::Billing::MeterEvent.create(event_name: 'messages', identifier: id.to_s, payload: { value: '1', stripe_customer_id: account.customer_id })\n  end\nend\n"


def test_what_a_model_runs_when_a_row_is_written_is_live(tmp_path: Path) -> None:
    assert audited(tmp_path / "live", {"app/models/message.rb": MODEL}).verdict is Verdict.PASS
    dead = MODEL.replace("  after_create_commit :meter\n", "")
    assert codes(audited(tmp_path / "dead", {"app/models/message.rb": dead})) == {"never_reported"}
