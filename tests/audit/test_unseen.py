# ruff: noqa: E501
"""What repositories that no rule was developed against got wrong: the small right and the small wrong of each."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
EVENT = (
    "{ event_name: 'calls', identifier: id, payload: { stripe_customer_id: customer, value: String(count) } }"
)
REPORT = f"{HEAD}export async function report(customer, count, id) {{ BODY }}\n"
ROUTE = "import { report } from './report';\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  await report(req.user.customer, answer.usage.total_tokens, answer.id);\n  res.json(answer);\n});\n"
CATCHES = {
    "// Log, but don't throw: the user has their answer.\n console.error(e);": {"errors_swallowed"},
    "/* never rethrow, no retry */ console.error(e);": {"errors_swallowed"},
    "console.error(e); // see https://example.com/errors\n throw e;": set(),
}


@pytest.mark.parametrize("caught", CATCHES)
def test_what_a_catch_does_and_not_what_its_remarks_say(tmp_path: Path, caught: str) -> None:
    body = f"try {{ await stripe.billing.meterEvents.create({EVENT}); }} catch (e) {{\n {caught}\n}}"
    tree = {"report.ts": REPORT.replace("BODY", body), "server.ts": ROUTE}
    assert codes(audited(tmp_path, tree)) == CATCHES[caught]


def test_a_product_of_numbers_is_no_clock(tmp_path: Path) -> None:
    """`- 24 * 60 * 60 * 1000` has five fields as well; a program's header that says when it runs has hours."""
    worker = f"{HEAD}LINE\nstart(async () => {{ for (const one of await rows()) await report(one); }});\nasync function report({{ customer, count, id }}) {{ await stripe.billing.meterEvents.create({EVENT}); }}\n"
    for line, wanted in (
        ("const since = Date.now() - 24 * 60 * 60 * 1000;", set()),
        ("const month = 30 * 24 * 60 * 60 * 1000;", set()),
        ("// Cron: 30 2 * * * node worker.js", {"scheduled_reporting"}),
    ):
        tree = {"worker.ts": worker.replace("LINE", line)}
        assert codes(audited(tmp_path / str(len(line)), tree)) == wanted, line


def test_a_script_that_tries_the_reporter_is_a_test(tmp_path: Path) -> None:
    body = f"await stripe.billing.meterEvents.create({EVENT});"
    tree = {"report.ts": REPORT.replace("BODY", body), "server.ts": ROUTE}
    tried = "import { report } from './report';\nasync function main() { try { await report(await nextCustomer(), 1, 'i'); } catch (e) { console.error(e); } }\nmain();\n"
    assert codes(audited(tmp_path / "test", {**tree, "test-report.ts": tried})) == set()
    assert codes(audited(tmp_path / "tool", {**tree, "contest.ts": tried})) == {"errors_swallowed"}


API = """import asyncio
import stripe
from typing import Annotated
from fastapi import Depends, FastAPI
app = FastAPI()

async def send(customer, count):
    await stripe.billing.MeterEvent.create_async(event_name="calls", identifier=new_id(), payload={"stripe_customer_id": customer, "value": str(count)})

def credits(cost: int):
    async def taken(user=Depends(current_user)):
        SEND
        return user
    return taken

async def counted(user=Depends(current_user)):
    cost = 1
    SEND
    return user

"""
ASKING = {
    "a factory": '@app.get("/search")\nasync def search(user=Depends(credits(2))):\n    return find(user)\n',
    "a function": '@app.get("/search")\nasync def search(user=Depends(counted)):\n    return find(user)\n',
    "an annotation": '@app.get("/search")\nasync def search(user: Annotated[dict, Depends(credits(2))]):\n    return find(user)\n',
    "a decorator": '@app.get("/search", dependencies=[Depends(credits(2))])\nasync def search():\n    return find()\n',
    "one more step": 'async def member(user=Depends(credits(2))):\n    return user\n\n@app.get("/search")\nasync def search(user=Depends(member)):\n    return find(user)\n',
}


@pytest.mark.parametrize("how", ASKING)
def test_a_dependency_runs_for_its_route(tmp_path: Path, how: str) -> None:
    awaited = API.replace("SEND", "await send(user.customer_id, cost)") + ASKING[how]
    report = audited(tmp_path / "right", {"main.py": awaited})
    assert report.verdict is Verdict.PASS, (report.findings, report.endpoints)
    left = API.replace("SEND", "asyncio.create_task(send(user.customer_id, cost))") + ASKING[how]
    assert codes(audited(tmp_path / "wrong", {"main.py": left})) == {"fire_and_forget"}


