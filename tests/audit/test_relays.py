"""A route that does nothing but report, and who asks it to: the browser, or a server of the application's own."""

from __future__ import annotations

from pathlib import Path

from trees import audited, codes

ROUTE = """import { requireTenant } from "@/lib/auth";
import { stripe } from "@/lib/stripe";
export async function POST(request: Request) {
  const tenant = await requireTenant(request);
  const body = await request.json().catch(() => ({}));
  WORK
  const sent = await stripe.billing.meterEvents.create({
    event_name: "payouts", identifier: `payout-${tenant.id}`,
    payload: { stripe_customer_id: tenant.customer, value: "1" },
  });
  return Response.json({ sent: sent.identifier });
}
"""
CLIENT = """import { fetchJson } from "./http";
export const api = { reportUsage: (kind: string) => fetchJson<void>("/api/report-usage", { method: "POST" }) };
"""
HOOK = """"use client";
import { api } from "@/lib/api";
export const usePayouts = () => useMutation({ mutationFn: pay, onSuccess: () => api.reportUsage("payout") });
"""


def test_a_client_that_pages_import_asks_for_the_report(tmp_path: Path) -> None:
    files = {"app/api/report-usage/route.ts": ROUTE.replace("WORK", ""), "lib/api.ts": CLIENT}
    assert codes(audited(tmp_path / "page", {**files, "hooks/payouts.ts": HOOK})) == {"client_side_only"}
    assert codes(audited(tmp_path / "nobody", files)) == set()


def test_a_route_that_does_the_work_reports_its_own(tmp_path: Path) -> None:
    working = ROUTE.replace("WORK", "const paid = await bank.pay(tenant.id, body.invoice);")
    files = {"app/api/report-usage/route.ts": working, "lib/api.ts": CLIENT, "hooks/payouts.ts": HOOK}
    assert codes(audited(tmp_path, files)) == set()
