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


FLUSH = """import { requireTenant } from "@/lib/auth";
import { closeBatch, db } from "@/lib/batches";
import { stripe } from "@/lib/stripe";
export async function POST(request: Request) {
  const tenant = await requireTenant(request);
  const batch = await closeBatch(tenant.id);
  await stripe.billing.meterEvents.create({
    event_name: "runs", identifier: batch.id,
    payload: { stripe_customer_id: tenant.customer, value: String(batch.units) },
  });
  await db.usageBatch.update({ where: { id: batch.id }, data: { sentAt: new Date() } });
  return Response.json({ sent: batch.id });
}
"""
BATCHES = """export async function closeBatch(tenantId: string) {
  return db.usageBatch.findFirst({ where: { tenantId, sentAt: null } });
}
"""
BUTTON = """"use client";
export const Flush = () => <button onClick={() => fetch("/api/usage/flush", { method: "POST" })}>Flush usage</button>;
"""
HOURLY = '{ "crons": [{ "path": "/api/usage/flush", "schedule": "0 * * * *" }] }'


def test_what_was_counted_is_sent_when_the_customer_asks(tmp_path: Path) -> None:
    """A button behind which the usage of weeks waits; a clock that asks as well sends what nobody asks for."""
    files = {"app/api/usage/flush/route.ts": FLUSH, "lib/batches.ts": BATCHES, "components/flush.tsx": BUTTON}
    assert codes(audited(tmp_path / "asked", files)) == {"client_side_only"}
    assert codes(audited(tmp_path / "timed", {**files, "vercel.json": HOURLY})) == set()
    shown = {**files, "components/flush.tsx": BUTTON.replace('flush"', 'shown"')}
    assert "client_side_only" not in codes(audited(tmp_path / "shown", shown))