LOOP = f"""{HEAD}const EVERY_MS = EVERY;
export class Meter {{
  start() {{ this.timer = setInterval(() => {{ this.all().catch((e) => log.warn('cycle', e)); }}, EVERY_MS); }}
  async all() {{
    for (const {{ id, customer, count }} of this.db.query('SELECT id, customer, count FROM usage_rows WHERE reported = 0').all()) {{
      try {{
        await stripe.billing.meterEvents.create({EVENT});
        this.db.query('UPDATE usage_rows SET reported = 1 WHERE id = ?').run(id);
      }} catch (e) {{ log.warn('later', e); }}
    }}
  }}
}}
new Meter().start();
"""
KEEP = "export class Ledger {\n  keepUsage(customer, count) { this.db.query('INSERT INTO usage_rows (customer_id, count) VALUES (?, ?)').run(customer, count); }\n}\n"
RUN = "import { Ledger } from './ledger';\nconst ledger = new Ledger();\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  ledger.keepUsage(req.user.customer, answer.usage.total_tokens);\n  res.json(answer);\n});\n"


@pytest.mark.parametrize(("every", "wanted"), [("60_000", set()), ("86_400_000", {"scheduled_reporting"})])
def test_a_timer_whose_length_has_a_name(tmp_path: Path, every: str, wanted: set[str]) -> None:
    """A quick timer that leaves failed rows unsent loses nothing; a slow one is too late."""
    tree = {"meter.ts": LOOP.replace("EVERY;", f"{every};"), "ledger.ts": KEEP, "server.ts": RUN}
    found = codes(audited(tmp_path, tree))
    assert wanted <= found if wanted else not found


def test_a_job_that_sends_what_nothing_stores(tmp_path: Path) -> None:
    """The ledger's method is there; no route calls it."""
    tree = {"meter.ts": LOOP.replace("EVERY;", "60_000;"), "ledger.ts": KEEP}
    idle = RUN.replace("  ledger.keepUsage(req.user.customer, answer.usage.total_tokens);\n", "")
    assert codes(audited(tmp_path, {**tree, "server.ts": idle})) == {"never_reported"}


def test_a_stand_in_beside_the_real_provider(tmp_path: Path) -> None:
    real = f"{HEAD}export class StripeProvider {{ async reportUsage(customer, count, id) {{ await stripe.billing.meterEvents.create({EVENT}); }} }}\n"
    none = "export class NoopProvider { async reportUsage(customer, count, id) { return; } }\n"
    route = ROUTE.replace("import { report } from './report';\n", "import { provider } from './chosen';\n")
    route = route.replace("await report(", "await context.billing.reportUsage(")
    chosen = "import { StripeProvider } from './real';\nimport { NoopProvider } from './none';\nexport const provider = process.env.KEY ? new StripeProvider() : new NoopProvider();\n"
    report = audited(tmp_path, {"real.ts": real, "none.ts": none, "chosen.ts": chosen, "server.ts": route})
    assert report.verdict is Verdict.PASS, (report.findings, report.endpoints)


ADAPTERS = {
    "package.json": '{"dependencies": {"stripe": "18.0.0", "express": "4.0.0"}}',
    "meters/stripe.ts": (
        "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.STRIPE_KEY!);\n"
        "export class StripeAdapter {\n  async report(rows) {\n"
        "    SETTLE\n"
        "    return settled.filter((one) => one.status === 'fulfilled');\n  }\n}\n"
    ),
    "meters/none.ts": "export class NoopAdapter {\n  async report(rows) {\n    return [];\n  }\n}\n",
    "meters/index.ts": (
        "import { NoopAdapter } from './none';\nimport { StripeAdapter } from './stripe';\n"
        "export function getAdapter() {\n  if (process.env.METER === 'stripe') {\n    return new StripeAdapter();\n  }\n"
        "  return new NoopAdapter();\n}\n"
    ),
    "app.ts": (
        "import express from 'express';\nimport { getAdapter } from './meters';\nconst app = express();\n"
        "app.post('/generate', async (req, res) => {\n  const user = await getUser(req.session.userId);\n"
        "  const answer = await openai.responses.create({ model: 'm' });\n  TELL\n});\n"
    ),
}
SENT = (
    "await Promise.allSettled(rows.map((row) => stripe.billing.meterEvents.create({ event_name: 'tokens', "
    "identifier: row.id, payload: { stripe_customer_id: row.customer, value: String(row.tokens) } })));"
)
ROWS = "[{ id: answer.id, customer: user.customerId, tokens: answer.usage.total_tokens }]"


@pytest.mark.parametrize(
    ("settle", "tell", "named"),
    [
        (f"const settled = {SENT}", f"res.json(await getAdapter().report({ROWS}));", set()),
        (
            f"{SENT} const settled = [];",
            f"res.json(await getAdapter().report({ROWS}));",
            {"errors_swallowed"},
        ),
        (
            f"const settled = {SENT}",
            f"await getAdapter().report({ROWS});\n  res.json(1);",
            {"errors_swallowed"},
        ),
    ],
    ids=["looked at by who asks", "looked at by nobody", "handed back to nobody"],
)
def test_the_product_of_a_factory_and_what_was_settled(
    tmp_path: Path, settle: str, tell: str, named: set[str]
) -> None:
    """The class that a factory makes is followed, its stand-in is not; results that are kept are looked at."""
    tree = {path: text.replace("SETTLE", settle).replace("TELL", tell) for path, text in ADAPTERS.items()}
    report = audited(tmp_path, tree)
    assert [one.reports for one in report.endpoints] == [True]
    assert {one.code for one in report.findings if one.decides} == named
