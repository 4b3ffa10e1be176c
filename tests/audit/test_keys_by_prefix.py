# ruff: noqa: E501
"""Usage that is counted under keys whose beginning is kept under a name, and sent by the clock."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

METER = """import boto3
import redis
store = redis.Redis()
market = boto3.client("meteringmarketplace")
PREFIX = "seller:usage"
class Counters:
    KEYS = "seller:usage"
    def count_pages(self, tenant: str, quantity: int) -> None:
        name = f"{BEGIN}:{tenant}"
        store.incrby(name, quantity)
    def send_pages(self) -> None:
        for name in store.scan_iter(match=f"{BEGIN}:*"):
            pages = int(store.get(name))
            tenant = name.split(":")[2]
            try:
                market.batch_meter_usage(ProductCode="p", UsageRecords=[{"CustomerIdentifier": tenant, "Dimension": "pages", "Quantity": pages}])
            except Exception as problem:
                print(problem)
                continue
            store.decrby(name, pages)
"""
APP = """import asyncio
import logging
from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware
from counters import Counters
counters = Counters()
app = FastAPI()
class CountingMiddleware(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        answer = await call_next(request)
        COUNT
        return answer
app.add_middleware(CountingMiddleware)
@app.post("/pages")
async def pages():
    return {"text": await read()}
async def drain():
    while True:
        await asyncio.sleep(600)
        counters.send_pages()
@app.on_event("startup")
async def begin():
    asyncio.create_task(drain())
"""
COUNT = "counters.count_pages(request.state.tenant, int(answer.headers['x-pages']))"
LOST = f"""try:
            {COUNT}
        except Exception as problem:
            logging.error("not counted: %s", problem)"""


def _tree(count: str, begin: str) -> Tree:
    return {
        "requirements.txt": "fastapi\nboto3\nredis\n",
        "counters.py": METER.replace("BEGIN", begin),
        "main.py": APP.replace("COUNT", count),
    }


@pytest.mark.parametrize("begin", ["PREFIX", "self.KEYS", "Counters.KEYS"])
def test_what_is_not_counted_is_lost_however_well_the_counters_are_sent(tmp_path: Path, begin: str) -> None:
    """The key's beginning is known by its name; the count is a report, and its error is told or is not."""
    assert codes(audited(tmp_path / "bad", _tree(LOST, begin))) == {"errors_swallowed"}
    assert audited(tmp_path / "good", _tree(COUNT, begin)).verdict is Verdict.PASS


def test_counters_of_something_else_are_no_reports(tmp_path: Path) -> None:
    """What is kept under a key of another name is not what is sent."""
    tree = _tree(LOST, "PREFIX")
    other = 'name = f"{SEEN}:{tenant}"'
    text = tree["counters.py"].replace('name = f"{PREFIX}:{tenant}"', other)
    tree["counters.py"] = text.replace("PREFIX =", 'SEEN = "seller:visitors"\nPREFIX =', 1)
    assert "errors_swallowed" not in codes(audited(tmp_path, tree))


SCRIPT = """import { Redis } from "ioredis";
import Stripe from "stripe";
const redis = new Redis();
const stripe = new Stripe(process.env.STRIPE_KEY!);
const KEYS = { used: "usage:pages", seen: "visitors" };
export async function count(customer: string, pages: number) {
  await redis.incrby(`${KEYS.used}:${customer}`, pages);
}
export async function send() {
  for (const key of await redis.keys(`${KEYS.used}:*`)) {
    const pages = Number(await redis.get(key));
    await stripe.billing.meterEvents.create({ event_name: "pages", identifier: key + Date.now(), payload: { stripe_customer_id: key.split(":")[2], value: String(pages) } });
    await redis.decrby(key, pages);
  }
}
"""
SERVER = """import express from "express";
import cron from "node-cron";
import { count, send } from "./meter";
const app = express();
app.post("/pages", requireUser, async (req, res) => {
  const pages = await readPages(req.user);
  COUNT
  res.json({ pages });
});
cron.schedule("*/10 * * * *", send);
app.listen(3000);
"""


def test_a_member_of_a_table_begins_the_key(tmp_path: Path) -> None:
    """The same in TypeScript, by an object of constants."""
    told = "await count(req.user.customer, pages);"
    lost = "try { await count(req.user.customer, pages); } catch (problem) { console.error(problem); }"
    tree = {"package.json": '{"dependencies": {"express": "4", "stripe": "18.0.0"}}', "src/meter.ts": SCRIPT}
    good = {**tree, "src/server.ts": SERVER.replace("COUNT", told)}
    bad = {**tree, "src/server.ts": SERVER.replace("COUNT", lost)}
    assert audited(tmp_path / "good", good).verdict is Verdict.PASS
    assert codes(audited(tmp_path / "bad", bad)) == {"errors_swallowed"}
