# ruff: noqa: E501
"""Ruby's `report rescue nil`: an answer in the place of an error, and what is done with it; and catches with braces in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

REPORT = "Stripe::Billing::MeterEvent.create(event_name: 'calls', identifier: id, payload: { value: count.to_s, stripe_customer_id: customer })"
METER = "class Meter\n  def self.report(customer, count, id)\n    BODY\n  end\nend\n"
ACTION = "class RunsController < ApplicationController\n  def create\n    answer = OpenAI::Client.new.chat(parameters: { messages: params[:messages] })\n    THEN\n    render json: answer\n  end\nend\n"
CALL = "Meter.report(current_user.customer_id, answer['usage']['total_tokens'], answer['id'])"
BODIES = {
    f"{REPORT} rescue nil": {"errors_swallowed"},
    f"{REPORT} rescue (Rails.logger.warn('lost'); nil)": {"errors_swallowed"},
    f"sent = {REPORT} rescue nil\n    if sent\n      Row.create(id: id)\n    else\n      Rails.logger.warn('lost')\n    end": {"errors_swallowed"},
    f"sent = {REPORT} rescue nil\n    raise 'refused' unless sent": set(),
    f"sent = {REPORT} rescue nil\n    if sent.nil?\n      raise 'refused'\n    end": set(),
    f"sent = {REPORT} rescue nil\n    ReportJob.perform_later(id, count) if !sent": set(),
    f"{REPORT} rescue raise(Refused)": set(),
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_an_answer_instead_of_an_error(tmp_path: Path, body: str) -> None:
    tree = {"app/models/meter.rb": METER.replace("BODY", body), "app/controllers/runs_controller.rb": ACTION.replace("THEN", CALL)}  # fmt: skip
    assert codes(audited(tmp_path, tree)) == BODIES[body]


@pytest.mark.parametrize(
    ("after", "wanted"),
    [(CALL, {"errors_swallowed"}), (f"return head(:bad_gateway) unless {CALL}", set())],
)
def test_a_false_answer_that_is_handed_up(tmp_path: Path, after: str, wanted: set[str]) -> None:
    body = f"sent = {REPORT} rescue nil\n    return false unless sent\n    true"
    tree = {"app/models/meter.rb": METER.replace("BODY", body), "app/controllers/runs_controller.rb": ACTION.replace("THEN", after)}  # fmt: skip
    assert codes(audited(tmp_path, tree)) == wanted


CLAUSE = """import stripe
@app.task(bind=True)
def bill(self, customer, count, key):
    try:
        stripe.billing.MeterEvent.create(event_name="calls", identifier=key, payload={"stripe_customer_id": customer, "value": str(count)})
    except Exception as error:
        DONE
        return {"status": "failed"}
"""
ROUTE = "@app.post('/run')\ndef run(user=Depends(current_user)):\n    answer = openai.responses.create(input='x')\n    bill.delay(user.customer, answer.usage.total_tokens, answer.id)\n    return answer\n"


@pytest.mark.parametrize(
    ("done", "wanted"), [("self.retry(exc=error)", set()), ("logger.error('lost')", {"errors_swallowed"})]
)
def test_a_python_clause_begins_at_its_colon(tmp_path: Path, done: str, wanted: set[str]) -> None:
    """A dictionary further down is no brace that opens it."""
    tree = {"tasks.py": CLAUSE.replace("DONE", done), "main.py": f"from tasks import bill\n{ROUTE}"}
    assert codes(audited(tmp_path, tree)) == wanted
