# ruff: noqa: E501
"""Loops that try a report again: what becomes of its error once they have run out. Right and wrong twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

SWALLOWED = {"errors_swallowed"}
EVENT = "stripe.billing.MeterEvent.create(event_name='pages', identifier=key, payload={'stripe_customer_id': customer, 'value': str(pages)})"
PYTHON = "import stripe, time\nfrom fastapi import Depends, FastAPI\napp = FastAPI()\n\ndef tell(customer, pages, key):\nBODY\n\n@app.post('/scan')\ndef scan(account=Depends(current_account)):\n    found = openai.responses.create(input='x')\n    tell(account.customer, found.usage.total_tokens, found.id)\n    return {'text': found.text}\n"
LOOP = f"    HEAD:\n        try:\n            {EVENT}\n            DONE\n        except stripe.StripeError as e:\n            CAUGHT\n"
FOR, ENDLESS = "for attempt in range(3)", "while True"
IN_PYTHON = {
    (FOR, "break", "continue", ""): SWALLOWED,
    (FOR, "return", "time.sleep(2 ** attempt)", ""): SWALLOWED,
    (FOR, "return True", "time.sleep(retry_delay)", "    log.error('gave up')"): SWALLOWED,
    (FOR, "return True", "log.warning('try %s failed', attempt)", "    return False"): SWALLOWED,
    (FOR, "return", "time.sleep(1)", "    raise RuntimeError('gave up')"): set(),
    (FOR, "break", "log.warning(e)", "    else:\n        raise RuntimeError('gave up')"): set(),
    (FOR, "return", "failed = e", "    raise failed"): set(),
    (FOR, "return", "if attempt == 2:\n                raise", ""): set(),
    (FOR, "return", "time.sleep(1)", "    Outbox.objects.create(customer=customer, pages=pages)\n\ndef again():\n    for row in Outbox.objects.filter(sent=False):\n        tell(row.customer, row.pages, row.id)"): set(),
    (ENDLESS, "break", "time.sleep(5)", ""): set(),
    (ENDLESS, "break", "tries += 1\n            if tries > 5:\n                break", ""): SWALLOWED,
}  # fmt: skip


def python(head: str, done: str, caught: str, behind: str) -> Tree:
    body = LOOP.replace("HEAD", head).replace("DONE", done).replace("CAUGHT", caught) + behind
    return {"requirements.txt": "fastapi\nstripe==12.0.0\n", "main.py": PYTHON.replace("BODY", body)}


@pytest.mark.parametrize("case", IN_PYTHON)
def test_the_last_try_in_python(tmp_path: Path, case: tuple[str, str, str, str]) -> None:
    assert codes(audited(tmp_path, python(*case))) == IN_PYTHON[case]


GO = """package main

func send(c context.Context, customer string, n int64) error {
	_, err := meterevent.New(&stripe.BillingMeterEventParams{Identifier: stripe.String(key), Payload: map[string]string{"value": strconv.FormatInt(n, 10), "stripe_customer_id": customer}})
	return err
}

func tell(c context.Context, customer string, n int64) error {
BODY
}

func scan(c *gin.Context) {
	account := c.MustGet("account").(*Account)
	answer, err := client.CreateChatCompletion(c, prompt)
	if err != nil {
		c.JSON(500, err)
		return
	}
	if err := tell(c, account.Customer, answer.Usage.TotalTokens); err != nil {
		c.JSON(502, err)
		return
	}
	c.JSON(200, answer)
}

func main() {
	r := gin.Default()
	r.POST("/scan", scan)
	r.Run()
}
"""
ROUNDS = "\tfor i := 0; i < 10; i++ {\n\t\tINNER\n\t\ttime.Sleep(pause)\n\t}\n\tBEHIND"
WENT_WELL = "if err := send(c, customer, n); err == nil {\n\t\t\treturn nil\n\t\t}"
FAILED = "if err := send(c, customer, n); err != nil {\n\t\t\tlog.Println(err)\n\t\t\tcontinue\n\t\t}\n\t\treturn nil"
OUTER = "err = send(c, customer, n)\n\t\tif err == nil {\n\t\t\tbreak\n\t\t}"
IN_GO = {
    ROUNDS.replace("INNER", WENT_WELL).replace("BEHIND", "return nil"): SWALLOWED,
    ROUNDS.replace("INNER", WENT_WELL).replace("BEHIND", 'return errors.New("gave up")'): set(),
    ROUNDS.replace("INNER", FAILED).replace("BEHIND", "return nil"): SWALLOWED,
    ROUNDS.replace("INNER", FAILED).replace("BEHIND", 'return fmt.Errorf("gave up")'): set(),
    "\tvar err error\n" + ROUNDS.replace("INNER", OUTER).replace("BEHIND", "return err"): set(),
    "\tvar err error\n" + ROUNDS.replace("INNER", OUTER).replace("BEHIND", "return nil"): SWALLOWED,
    "\tfor {\n\t\tif err := send(c, customer, n); err == nil {\n\t\t\tbreak\n\t\t}\n\t\ttime.Sleep(pause)\n\t}\n\treturn nil": set(),
    "\tif err := send(c, customer, n); err == nil {\n\t\tsent++\n\t}\n\treturn nil": SWALLOWED,
    "\terr := send(c, customer, n)\n\tif err == nil {\n\t\tsent++\n\t}\n\treturn err": set(),
    "\tif err := send(c, customer, n); err == nil {\n\t\treturn nil\n\t}\n\treturn outbox.Insert(c, customer, n)": set(),
    "\tif err := send(c, customer, n); err == nil {\n\t\tsent++\n\t} else {\n\t\treturn err\n\t}\n\treturn nil": set(),
}  # fmt: skip


@pytest.mark.parametrize("body", IN_GO)
def test_the_last_try_in_go(tmp_path: Path, body: str) -> None:
    module = "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n"
    assert codes(audited(tmp_path, {"go.mod": module, "main.go": GO.replace("BODY", body)})) == IN_GO[body]


SCRIPT = """import Stripe from "stripe";
const stripe = new Stripe(key);

