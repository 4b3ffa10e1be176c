# ruff: noqa: E501
"""Values and errors that take a turn: loop variables, callbacks, lambdas, listeners, returned errors. Twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

PACKAGE = '{"dependencies": {"stripe": "^17", "express": "4", "openai": "4"}}'
EVENT = "await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: ID, payload: { stripe_customer_id: req.user.customerId, value: String(NUMBER) } });"
EXPRESS = """import express from "express";
import Stripe from "stripe";
const app = express();
const stripe = new Stripe(process.env.KEY);
app.post("/run", requireUser, async (req, res) => {
  BODY
  res.json({});
});
app.listen(80);
"""


def express(body: str, number: str, identifier: str = "req.id") -> Tree:
    said = body.replace("EVENT", EVENT.replace("NUMBER", number).replace("ID", identifier))
    return {"package.json": PACKAGE, "src/app.ts": EXPRESS.replace("BODY", said)}


LOOPS = {
    "for of": "for (const item of SOURCE) { EVENT }",
    "destructured": "for (const { n } of SOURCE) { EVENT }",
    "map": "await Promise.all(SOURCE.map(async (item) => { EVENT }));",
    "reduce": "const n = SOURCE.reduce((sum, item) => sum + item.n, 0); EVENT",
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("source", "is_right"), [("req.body.items", False), ("done.items", True)])
def test_what_a_loop_gives_is_what_it_goes_over(
    tmp_path: Path, loop: str, source: str, is_right: bool
) -> None:
    work = "const done = await openai.images.generate({ prompt: req.body.prompt }); "
    number = {"for of": "item.n", "map": "item.n"}.get(loop, "n")
    report = audited(tmp_path, express(work + LOOPS[loop].replace("SOURCE", source), number))
    assert ("client_supplied_quantity" not in codes(report)) is is_right, report.findings


PYTHON = """import stripe
from fastapi import Depends, FastAPI
from openai import OpenAI
from app.auth import current_user
app = FastAPI()
@app.post("/run")
def run(body: dict, user=Depends(current_user)):
    done = OpenAI().images.generate(prompt=body["prompt"])
    BODY
    stripe.billing.MeterEvent.create(event_name="calls", identifier=done.id, payload={"stripe_customer_id": user.customer, "value": str(n)})
    return done
"""


@pytest.mark.parametrize("how", ["n = sum(one.n for one in SOURCE)", "for one in SOURCE:\n        n = one.n"])
@pytest.mark.parametrize(("source", "is_right"), [('body["items"]', False), ("done.data", True)])
def test_what_a_loop_gives_in_python(tmp_path: Path, how: str, source: str, is_right: bool) -> None:
    tree = {
        "requirements.txt": "stripe==11\nfastapi\nopenai\n",
        "app/main.py": PYTHON.replace("BODY", how.replace("SOURCE", source)),
    }
    report = audited(tmp_path, tree)
    assert ("client_supplied_quantity" not in codes(report)) is is_right, report.findings


GO = """package main

func run(w http.ResponseWriter, r *http.Request) {
	account := find(r)
	answer := work(r)
	CALL
	json.NewEncoder(w).Encode(answer)
}

func main() { http.HandleFunc("/run", run) }
"""
GO_EVENT = 'meterevent.New(&stripe.BillingMeterEventParams{Identifier: stripe.String(answer.ID), Payload: map[string]string{"value": "1", "stripe_customer_id": account.Customer}})'
CHECKS = {
    "dropped": ("_, _ = EVENT", False),
    "logged": ("_, err := EVENT\n\tif err != nil {\n\t\tlog.Println(err)\n\t}", False),
    "logged in the condition": ("if _, err := EVENT; err != nil {\n\t\tlog.Println(err)\n\t}", False),
    "answered": (
        "_, err := EVENT\n\tif err != nil {\n\t\thttp.Error(w, err.Error(), 502)\n\t\treturn\n\t}",
        True,
    ),
    "answered in the condition": (
        "if _, err := EVENT; err != nil {\n\t\thttp.Error(w, err.Error(), 502)\n\t\treturn\n\t}",
        True,
    ),
}


@pytest.mark.parametrize("check", CHECKS)
def test_errors_that_go_returns(tmp_path: Path, check: str) -> None:
    call, is_right = CHECKS[check]
    tree = {
        "go.mod": "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n",
        "main.go": GO.replace("CALL", call.replace("EVENT", GO_EVENT)),
    }
    report = audited(tmp_path, tree)
    assert ("errors_swallowed" not in codes(report)) is is_right, report.findings


OURS = """from fastapi import Depends, FastAPI
from openai import OpenAI
from tallystick import Tally
from app.auth import current_user
tally = Tally.from_config()
app = FastAPI()
@app.post("/run")
@tally.metered("tokens", customer=CUSTOMER, quantity=QUANTITY)
def run(body: dict, user=Depends(current_user)):
    return OpenAI().images.generate(prompt=body["prompt"])
