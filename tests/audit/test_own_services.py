# ruff: noqa: E501
"""Usage that is told to a billing service of the seller's own, whose code stands elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

LIBRARY = """const BILLING_API_URL = process.env.BILLING_API_URL || "http://billing";
export async function tellBilling(customerId: string, tokens: number) {
  const answer = await fetch(`${BILLING_API_URL}/api/customers/${customerId}/PATH`, {
    method: "POST", headers: { Authorization: `Bearer ${process.env.BILLING_API_KEY}` }, body: JSON.stringify({ tokens }) });
  if (!answer.ok) throw new Error("refused");
}
"""
ROUTE = """import { tellBilling } from "@/lib/billing";
import { auth } from "@/lib/auth";
import OpenAI from "openai";
const openai = new OpenAI();
export async function POST(req: Request) {
  const session = await auth();
  const { text } = await req.json();
  const out = await openai.chat.completions.create({ model: "m", messages: [{ role: "user", content: text }] });
  TELL
  return Response.json(out);
}
"""
TELL = "await tellBilling(session.user.customerId, out.usage.total_tokens);"
LOST = f"try {{ {TELL} }} catch (problem) {{ console.error(problem); }}"
PRICES = (
    "export default function Pricing() { return <p>Extra usage is billed at $2 per 1,000 tokens.</p>; }\n"
)


def _tree(told: str, path: str = "log-usage", prices: str = PRICES) -> Tree:
    return {
        "package.json": '{"dependencies": {"next": "15", "openai": "4"}}',
        "tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["./*"]}}}',
        "lib/auth.ts": "export async function auth() { return await readVerifiedCookie(); }\n",
        "lib/billing.ts": LIBRARY.replace("PATH", path),
        "app/api/chat/route.ts": ROUTE.replace("TELL", told),
        "app/pricing/page.tsx": prices,
    }


@pytest.mark.parametrize("path", ["log-usage", "usage/ingest", "usage-events", "usage"])
def test_what_is_told_to_an_own_service_is_a_report(tmp_path: Path, path: str) -> None:
    """As at any provider: told and heard is right, told and forgotten is not."""
    assert audited(tmp_path / "good", _tree(TELL, path)).verdict is Verdict.PASS
    assert codes(audited(tmp_path / "bad", _tree(LOST, path))) == {"errors_swallowed"}


@pytest.mark.parametrize(
    ("path", "prices"),
    [("log-usage", "export default function Pricing() { return <p>Pro is $20 a month.</p>; }\n"), ("portal-session", PRICES)],
)  # fmt: skip
def test_without_a_price_or_a_report_nothing_is_said_of_it(tmp_path: Path, path: str, prices: str) -> None:
    """A plan with credits may keep its counters at such a service; what opens a page of payments reports nothing."""
    report = audited(tmp_path, _tree(LOST, path, prices))
    assert not {"errors_swallowed"} & codes(report)
    assert "own-service" not in report.providers


CLIENT = """import { BillingClient } from "@seller/platform";
const client = new BillingClient(process.env.BILLING_API_URL);
export async function tellBilling(organizationId: string, costInCents: number) {
  try {
    return await client.reportRunUsage({ organizationId, costInCents });
  } catch (problem) {
    console.error(problem);
  }
}
"""


def test_a_client_that_is_told_the_cost_reports(tmp_path: Path) -> None:
    """Money for what was used, at a package from outside."""
    tree = {**_tree(TELL, prices="export const nothing = 1;\n"), "lib/billing.ts": CLIENT}
    assert codes(audited(tmp_path, tree)) == {"errors_swallowed"}


def test_a_class_of_the_tree_is_no_such_client(tmp_path: Path) -> None:
    """What it does can be read there."""
    own = """export class BillingClient {
  async reportRunUsage(run: { organizationId: string; costInCents: number }) {
    console.info(run.costInCents);
  }
}
"""
    tree = {
        **_tree(TELL, prices="export const nothing = 1;\n"),
        "lib/billing.ts": CLIENT.replace("@seller/platform", "./client"),
        "lib/client.ts": own,
    }
    assert audited(tmp_path, tree).verdict is Verdict.SKIP