async function tell(customer: string, pages: number, id: string) {
  BODY
}

export async function POST(req: Request) {
  const account = await requireAccount(req);
  const found = await openai.responses.create({ input: "x" });
  await tell(account.customer, found.usage.total_tokens, found.id);
  return Response.json({ text: found.text });
}
"""
SENT = "await stripe.billing.meterEvents.create({ event_name: 'pages', identifier: id, payload: { stripe_customer_id: customer, value: String(pages) } });"
POSTED = "const res = await fetch('https://api.stripe.com/v1/billing/meter_events', { method: 'POST', body: new URLSearchParams({ identifier: id, 'payload[value]': String(pages) }) });"
TRIED = f"for (let i = 0; i < 3; i++) {{\n    try {{\n      {SENT}\n      DONE;\n    }} catch (e) {{\n      await sleep(retryDelay);\n    }}\n  }}\n  BEHIND"
ASKED = f"for (let i = 0; i < 3; i++) {{\n    {POSTED}\n    if (res.ok) return;\n    await sleep(500);\n  }}\n  BEHIND"
IN_SCRIPTS = {
    TRIED.replace("DONE", "return").replace("BEHIND", ""): SWALLOWED,
    TRIED.replace("DONE", "return").replace("BEHIND", "console.error('gave up');"): SWALLOWED,
    TRIED.replace("DONE", "break").replace("BEHIND", "return true;"): SWALLOWED,
    TRIED.replace("DONE", "return").replace("BEHIND", "throw new Error('gave up');"): set(),
    TRIED.replace("for (let i = 0; i < 3; i++)", "while (true)").replace("DONE", "break").replace("BEHIND", ""): set(),
    f"try {{ {TRIED.replace('DONE', 'break').replace('BEHIND', '')} }} catch (e) {{ throw e; }}": SWALLOWED,
    f"try {{ {TRIED.replace('DONE', 'return').replace('BEHIND', '')} }} finally {{ done(); }}\n  throw new Error('gave up');": set(),
    ASKED.replace("BEHIND", ""): SWALLOWED,
    ASKED.replace("BEHIND", "throw new Error('gave up');"): set(),
}  # fmt: skip


@pytest.mark.parametrize("body", IN_SCRIPTS)
def test_the_last_try_in_scripts(tmp_path: Path, body: str) -> None:
    tree = {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18.0.0"}}',
        "app/api/scan/route.ts": SCRIPT.replace("BODY", body),
    }
    assert codes(audited(tmp_path, tree)) == IN_SCRIPTS[body]


CREATE = "Stripe::Billing::MeterEvent.create(event_name: 'pages', identifier: id, payload: { value: pages.to_s, stripe_customer_id: customer })"
METER = f"class Meter\n  def self.tell(customer, pages, id)\n    tries = 0\n    begin\n      {CREATE}\n    rescue Stripe::StripeError => e\n      CAUGHT\n    end\n  end\nend\n"
SCANS = "class ScansController < ApplicationController\n  def create\n    found = OpenAI::Client.new.chat(parameters: { messages: params[:messages] })\n    Meter.tell(current_user.customer_id, found['usage']['total_tokens'], found['id'])\n    render json: found\n  end\nend\n"
IN_RUBY = {
    "retry if (tries += 1) < 3": SWALLOWED,
    "tries += 1\n      if tries < 3\n        sleep 1\n        retry\n      end\n      Rails.logger.error(e.message)": SWALLOWED,
    "retry if (tries += 1) < 3\n      raise": set(),
    "sleep 1\n      retry": set(),
    "if (tries += 1) < 3\n        retry\n      else\n        LostUsage.create!(customer: customer, pages: pages)\n      end": set(),
}


@pytest.mark.parametrize("caught", IN_RUBY)
def test_the_last_try_in_ruby(tmp_path: Path, caught: str) -> None:
    again = "class AgainJob < ApplicationJob\n  def perform\n    LostUsage.where(sent: false).find_each { |row| Meter.tell(row.customer, row.pages, row.id) }\n  end\nend\n"
    tree = {
        "app/models/meter.rb": METER.replace("CAUGHT", caught),
        "app/controllers/scans_controller.rb": SCANS,
        "app/jobs/again_job.rb": again,
    }
    assert codes(audited(tmp_path, tree)) == IN_RUBY[caught]
