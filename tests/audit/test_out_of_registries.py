# ruff: noqa: E501
"""Providers that a registry holds by their names: whose method is called is told by the type that is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

BASE = """from abc import ABC, abstractmethod
class PaymentProvider(ABC):
    @abstractmethod
    async def create_usage_event(self, customer, pages, name): ...
"""
STRIPE = """import stripe
from base import PaymentProvider
class StripeProvider(PaymentProvider):
    async def create_usage_event(self, customer, pages, name):
        await stripe.billing.MeterEvent.create_async(event_name="pages", identifier=name, payload={"stripe_customer_id": customer, "value": pages})
class OtherProvider(PaymentProvider):
    async def create_usage_event(self, customer, pages, name):
        await elsewhere(customer, pages, name)
"""
REGISTRY = """from base import PaymentProvider
from settings import settings
class Registry:
    _kinds = {}
    @classmethod
    def register(cls, name, kind):
        cls._kinds[name] = kind
    @classmethod
    def create(cls, name=None) -> PaymentProvider:
        name = name or settings.PAYMENT_PROVIDER
        kind = cls._kinds[name]
        made = kind()
        return made
def begin():
    from stripes import OtherProvider, StripeProvider
    Registry.register("stripe", StripeProvider)
    Registry.register("other", OtherProvider)
begin()
def get_payment_provider() -> TYPE:
    return Registry.create()
"""
APP = """import asyncio
from fastapi import Depends, FastAPI
from base import PaymentProvider
from registry import get_payment_provider
app = FastAPI()
class Orchestrator:
    def __init__(self, db, provider: PaymentProvider = None):
        self.db = db
        self.provider = provider or get_payment_provider()
    async def record(self, customer, pages, name):
        TELL
@app.post("/pages")
async def pages(user=Depends(current_user)):
    text = await convert(user)
    await Orchestrator(None).record(user.customer, len(text), user.job)
    return {"text": text}
"""
TOLD = "self.provider.create_usage_event(customer, pages, name)"


def _tree(told: str, kind: str = "PaymentProvider") -> Tree:
    return {
        "requirements.txt": "fastapi\nstripe\n",
        "base.py": BASE,
        "stripes.py": STRIPE,
        "registry.py": REGISTRY.replace("TYPE", kind),
        "main.py": APP.replace("TELL", told),
    }


@pytest.mark.parametrize("kind", ["PaymentProvider", '"PaymentProvider"', "Optional[PaymentProvider]"])
def test_what_a_registry_gives_reports(tmp_path: Path, kind: str) -> None:
    """Awaited it is right; as a task that nobody waits for it is not."""
    assert audited(tmp_path / "good", _tree(f"await {TOLD}", kind)).verdict is Verdict.PASS
    bad = audited(tmp_path / "bad", _tree(f"asyncio.create_task({TOLD})", kind))
    assert codes(bad) == {"fire_and_forget"}


SCRIPT = """import Stripe from "stripe";
export abstract class Provider { abstract tellUsage(customer: string, pages: number, id: string): Promise<void>; }
export class StripeProvider extends Provider {
  private stripe = new Stripe(process.env.STRIPE_KEY!);
  async tellUsage(customer: string, pages: number, id: string) {
    await this.stripe.billing.meterEvents.create({ event_name: "pages", identifier: id, payload: { stripe_customer_id: customer, value: String(pages) } });
  }
}
export class OtherProvider extends Provider {
  async tellUsage(customer: string, pages: number, id: string) { await elsewhere(customer, pages, id); }
}
"""
CHOICE = """import { Provider } from "./providers";
const kept = new Map<string, Provider>();
export function provide(name: string, made: Provider) { kept.set(name, made); }
export async function providerOf(name: string): Promise<Provider> {
  const found = kept.get(name);
  if (!found) throw new Error(name);
  return found;
}
"""
SERVER = """import express from "express";
import { provide, providerOf } from "./choice";
import { OtherProvider, StripeProvider } from "./providers";
provide("stripe", new StripeProvider());
provide("other", new OtherProvider());
const app = express();
app.post("/pages", requireUser, async (req, res) => {
  const pages = await readPages(req.user);
  const provider = await providerOf(req.user.plan.provider);
  TELL
  res.json({ pages });
});
app.listen(3000);
"""


def test_the_same_in_typescript(tmp_path: Path) -> None:
    """By the type that the promise is of."""
    told = "await provider.tellUsage(req.user.customer, pages.length, req.user.job);"
    tree = {"package.json": '{"dependencies": {"express": "4", "stripe": "18.0.0"}}', "src/providers.ts": SCRIPT, "src/choice.ts": CHOICE}  # fmt: skip
    good = {**tree, "src/server.ts": SERVER.replace("TELL", told)}
    lost = {**tree, "src/server.ts": SERVER.replace("TELL", f"try {{ {told} }} catch (problem) {{ console.error(problem); }}")}  # fmt: skip
    assert audited(tmp_path / "good", good).verdict is Verdict.PASS
    assert codes(audited(tmp_path / "lost", lost)) == {"errors_swallowed"}


def test_without_a_type_nothing_is_followed(tmp_path: Path) -> None:
    """Two classes have a method of that name, and nothing tells which is meant."""
    tree = _tree(f"await {TOLD}", "object")
    tree["registry.py"] = tree["registry.py"].replace("-> PaymentProvider", "-> object")
    tree["main.py"] = tree["main.py"].replace("provider: PaymentProvider = None", "provider=None")
    assert audited(tmp_path, tree).verdict is not Verdict.PASS
