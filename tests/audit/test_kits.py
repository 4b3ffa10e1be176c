# ruff: noqa: E501
"""What kits and frameworks give under names of the application's own, and what a checkout says without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

KIT = '{"dependencies": {"stripe": "^17", "express": "4", "autumn-js": "1", "effect": "3"}}'
CHECKOUT = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\napp.post('/checkout', async (req, res) => {\n  const session = await stripe.checkout.sessions.create({ mode: 'subscription', line_items: [{ price: 'price_1'QUANTITY }] });\n  res.json(session);\n});\n"


@pytest.mark.parametrize(
    ("quantity", "verdict"), [("", "fail"), (", quantity: 1", "skip"), (", quantity: seats", "skip")]
)
def test_a_price_without_a_quantity_is_metered(tmp_path: Path, quantity: str, verdict: str) -> None:
    """Stripe asks for a quantity of every other price; nothing here reports to this one."""
    report = audited(tmp_path, {"package.json": KIT, "app.ts": CHECKOUT.replace("QUANTITY", quantity)})
    assert report.verdict == verdict
    assert codes(report) == ({"never_reported"} if verdict == "fail" else set())


TRACK = "import { Autumn } from 'autumn-js';\nconst client = new Autumn({ secretKey });\nconst use = (f) => f(client);\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await generateText({ prompt: req.body.prompt });\n  TRY\n  res.json(answer);\n});\n"
CALL = "await use((c) => c.track({ customerId: req.user.id, featureId: 'runs', value: 1 }));"


@pytest.mark.parametrize(
    ("meter", "wanted"),
    [(CALL, set()), (f"try {{ {CALL} }} catch (error) {{ console.error(error); }}", {"errors_swallowed"})],
)
def test_a_client_under_a_name_of_its_own(tmp_path: Path, meter: str, wanted: set[str]) -> None:
    """`(c) => c.track({ featureId })` where Autumn is imported."""
    report = audited(tmp_path, {"package.json": KIT, "app.ts": TRACK.replace("TRY", meter)})
    assert codes(report) == wanted
    assert report.endpoints


EFFECT = "import { Effect } from 'effect';\nimport { Autumn } from 'autumn-js';\nconst client = new Autumn({ secretKey });\nconst use = (f) => Effect.tryPromise(() => f(client));\nexport const meter = (id) => use((c) => c.track({ customerId: id, featureId: 'runs', value: 1 })).pipe(STEP);\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await generateText({ prompt: req.body.prompt });\n  await Effect.runPromise(meter(req.user.id));\n  res.json(answer);\n});\n"
STEPS = {
    "Effect.catchAll((error) => Effect.sync(() => console.error(error)))": {"errors_swallowed"},
    "Effect.ignore": {"errors_swallowed"},
    "Effect.catchAll((error) => Effect.fail(new Lost(error)))": set(),
    "Effect.withSpan('meter')": set(),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_a_pipe_that_ends_the_error(tmp_path: Path, step: str) -> None:
    """Effect's catches stand behind what they catch."""
    assert (
        codes(audited(tmp_path, {"package.json": KIT, "app.ts": EFFECT.replace("STEP", step)})) == STEPS[step]
    )


HELPER = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport const meters = () => stripe.billing.meters.list();\n/**\n * REMARK\n */\nexport async function report(customer, n) {\n  await stripe.billing.meterEvents.create({ event_name: 'calls', payload: { stripe_customer_id: customer, value: String(n) } });\n}\n"


@pytest.mark.parametrize(
    ("remark", "verdict"), [("Tells the meter.", "fail"), ("@deprecated limits are fixed", "skip")]
)
def test_a_reporter_that_is_retired(tmp_path: Path, remark: str, verdict: str) -> None:
    """It says of itself that nothing is to call it."""
    tree: Tree = {"package.json": KIT, "meter.ts": HELPER.replace("REMARK", remark)}
    assert audited(tmp_path, tree).verdict == verdict


MODEL = "import stripe\nfrom fastapi import FastAPI, Request\napp = FastAPI()\n@app.post('/usage')\nasync def usage(request: KIND, user=Depends(current_user)):\n    stripe.billing.MeterEvent.create(event_name='pages', identifier=request.state.id, payload={'stripe_customer_id': user.customer, 'value': NUMBER})\n"


@pytest.mark.parametrize(
    ("kind", "number", "wanted"),
    [("Usage", "request.pages", {"client_supplied_quantity"}), ("Request", "request.state.pages", set())],
)
def test_a_model_called_request_is_the_clients(
    tmp_path: Path, kind: str, number: str, wanted: set[str]
) -> None:
    """The framework's own request has no field of that name."""
    source = MODEL.replace("KIND", kind).replace("NUMBER", number)
    assert codes(audited(tmp_path, {"app.py": source})) == wanted
