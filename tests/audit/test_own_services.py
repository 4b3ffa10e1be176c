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


GATEWAY = """const GATEWAY = process.env.GATEWAY_URL;
export async function tellBilling(org: string, tokens: number) {
  const answer = await fetch(`ADDRESS`, {
    method: "POST", headers: { Authorization: `Bearer ${SECRET}` }, body: JSON.stringify({ org, tokens }) });
  if (!answer.ok) throw new Error("refused");
}
"""
ADDRESS, SECRET = "${GATEWAY}/v1/internal/usage", "process.env.SERVICE_TOKEN"


def _gateway(told: str, address: str = ADDRESS, secret: str = SECRET, prices: str = PRICES) -> Tree:
    library = GATEWAY.replace("ADDRESS", address).replace("SECRET", secret)
    return {**_tree(told, prices=prices), "lib/billing.ts": library}


@pytest.mark.parametrize("address", [ADDRESS, "${GATEWAY}/usage/events", "${GATEWAY}/api/metering/ingest", "${GATEWAY}/v1/meter-events"])  # fmt: skip
def test_a_service_of_any_name_is_told_by_a_secret_of_servers(tmp_path: Path, address: str) -> None:
    """The address speaks of usage that is taken in, and only the seller's servers have the key to it."""
    assert audited(tmp_path / "good", _gateway(TELL, address)).verdict is Verdict.PASS
    assert codes(audited(tmp_path / "bad", _gateway(LOST, address))) == {"errors_swallowed"}


@pytest.mark.parametrize(
    ("address", "secret"),
    [("/v1/internal/usage", SECRET), (ADDRESS, "session.token"), (ADDRESS, "process.env.NEXT_PUBLIC_API_KEY"),
     ("${GATEWAY}/v1/analytics/events", SECRET), ("${GATEWAY}/usage/summary", SECRET), ("https://events.example.com/track", SECRET)],
)  # fmt: skip
def test_other_requests_tell_no_service_of_usage(tmp_path: Path, address: str, secret: str) -> None:
    """A page's own request, one with a user's key, analytics, a question how much was used."""
    report = audited(tmp_path, _gateway(LOST, address, secret))
    assert "errors_swallowed" not in codes(report)
    assert "own-service" not in report.providers


@pytest.mark.parametrize(
    "route",
    [("services/gateway/src/server.ts", 'app.post("/v1/internal/usage", requireService, async (req, res) => {\n  await keep(req.body);\n  res.json({});\n});\n'),
     ("services/gateway/app.py", 'router = APIRouter(prefix="/v1/internal")\n@router.post("/usage")\nasync def take(row: Row):\n    await keep(row)\n'),
     ("app/v1/internal/usage/route.ts", "export async function POST(req: Request) {\n  await keep(await req.json());\n  return Response.json({});\n}\n")],
)  # fmt: skip
def test_a_service_of_the_same_tree_can_be_read_there(tmp_path: Path, route: tuple[str, str]) -> None:
    """What it does with the usage decides, and not who tells it."""
    report = audited(tmp_path, {**_gateway(LOST), route[0]: route[1]})
    assert "own-service" not in report.providers


def test_what_goes_beyond_a_plan_is_sold_without_a_page_of_prices(tmp_path: Path) -> None:
    """The report itself counts what is over; in a remark that says nothing."""
    over = "  const overage = tokens - includedTokens;\n  if (overage <= 0) return;\n"
    tree = _gateway(LOST, prices="export const nothing = 1;\n")
    library = tree["lib/billing.ts"].replace("  const answer", over + "  const answer")
    assert codes(audited(tmp_path / "over", {**tree, "lib/billing.ts": library})) == {"errors_swallowed"}
    remarked = {**tree, "lib/billing.ts": f"// no overage here\n{tree['lib/billing.ts']}"}
    assert audited(tmp_path / "remark", remarked).verdict is Verdict.SKIP


PYTHON = """import httpx
from fastapi import Depends, FastAPI
from openai import OpenAI
from settings import settings
app, model = FastAPI(), OpenAI()
OVERAGE_PRICE_USD = 0.02
def tell(org: str, tokens: int) -> None:
    answer = httpx.post(f"{settings.platform_url}/usage/events", headers={"X-Internal-Key": settings.internal_key}, json={"org_id": org, "tokens": tokens})
    answer.raise_for_status()
@app.post("/chat")
def chat(text: str, user=Depends(current_user)):
    out = model.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    TELL
    return out
"""


def test_the_same_in_python(tmp_path: Path) -> None:
    """With a key out of the settings."""
    told = "tell(user.org, out.usage.total_tokens)"
    lost = f"try:\n        {told}\n    except Exception as problem:\n        print(problem)"
    tree = {"requirements.txt": "fastapi\nhttpx\nopenai\n"}
    good = audited(tmp_path / "good", {**tree, "main.py": PYTHON.replace("TELL", told)})
    assert good.verdict is Verdict.PASS
    bad = audited(tmp_path / "bad", {**tree, "main.py": PYTHON.replace("TELL", lost)})
    assert codes(bad) == {"errors_swallowed"}
