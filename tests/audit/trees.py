"""Small applications written for these tests, and one way to audit them."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tallystick.audit.engine import audit
from tallystick.audit.model import Options, Profile, Report

Tree = dict[str, str]


def audited(
    root: Path, tree: Mapping[str, str], profile: Profile = Profile.DURABLE, options: Options | None = None
) -> Report:
    """Write the tree and audit it."""
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return audit(root, sorted(tree), profile=profile, options=options)


@contextmanager
def ending(seconds: int = 120) -> Iterator[None]:
    """What never ends is stopped, on a machine of any speed, so that the other tests have their turn."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"not done after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def codes(report: Report) -> set[str]:
    """The codes that decide."""
    return {one.code for one in report.findings if one.decides and one.confidence != "low"}


NEXT: Tree = {
    "package.json": '{"name": "shop", "dependencies": {"next": "15", "stripe": "18.0.0"}}',
    "tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["./src/*"]}}}',
    "src/app/api/generate/route.ts": """import { auth } from "@/lib/auth";
import { generate } from "@/lib/generate";
import { bill } from "@/lib/billing";

export async function POST(req: Request) {
  const body = await req.json();
  const session = await auth();
  const answer = await generate(body.prompt);
  await bill(session.user.customer, answer.usage.total_tokens, answer.id);
  return Response.json({ text: answer.text });
}
""",
    "src/lib/auth.ts": "export async function auth() { return await readVerifiedCookie(); }\n",
    "src/lib/generate.ts": """import OpenAI from "openai";
const openai = new OpenAI();
export async function generate(prompt: string) {
  return await openai.responses.create({ model: "m", input: prompt });
}
""",
    "src/lib/billing.ts": """import { report } from "./meter";

export async function bill(customer: string, tokens: number, id: string) {
  await report(customer, tokens, id);
}
""",
    "src/lib/meter.ts": """import Stripe from "stripe";
const stripe = new Stripe(process.env.STRIPE_KEY!);

export async function report(customer: string, value: number, id: string) {
  await stripe.billing.meterEvents.create({
    event_name: "tokens",
    identifier: id,
    payload: { stripe_customer_id: customer, value: String(value) },
  });
}
""",
}

FASTAPI: Tree = {
    "requirements.txt": "fastapi\nstripe==12.0.0\n",
    "shop/__init__.py": "",
    "shop/main.py": """from fastapi import Depends, FastAPI
from pydantic import BaseModel

from shop.billing import bill
from shop.model import generate
from shop.people import current_account

app = FastAPI()


class Ask(BaseModel):
    prompt: str
    tokens: int = 0
    customer: str = ""


@app.post("/generate")
async def ask(ask: Ask, account=Depends(current_account)):
    answer = await generate(ask.prompt)
    await bill(account.customer, answer.usage.total_tokens, answer.id)
    return {"text": answer.text}
""",
    "shop/people.py": "def current_account():\n    return read_verified_cookie()\n",
    "shop/model.py": """from openai import AsyncOpenAI

client = AsyncOpenAI()


async def generate(prompt):
    return await client.responses.create(model="m", input=prompt)
""",
    "shop/billing.py": """from shop.meter import report


async def bill(customer, tokens, key):
    await report(customer, tokens, key)
""",
    "shop/meter.py": """import stripe


async def report(customer, value, key):
    await stripe.billing.MeterEvent.create_async(
        event_name="tokens",
        identifier=key,
        payload={"stripe_customer_id": customer, "value": str(value)},
    )
""",
}
