# ruff: noqa: E501
"""Ways whose start was not followed to a request, and failures that are noted first and raised at the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

SEND = "await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: row.id, payload: { stripe_customer_id: row.customer, value: String(row.n) } });"
HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
CRON = '{"crons": [{"path": "/api/cron/send", "schedule": "*/5 * * * *"}]}'
EVENT = "stripe.billing.MeterEvent.create(event_name='c', identifier=invoice['id'], timestamp=invoice['period_end'], payload={'stripe_customer_id': invoice['customer'], 'value': minutes(invoice)})"
HOOK = f"""import stripe

class Webhooks:
    def dispatch(self, kind, data):
        handler = {{
            "invoice.created": self._created,
        }}.get(kind)
        return handler(data) if handler else None

    def _created(self, invoice):
        try:
            {EVENT}
        except Exception as problem:
            FATE
"""


@pytest.mark.parametrize(
    ("fate", "wanted"), [("log.warning('%s', problem)", {"errors_swallowed"}), ("raise", set())]
)
def test_a_method_that_a_table_of_events_names_is_live(tmp_path: Path, fate: str, wanted: set[str]) -> None:
    """`{"invoice.created": self._created}.get(kind)` starts it."""
    report = audited(tmp_path, {"hooks.py": HOOK.replace("FATE", fate)})
    assert codes(report) == wanted
    assert report.verdict == ("fail" if wanted else "pass")


BATCH = f"""{HEAD}import {{ MAKER }} from '@acme/tools';
export class Billing {{
  constructor() {{
    this.out = new MAKER({{ process: async (rows) => {{ for (const row of rows) {{ {SEND} }} }}, OPTION: 5000 }});
  }}
}}
"""
STARTED = "import { Billing } from './billing';\nregistry.provide(Billing);\n"


@pytest.mark.parametrize(
    ("maker", "option", "wanted"),
    [("Batcher", "flushIntervalMs", {"fire_and_forget"}), ("Sender", "timeoutMs", set())],
)
def test_a_batcher_keeps_usage_in_memory(tmp_path: Path, maker: str, option: str, wanted: set[str]) -> None:
    """What is handed to a batcher waits in the process until its interval is over."""
    source = BATCH.replace("MAKER", maker).replace("OPTION", option)
    report = audited(tmp_path, {"src/billing.ts": source, "src/main.ts": STARTED})
    assert codes(report) == wanted | {"never_reported"}, "how it is started was not followed"
    assert all(one.confidence != "high" for one in report.findings)


LOOP = f"""{HEAD}export async function GET() {{
  const rows = await db.usage.take();
  const errors = [];
  for (const row of rows) {{
    try {{ {SEND} }} catch (error) {{ errors.push(error); }}
  }}
  END
  return Response.json({{ sent: rows.length }});
}}
"""
ENDS = {
    "if (errors.length > 0) {\n    throw new AggregateError(errors);\n  }": set(),
    "console.error('failed', errors.length);": {"errors_swallowed"},
}


@pytest.mark.parametrize("end", ENDS)
def test_failures_that_are_gathered_are_raised_at_the_end(tmp_path: Path, end: str) -> None:
    """A loop tries every row before it fails; one that only counts the failures loses them."""
    tree: Tree = {"app/api/send/route.ts": LOOP.replace("END", end).replace("GET", "POST")}
    assert codes(audited(tmp_path, tree)) == ENDS[end]


GO = """package main

func Push(rows []Row) error {
	var failures []error
	for _, row := range rows {
		_, err := client.V1BillingMeterEvents.Create(ctx, &stripe.BillingMeterEventCreateParams{Identifier: row.ID, Value: row.N})
		if err != nil {
			failures = append(failures, err)
			continue
		}
	}
	END
}

func handle(w http.ResponseWriter, r *http.Request) {
	if err := Push(load()); err != nil {
		http.Error(w, "later", http.StatusBadGateway)
	}
}

