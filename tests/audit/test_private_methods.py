# ruff: noqa: E501
"""A controller's private methods are no actions: what the action does with their errors and gives them counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

ROUTES = "Rails.application.routes.draw do\n  post '/runs', to: 'runs#create'\nend\n"
CONTROLLER = """class RunsController < ApplicationController
  before_action :authenticate_user!

  def create
    answer = client.chat(prompt: params[:prompt])
    CALL
    render json: answer
  end

  private

  def report_usage(count)
    Stripe::Billing::MeterEvent.create(
      event_name: 'calls', identifier: SecureRandom.uuid,
      payload: { value: count.to_s, stripe_customer_id: current_user.stripe_customer_id }
    )
  end
end
"""
CALLS = {
    "report_usage(answer.usage.total_tokens)": set(),
    "report_usage(params[:tokens])": {"client_supplied_quantity"},
    "begin\n      report_usage(answer.usage.total_tokens)\n    rescue StandardError => e\n      Rails.logger.error(e)\n    end": {
        "errors_swallowed"
    },
    "begin\n      report_usage(answer.usage.total_tokens)\n    rescue StandardError => e\n      Rails.logger.error(e)\n      raise\n    end": set(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_private_method_is_followed_to_its_action(tmp_path: Path, call: str) -> None:
    tree = {
        "config/routes.rb": ROUTES,
        "app/controllers/runs_controller.rb": CONTROLLER.replace("CALL", call),
    }
    report = audited(tmp_path, tree)
    assert codes(report) == CALLS[call]
    assert all("create" in one.route for one in report.endpoints)


def test_a_private_filter_runs_without_a_call(tmp_path: Path) -> None:
    text = CONTROLLER.replace("CALL", "").replace(
        ":authenticate_user!", ":authenticate_user!\n  after_action :report_usage"
    )
    text = text.replace("report_usage(count)", "report_usage").replace("count.to_s", "1")
    tree = {"config/routes.rb": ROUTES, "app/controllers/runs_controller.rb": text}
    report = audited(tmp_path, tree)
    assert codes(report) == set()
    assert report.endpoints
