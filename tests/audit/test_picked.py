# ruff: noqa: E501
"""A customer that is looked up by what the caller sends, behind a procedure that only asks for a login."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

PACKAGE = '{"dependencies": {"@trpc/server": "11", "drizzle-orm": "1", "stripe": "18.0.0"}}'
ROUTER = "import { z } from 'zod';\nimport { db } from './db';\nimport { stripe } from './stripe';\nexport const router = createTRPCRouter({\n  add: PROCEDURE.input(z.object({ companyId: z.string() })).mutation(async (TAKEN) => {\n    LOOKUP\n    await stripe.billing.meterEvents.create({ event_name: 'users', identifier: row.id, payload: { stripe_customer_id: row.customer, value: '1' } });\n    await db.insert(users).values({ companyId: row.id });\n  }),\n});\n"
BY_QUERY = "const row = await db.query.subscriptions.findFirst({ where: eq(subscriptions.companyId, input.companyId) });"
BY_CHAIN = "const [row] = await db.select().from(subscriptions).where(eq(subscriptions.companyId, input.companyId)).limit(1);"
BY_BOTH = "const row = await db.query.subscriptions.findFirst({ where: and(eq(subscriptions.companyId, input.companyId), eq(subscriptions.ownerId, ctx.session.user.id)) });"
ASKED = (
    "if (!(await isMember(ctx.session.user.id, input.companyId))) throw new TRPCError({ code: 'FORBIDDEN' });\n    "
    + BY_QUERY
)
OWN = "const row = await db.query.subscriptions.findFirst({ where: eq(subscriptions.companyId, ctx.session.user.companyId) });"
PICKED = {"client_supplied_customer"}


@pytest.mark.parametrize(
    ("procedure", "taken", "lookup", "wanted"),
    [
        ("protectedProcedure", "{ input }", BY_QUERY, PICKED),
        ("authedProcedure", "{ input }", BY_QUERY, PICKED),
        ("protectedProcedure", "{ input }", BY_CHAIN, PICKED),
        ("publicProcedure", "{ input }", BY_QUERY, PICKED),
        ("protectedProcedure", "{ ctx, input }", BY_BOTH, set()),
        ("protectedProcedure", "{ ctx, input }", ASKED, set()),
        ("protectedProcedure", "{ ctx, input }", OWN, set()),
        ("companyAdminProcedure", "{ input }", BY_QUERY, set()),
    ],
)
def test_a_customer_by_an_id_of_the_request(
    tmp_path: Path, procedure: str, taken: str, lookup: str, wanted: set[str]
) -> None:
    text = ROUTER.replace("PROCEDURE", procedure).replace("TAKEN", taken).replace("LOOKUP", lookup)
    assert codes(audited(tmp_path, {"package.json": PACKAGE, "src/router.ts": text})) == wanted


QUEUED = "import { inngest } from './inngest';\nexport const bill = inngest.createFunction({ id: 'bill' }, { event: 'work/done' }, async ({ event }) => {\n  const row = await db.query.orgs.findFirst({ where: eq(orgs.orgId, event.data.orgId) });\n  await stripe.billing.meterEvents.create({ event_name: 'work', identifier: event.id, payload: { stripe_customer_id: row.customer, value: '1' } });\n});\n"
SENDER = "'use server';\nimport { inngest } from './inngest';\nexport const work = actionClient.action(async ({ ctx: { orgId } }) => {\n  const out = await moderate(orgId);\n  await inngest.send({ name: 'work/done', data: { orgId } });\n  return out;\n});\n"


def test_a_job_is_told_whose_it_is_by_who_put_it_there(tmp_path: Path) -> None:
    package = '{"dependencies": {"inngest": "3", "next": "15", "drizzle-orm": "1", "stripe": "18.0.0"}}'
    assert (
        codes(audited(tmp_path, {"package.json": package, "src/bill.ts": QUEUED, "src/work.ts": SENDER}))
        == set()
    )
