# ruff: noqa: E501
"""A report that answers its failure: told to whoever asks for the answer, and to nobody where it is only kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

PYTHON = """import stripe
from fastapi import Depends, FastAPI, HTTPException
app = FastAPI()

def tell(customer, n, key):
    try:
        event = stripe.billing.MeterEvent.create(event_name="u", identifier=key, payload={"stripe_customer_id": customer, "value": n})
        return event.identifier
    except Exception as problem:
        log.warning("not told: %s", problem)
        return None

@app.post("/ask")
def ask(user=Depends(current_user), db=Depends(session)):
    out = llm.run(user)
    told = tell(user.customer, out.tokens, out.id)
    FATE
    return out.text
"""
TYPESCRIPT = """import Stripe from 'stripe';
const stripe = new Stripe(process.env.KEY!);
async function tell(customer: string, n: number, id: string) {
  try {
    const event = await stripe.billing.meterEvents.create({ event_name: 'u', identifier: id, payload: { stripe_customer_id: customer, value: String(n) } });
    return event.identifier;
  } catch (e) { console.error(e); return null; }
}
export async function POST(req: Request) {
  const user = await auth();
  const out = await llm.run(user);
  const told = await tell(user.customer, out.tokens, out.id);
  FATE
  return Response.json(out.text);
}
"""
LOST = {"errors_swallowed"}
FATES = {
    ("app.py", "db.add(Row(user=user.id, told=told))"): LOST,
    ("app.py", "log.info(told)"): LOST,
    ("app.py", "pass"): LOST,
    ("app.py", "if told is None:\n        raise HTTPException(503)"): set(),
    ("app.py", "check(told)"): set(),
    ("app.py", "assert told"): set(),
    ("app/api/ask/route.ts", "await db.row.create({ data: { user: user.id, told } });"): LOST,
    ("app/api/ask/route.ts", "console.log(told);"): LOST,
    ("app/api/ask/route.ts", "if (!told) throw new Error('not billed');"): set(),
    ("app/api/ask/route.ts", "const state = told ? 'sent' : await again(out);"): set(),
    ("app/api/ask/route.ts", "await settle(told);"): set(),
}


@pytest.mark.parametrize("fate", FATES, ids=str)
def test_an_answer_that_nobody_asks_for(tmp_path: Path, fate: tuple[str, str]) -> None:
    path, text = fate
    source = (PYTHON if path.endswith(".py") else TYPESCRIPT).replace("FATE", text)
    assert codes(audited(tmp_path, {path: source})) == FATES[fate]


BETWEEN = {
    "app.py": "def bill(customer, n, key):\n    return tell(customer, n, key)\n\n@app.post",
    "app/api/ask/route.ts": "async function bill(c: string, n: number, id: string) { return await tell(c, n, id); }\nexport",
}
ASKS = {
    ("app.py", "bill(user.customer, out.tokens, out.id)"): LOST,
    ("app.py", "if not bill(user.customer, out.tokens, out.id):\n        raise HTTPException(503)"): set(),
    ("app/api/ask/route.ts", "await bill(user.customer, out.tokens, out.id);"): LOST,
    ("app/api/ask/route.ts", "if (!(await bill(user.customer, out.tokens, out.id))) throw new Error('not billed');"): set(),
}  # fmt: skip


@pytest.mark.parametrize("asks", ASKS, ids=str)
def test_an_answer_that_is_handed_on_to_who_does_not_ask(tmp_path: Path, asks: tuple[str, str]) -> None:
    path, text = asks
    source = (PYTHON if path.endswith(".py") else TYPESCRIPT).replace("FATE", text)
    start = "@app.post" if path.endswith(".py") else "export"
    for told in (
        "    told = tell(user.customer, out.tokens, out.id)\n",
        "  const told = await tell(user.customer, out.tokens, out.id);\n",
    ):
        source = source.replace(told, "")
    assert codes(audited(tmp_path, {path: source.replace(start, BETWEEN[path])})) == ASKS[asks]