func main() { http.HandleFunc("/work", handle) }
"""


@pytest.mark.parametrize(
    ("end", "wanted"), [("return errors.Join(failures...)", set()), ("return nil", {"errors_swallowed"})]
)
def test_errors_that_are_joined_are_returned(tmp_path: Path, end: str, wanted: set[str]) -> None:
    """The same in Go, where an error is an answer."""
    assert codes(audited(tmp_path, {"main.go": GO.replace("END", end)})) == wanted


CHECKED = """import stripe
async def send(n):
    try:
        sent = await report(n)
    finally:
        release()
    if not sent:
        raise Lost(n)

async def report(n):
    try:
        await stripe.billing.MeterEvent.create_async(event_name='c', identifier=n.id, payload={'stripe_customer_id': n.customer, 'value': n.size})
    except Exception:
        return False
    return True

@app.post('/work')
async def work(request):
    n = await do()
    await send(n)
"""


def test_an_answer_that_is_looked_at_behind_a_block_is_heeded(tmp_path: Path) -> None:
    """A function goes on after the block in which its answer was made."""
    assert codes(audited(tmp_path / "right", {"app.py": CHECKED})) == set()
    wrong = CHECKED.replace("if not sent:\n        raise Lost(n)", "log(n)")
    assert codes(audited(tmp_path / "wrong", {"app.py": wrong})) == {"errors_swallowed"}


SERVER = """import asyncio, stripe
from fastapi import FastAPI

async def send_rows():
    for row in await rows_to_send(sent_at=None):
        await stripe.billing.MeterEvent.create_async(event_name='c', identifier=row.id, payload={'stripe_customer_id': row.customer, 'value': row.n})

async def loop():
    while True:
        await send_rows()
        await asyncio.sleep(600)

def create_app():
    asyncio.create_task(loop())
    return FastAPI()

app = create_app()
"""
NIGHTLY = "on:\n  schedule:\n    - cron: '0 9 * * *'\njobs:\n  a:\n    if: github.repository == 'acme/acme'\n    steps:\n      - run: RUN\n"


@pytest.mark.parametrize(
    ("run", "wanted"), [("make catalogue", set()), ("python acme/serve.py", {"scheduled_reporting"})]
)
def test_a_workflow_starts_what_its_commands_name(tmp_path: Path, run: str, wanted: set[str]) -> None:
    """The repository's own name in a document starts no program; a loop keeps its own time."""
    source = (
        SERVER if not wanted else SERVER.replace("asyncio.create_task(loop())", "asyncio.run(send_rows())")
    )
    tree = {".github/workflows/n.yml": NIGHTLY.replace("RUN", run), "acme/serve.py": source}
    assert codes(audited(tmp_path, tree)) == wanted


TRACKED = """import { Autumn } from '@useautumn/convex';
export const generate = action({ args: {}, handler: async (ctx) => {
  try {
    const { text } = await generateText({ model });
    const { error: trackError } = await autumn.track(ctx, { featureId: 'words', value: 1 });
    if (trackError) HEED
    return text;
  } catch (error) {
    return { ok: false, status: 500 };
  }
} });
"""


@pytest.mark.parametrize(
    ("heed", "wanted"),
    [
        ("{ console.error('not tracked', trackError); }", {"errors_swallowed"}),
        ("throw new Error(trackError.message);", set()),
    ],
)
def test_a_kit_that_answers_its_refusal(tmp_path: Path, heed: str, wanted: set[str]) -> None:
    """`{ error }` is looked at, or only logged; the catch around it never sees it."""
    assert codes(audited(tmp_path, {"convex/words.ts": TRACKED.replace("HEED", heed)})) == wanted


HOOKED = """import { useState } from 'react';
import { useCustomer } from 'autumn-js/react';
export default function Chat() {
  const [text, setText] = useState('');
  const { track } = useCustomer();
  const send = async () => { await track({ featureId: 'messages' }); setText(''); };
  return <button onClick={send}>Send</button>;
}
"""


def test_hooks_run_in_the_browser(tmp_path: Path) -> None:
    """Also without the directive, which a part of a page need not repeat."""
    assert codes(audited(tmp_path, {"src/components/chat.tsx": HOOKED})) == {"client_side_only"}