"""
BY_USER, BY_ANSWER = "lambda user: user.customer", "lambda answer: answer.usage.total_tokens"


@pytest.mark.parametrize(
    ("customer", "quantity", "found"),
    [
        (BY_USER, BY_ANSWER, set()),
        ('lambda body: body["customer"]', BY_ANSWER, {"client_supplied_customer"}),
        (BY_USER, 'lambda body: body["n"]', {"client_supplied_quantity"}),
    ],
)
def test_lambdas_of_the_decorator(tmp_path: Path, customer: str, quantity: str, found: set[str]) -> None:
    tree = {
        "requirements.txt": "tallystick\nfastapi\nopenai\n",
        "app/main.py": OURS.replace("CUSTOMER", customer).replace("QUANTITY", quantity),
    }
    report = audited(tmp_path, tree)
    assert codes(report) == found
    assert "recorded_before_action" not in {one.code for one in report.findings}


SIGNAL = """import stripe
IMPORT
from flask import Flask, g, request
from openai import OpenAI
app = Flask(__name__)
used = SIGNAL
@LISTENS
def report(sender, customer, n, key, **rest):
    stripe.billing.MeterEvent.create(event_name="calls", identifier=key, payload={"stripe_customer_id": customer, "value": str(n)})
@app.post("/run")
def run():
    done = OpenAI().images.generate(prompt=request.json["prompt"])
    used.send(app, customer=g.user.customer, n=NUMBER, key=done.id)
    return done.model_dump()
"""
KINDS = {
    "blinker": ("from blinker import signal", 'signal("used")', "used.connect"),
    "django": ("from django.dispatch import Signal, receiver", "Signal()", "receiver(used)"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_is_joined_to_its_listener(tmp_path: Path, kind: str) -> None:
    imported, made, listens = KINDS[kind]
    text = SIGNAL.replace("IMPORT", imported).replace("SIGNAL", made).replace("LISTENS", listens)
    right = {"requirements.txt": "stripe==11\nflask\n", "app.py": text.replace("NUMBER", "done.usage.total")}
    assert audited(tmp_path / "right", right).verdict is Verdict.PASS
    forged = {**right, "app.py": text.replace("NUMBER", "request.json['n']")}
    assert codes(audited(tmp_path / "forged", forged)) == {"client_supplied_quantity"}
    silent = {**right, "app.py": text.replace("    used.send", "    # used.send")}
    assert codes(audited(tmp_path / "silent", silent)) == {"never_reported"}


SIGNED = """import Stripe from "stripe";
const stripe = new Stripe(process.env.KEY);
async function handler(req: Request) {
  const { customer, n, id } = await req.json();
  await stripe.billing.meterEvents.create({ event_name: "calls", identifier: id, payload: { stripe_customer_id: customer, value: String(n) } });
  return new Response("ok");
}
export const POST = EXPORTED;
"""
SENDER = """import { auth } from "@/lib/auth";
export async function POST(req: Request) {
  const session = await auth();
  const done = await openai.images.generate({ prompt: (await req.json()).prompt });
  await qstash.publishJSON({ url: `${process.env.BASE}/api/report`, body: { customer: session.user.customerId, n: done.usage.total_tokens, id: done.id } });
  return Response.json(done);
}
"""


@pytest.mark.parametrize(
    ("exported", "is_right"), [("verifySignatureAppRouter(handler)", True), ("handler", False)]
)
def test_a_handler_behind_a_check_of_signatures(tmp_path: Path, exported: str, is_right: bool) -> None:
    tree = {
        "package.json": '{"dependencies": {"stripe": "^17", "next": "15", "@upstash/qstash": "2"}}',
        "app/api/report/route.ts": SIGNED.replace("EXPORTED", exported),
        "app/api/run/route.ts": SENDER,
    }
    report = audited(tmp_path, tree)
    assert (report.verdict is Verdict.PASS) is is_right, report.findings


@pytest.mark.parametrize(
    ("quantity", "is_right"), [("price_of(body)", True), ("body.n", False), ("n", False)]
)
def test_what_is_worked_out_from_a_request_is_not_its_word(
    tmp_path: Path, quantity: str, is_right: bool
) -> None:
    text = PYTHON.replace("body: dict,", "body: Body, n: int,").replace('body["prompt"]', "body.prompt")
    text = text.replace("BODY\n    ", "").replace("str(n)", f"str({quantity})")
    tree = {"requirements.txt": "stripe==11\nfastapi\nopenai\n", "app/main.py": text}
    report = audited(tmp_path, tree)
    assert ("client_supplied_quantity" not in codes(report)) is is_right, report.findings
    assert not any("an argument" in one.message for one in report.findings)
