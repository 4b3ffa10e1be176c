# ruff: noqa: E501
"""What a kit is given: lists that are made one by one, keys of its own, and clients that are told apart by their kit."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

EACH = """import Metronome from '@metronome/sdk';
const client = new Metronome({ bearerToken: process.env.METRONOME_BEARER_TOKEN });
export async function report({ customer, fields }) {
  const who = customer;
  LINES
}
"""
ROW = "({ event_type: 'chat', transaction_id: one.id, customer_id: who, properties: { tokens: one.value } })"
LISTS = [
    f"const usage = fields.map((one) => {ROW});\n  await client.v1.usage.ingest({{ usage }});",
    f"await client.v1.usage.ingest({{ usage: fields.map((one) => {ROW}) }});",
    f"const usage = fields.map((one) => {ROW.replace('who', 'one.customer')});\n  await client.v1.usage.ingest({{ usage }});",
]
ASKED = """import { report } from '@/lib/meter';
import { auth } from '@/lib/auth';
export async function POST(request: Request) {
  const { customer, prompt } = await request.json();
  const session = await auth();
  const answer = await openai.responses.create({ model: 'm', input: prompt });
  await report({ customer: WHO, fields: [{ id: answer.id, customer: WHO, value: answer.usage.total_tokens }] });
  return Response.json(answer);
}
"""
PATHS = '{"compilerOptions": {"paths": {"@/*": ["./*"]}}}'


@pytest.mark.parametrize("number", range(len(LISTS)))
def test_a_list_that_is_made_one_by_one_is_read(tmp_path: Path, number: int) -> None:
    for who, wanted in (("customer", {"client_supplied_customer"}), ("session.user.customer", set())):
        tree = {
            "tsconfig.json": PATHS,
            "lib/meter.ts": EACH.replace("LINES", LISTS[number]),
            "app/api/chat/route.ts": ASKED.replace("WHO", who),
        }
        assert codes(audited(tmp_path / str(len(wanted)), tree)) == wanted, who


def test_what_one_of_a_list_is_called_hides_what_is_called_so_around_it(tmp_path: Path) -> None:
    """`customer` inside is one of the rows, not the argument of the same name."""
    lines = (
        "const rows = await db.usage.findMany();\n"
        "  await client.v1.usage.ingest({ usage: rows.map((customer, index) => ({ transaction_id: `${index}-${customer.id}`,"
        " customer_id: customer.account.toString(), properties: { tokens: customer.tokens } })) });"
    )
    tree = {
        "tsconfig.json": PATHS,
        "lib/meter.ts": EACH.replace("LINES", lines),
        "app/api/chat/route.ts": ASKED.replace("WHO", "customer"),
    }
    assert "client_supplied_customer" not in codes(audited(tmp_path, tree))


KEYED = """import DodoPayments from 'dodopayments';
export async function report(customer: string, id: string) {
  const client = new DodoPayments({ bearerToken: process.env.KEY_NAME });
  await client.usageEvents.ingest({ events: [{ customer_id: customer, event_id: id, event_name: 'call' }] });
}
"""
TOLD = """import { report } from '@/lib/meter';
export async function POST(request: Request) {
  GUARD
  const { customer, prompt } = await request.json();
  const answer = await openai.responses.create({ model: 'm', input: prompt });
  await report(customer, answer.id);
  return Response.json(answer);
}
"""
GUARDS = {
    "": {"client_supplied_customer"},
    "if (request.headers.get('authorization') !== `Bearer ${process.env.INTERNAL_API_KEY}`) return new Response('', { status: 401 });": set(),
}


@pytest.mark.parametrize("key", ["DODO_PAYMENTS_API_KEY", "BILLING_API_KEY"])
@pytest.mark.parametrize("guard", GUARDS)
def test_a_key_that_a_kit_is_given_guards_nothing(tmp_path: Path, guard: str, key: str) -> None:
    tree = {
        "tsconfig.json": PATHS,
        "lib/meter.ts": KEYED.replace("KEY_NAME", key),
        "app/api/chat/route.ts": TOLD.replace("GUARD", guard),
    }
    assert codes(audited(tmp_path, tree)) == GUARDS[guard]


PAGE = """'use client';
import { HOOK } from 'KIT';
export function Search() {
  const { track } = HOOK();
  const search = async (place: string) => {
    track({ event: 'search' });
    setAnswer(await (await fetch(`/api/search?place=${place}`)).json());
  };
  return <input onChange={(event) => search(event.target.value)} />;
}
"""


@pytest.mark.parametrize(
    ("kit", "hook", "wanted"),
    [
        ("@schematichq/schematic-react", "useSchematicEvents", {"client_side_only"}),
        ("@segment/analytics-react", "useAnalytics", set()),
    ],
)
def test_schematic_is_told_of_usage_by_a_page(tmp_path: Path, kit: str, hook: str, wanted: set[str]) -> None:
    tree = {"src/components/Search.tsx": PAGE.replace("HOOK", hook).replace("KIT", kit)}
    assert codes(audited(tmp_path, tree)) == wanted


SERVED = """import { KIT } from 'SOURCE';
const client = new KIT({ apiKey: process.env.KIT_KEY });
app.post('/run', requireUser, async (req, res) => {
  const answer = await openai.responses.create({ model: 'm', input: req.body.prompt });
  await client.track({ event: 'tokens', company: { id: req.user.company }, quantity: COUNT });
  res.json(answer);
});
"""


def test_schematic_is_told_of_usage_by_a_server(tmp_path: Path) -> None:
    for number, (kit, source, count, wanted) in enumerate(
        (
            ("SchematicClient", "@schematichq/schematic-typescript-node", "answer.usage.total_tokens", set()),
            (
                "SchematicClient",
                "@schematichq/schematic-typescript-node",
                "req.body.tokens",
                {"client_supplied_quantity"},
            ),
            ("Analytics", "@segment/analytics-node", "req.body.tokens", set()),
        )
    ):
        text = SERVED.replace("KIT", kit).replace("SOURCE", source).replace("COUNT", count)
        assert codes(audited(tmp_path / str(number), {"server.ts": text})) == wanted, (kit, count)


def test_a_function_of_polars_own_reports(tmp_path: Path) -> None:
    text = """import { PolarCore } from '@polar-sh/sdk/core.js';
import { eventsIngest } from '@polar-sh/sdk/funcs/eventsIngest.js';
const polar = new PolarCore({ accessToken: process.env.POLAR_ACCESS_TOKEN });
app.post('/run', requireUser, async (req, res) => {
  const answer = await openai.responses.create({ model: 'm', input: req.body.prompt });
  await eventsIngest(polar, { events: [{ name: 'tokens', externalId: answer.id, externalCustomerId: req.user.id, metadata: { tokens: COUNT } }] });
  res.json(answer);
});
"""
    for count, wanted in (
        ("answer.usage.total_tokens", set()),
        ("req.body.tokens", {"client_supplied_quantity"}),
    ):
        tree = {"server.ts": text.replace("COUNT", count)}
        assert codes(audited(tmp_path / str(len(wanted)), tree)) == wanted
