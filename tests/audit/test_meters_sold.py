# ruff: noqa: E501
"""Meters of other sellers, each sent in the request that does the work, and each sent without waiting for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

METERS = {
    "schematic": "import { SchematicClient } from '@schematichq/schematic-typescript-node';\nconst schematic = new SchematicClient({ apiKey });\nSENT schematic.track({ event: 'x', company: { id: req.user.org }, quantity: out.n });",
    "recurly": "import recurly from 'recurly';\nconst client = new recurly.Client(key);\nSENT client.createUsage(req.user.subscription, 'calls', { amount: out.n });",
    "m3ter": "import M3ter from 'm3ter-sdk';\nconst client = new M3ter();\nSENT client.usage.submit({ measurements: [{ account: req.user.id, uid: out.id, measure: { n: out.n } }] });",
    "orb": "import Orb from 'orb-billing';\nconst client = new Orb();\nSENT client.events.ingest({ events: [{ idempotency_key: out.id, external_customer_id: req.user.id, properties: { n: out.n } }] });",
    "flexprice": "SENT ofetch('https://api.cloud.flexprice.io/v1/events', { method: 'POST', body: JSON.stringify({ external_customer_id: req.user.id, properties: { n: out.n } }) });",
    "microsoft": "SENT axios.post('https://marketplaceapi.microsoft.com/api/usageEvent?api-version=2018-08-31', { resourceId: req.user.subscription, quantity: out.n });",
    "google": "import { servicecontrol_v1 } from 'googleapis';\nSENT control.services.report({ serviceName: 'x', requestBody: { operations: [{ operationId: out.id, consumerId: req.user.consumer, metricValueSets: [{ metricValues: [{ int64Value: out.n }] }] }] } });",
}


@pytest.mark.parametrize("meter", METERS)
@pytest.mark.parametrize(("waits", "wanted"), [("await", set()), ("void", {"fire_and_forget"})])
def test_a_meter_of_another_seller(tmp_path: Path, meter: str, waits: str, wanted: set[str]) -> None:
    head, _, sent = METERS[meter].partition("SENT ")
    text = f"{head}app.post('/run', requireUser, async (req, res) => {{ const out = await llm(req.body.p); {waits} {sent} res.json(out); }});\n"
    assert codes(audited(tmp_path, {"server.ts": text})) == wanted


def test_meter_events_through_a_gem(tmp_path: Path) -> None:
    tree = {
        "app/controllers/runs_controller.rb": "class RunsController < ApplicationController\n  before_action :authenticate_user!\n  def create\n    out = Llm.call(params[:p])\n    current_user.payment_processor.create_meter_event(:calls, payload: { value: out.n })\n    render json: out\n  end\nend\n",
        "config/routes.rb": "Rails.application.routes.draw do\n  resources :runs\nend\n",
    }
    assert audited(tmp_path, tree).reason == "ok_synchronous"
