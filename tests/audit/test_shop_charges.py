# ruff: noqa: E501
"""Usage charges of a shop's application: the statement under any name, and pages whose loaders run on the server."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

PACKAGE = '{"dependencies": {"@remix-run/node": "2", "@shopify/shopify-app-remix": "3", "react": "18"}}'
STATEMENT = "`mutation Charge($price: MoneyInput!, $id: ID!) { appUsageRecordCreate(price: $price, subscriptionLineItemId: $id) { userErrors { message } } }`"
OTHER = "`mutation Create($name: String!) { appSubscriptionCreate(name: $name) { userErrors { message } } }`"
ASKED = "`query Seen($id: ID!) { node(id: $id) { ... on AppUsageRecord { id createdAt } } }`"
BILLING = "import { db } from './db.server';\nexport async function charge(call) {\n  const NAME = STATEMENT;\n  const shop = await db.shop.findUnique({ where: { id: call.shopId } });\n  const minutes = Math.ceil(call.seconds / 60);\n  const answer = await graphqlShop(shop.domain, NAME, { price: { amount: minutes * 0.2, currencyCode: 'EUR' }, id: shop.lineItemId });\n  if (answer.errors) throw new Error('refused');\n}\n"
HOOK = "import { charge } from '../lib/billing.server';\nimport { db } from '../lib/db.server';\nexport const action = async ({ request }) => {\n  verifySecret(request);\n  const call = await db.call.findFirst({ where: { open: true } });\n  CHARGED\n  return new Response('OK');\n};\n"
CAUGHT = "try { await charge(call); } catch (e) { console.error(e); }"


@pytest.mark.parametrize("name", ["m", "gql", "CHARGE_MUTATION", "query"])
@pytest.mark.parametrize(
    ("charged", "wanted"), [("await charge(call);", set()), (CAUGHT, {"errors_swallowed"})]
)
def test_a_statement_is_known_under_any_name(
    tmp_path: Path, name: str, charged: str, wanted: set[str]
) -> None:
    billing = BILLING.replace("NAME", name).replace("STATEMENT", STATEMENT)
    files = {
        "package.json": PACKAGE,
        "app/lib/billing.server.ts": billing,
        "app/routes/webhooks.calls.tsx": HOOK.replace("CHARGED", charged),
    }
    report = audited(tmp_path, files)
    assert codes(report) == wanted
    assert report.verdict == ("fail" if wanted else "pass")


@pytest.mark.parametrize("statement", [OTHER, ASKED])
def test_another_statement_is_no_charge(tmp_path: Path, statement: str) -> None:
    files = {
        "package.json": PACKAGE,
        "app/lib/billing.server.ts": BILLING.replace("NAME", "query").replace("STATEMENT", statement),
        "app/routes/webhooks.calls.tsx": HOOK.replace("CHARGED", CAUGHT),
    }
    assert audited(tmp_path, files).verdict == "skip"


def test_statements_of_one_name_in_one_file_stay_apart(tmp_path: Path) -> None:
    second = (
        BILLING.replace("charge(call)", "start(call)").replace("NAME", "mutation").replace("STATEMENT", OTHER)
    )
    billing = BILLING.replace("NAME", "mutation").replace("STATEMENT", STATEMENT) + second.partition("\n")[2]
    hook = HOOK.replace("{ charge }", "{ charge, start }").replace(
        "CHARGED", "await charge(call);\n  try { await start(call); } catch (e) { console.error(e); }"
    )
    files = {
        "package.json": PACKAGE,
        "app/lib/billing.server.ts": billing,
        "app/routes/webhooks.calls.tsx": hook,
    }
    assert codes(audited(tmp_path, files)) == set()


PAGE = "import { useState } from 'react';\nimport { charge } from '../lib/billing.server';\nimport { authenticate } from '../shopify.server';\nimport { db } from '../lib/db.server';\nPART\nexport default function Calls() { const [open, setOpen] = useState(false); return <main>{String(open)}</main>; }\n"
SERVED = "export const action = async ({ request }) => {\n  const { session } = await authenticate.admin(request);\n  const call = await db.call.create({ data: await ring(session.shop) });\n  await charge(call);\n  return null;\n};"
BROWSER = "export function Ring({ call }) { return <button onClick={async () => { await charge(call); }}>Ring</button>; }"


@pytest.mark.parametrize(("part", "wanted"), [(SERVED, set()), (BROWSER, {"client_side_only"})])
def test_a_loader_beside_a_page_runs_on_the_server(tmp_path: Path, part: str, wanted: set[str]) -> None:
    billing = BILLING.replace("NAME", "mutation").replace("STATEMENT", STATEMENT)
    report = audited(
        tmp_path,
        {
            "package.json": PACKAGE,
            "app/lib/billing.server.ts": billing,
            "app/routes/app.calls.tsx": PAGE.replace("PART", part),
        },
    )
    assert codes(report) == wanted


SENT = "import { USED } from FROM;\nimport { db } from './db.server';\nexport async function charge(call, graphqlClient) {\n  const shop = await db.shop.findUnique({ where: { id: call.shopId } });\n  const minutes = Math.ceil(call.seconds / 60);\n  const res = await graphqlClient.query({ data: { query: STATEMENT, variables: { price: { amount: minutes * 0.2, currencyCode: 'EUR' }, id: shop.lineItemId } } });\n  LOOKED\n}\n"
THROWN = "if (res.body.data.appUsageRecordCreate.userErrors.length > 0) throw new Error('refused');"
NOTED = "const refused = res.body.data.appUsageRecordCreate.userErrors;\n  if (refused.length) {\n    console.error(refused);\n  }"
PLACES = {
    "a constant": ("createUsage", "createUsage", "'../graphql/statements'", "export const createUsage = STATEMENT;\n"),
    "a tag": ("CREATE", "CREATE", "'../graphql/statements'", "export const CREATE = gql(STATEMENT);\n"),
    "an object": ("SAID", "SAID.usage", "'../graphql/statements'", "export const SAID = { usage: STATEMENT };\n"),
    "through an index": ("createUsage", "createUsage", "'../graphql'", "export const createUsage = STATEMENT;\n"),
}  # fmt: skip


def elsewhere(place: str, statement: str, looked: str, charged: str) -> dict[str, str]:
    used, name, source, kept = PLACES[place]
    sent = SENT.replace("USED", used).replace("FROM", source).replace("STATEMENT", name)
    return {
        "package.json": PACKAGE,
        "app/graphql/statements.ts": kept.replace("STATEMENT", statement),
        "app/graphql/index.ts": "export * from './statements';\n",
        "app/lib/billing.server.ts": sent.replace("LOOKED", looked),
        "app/routes/webhooks.calls.tsx": HOOK.replace("CHARGED", charged),
    }


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("looked", "charged", "wanted"),
    [
        (THROWN, "await charge(call, client);", set()),
        (NOTED, "await charge(call, client);", {"errors_swallowed"}),
        (THROWN, CAUGHT.replace("charge(call)", "charge(call, client)"), {"errors_swallowed"}),
    ],
)
def test_a_statement_of_another_file_is_sent_here(
    tmp_path: Path, place: str, looked: str, charged: str, wanted: set[str]
) -> None:
    report = audited(tmp_path, elsewhere(place, STATEMENT, looked, charged))
    assert codes(report) == wanted
    assert report.verdict == ("fail" if wanted else "pass")


@pytest.mark.parametrize("statement", [OTHER, ASKED])
def test_another_statement_of_another_file_is_no_charge(tmp_path: Path, statement: str) -> None:
    tree = elsewhere("a constant", statement, NOTED, "await charge(call, client);")
    assert audited(tmp_path, tree).verdict == "skip"
