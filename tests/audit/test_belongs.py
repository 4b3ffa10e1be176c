# ruff: noqa: E501
"""A customer that the request names, and a guard that is given both the caller and what is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

ROUTE = """import { guard } from '@/lib/guard';
import { bill } from '@/lib/bill';
export async function POST(req: Request, { params }) {
  const { orgId } = await params;
  const { prompt } = await req.json();
  GUARD
  const out = await generate(prompt);
  await bill(orgId, out.usage.total_tokens);
  return Response.json(out);
}
"""
BILL = "import { Autumn } from 'autumn-js';\nconst autumn = new Autumn({ secretKey });\nexport async function bill(org: string, n: number) { await autumn.track({ customer_id: org, feature_id: 'ai', value: n }); }\n"
ASKING = [
    "const auth = await withOrganizationAuth(req, orgId);",
    "await requireMembership(session.user.id, orgId);",
    "if (!(await isOrgMember({ userId: user.id, orgId }))) return new Response(null, { status: 403 });",
    "await assertOrgAccess(ctx, orgId);",
]
NOT_ASKING = [
    "",
    "await guard(req);",
    "await checkFeatureAccess(orgId, 'ai');",
    "requireMembership(session.user.id, prompt);",
    "await touch(session.user.id, orgId);",
]


def tree(guard: str) -> dict[str, str]:
    route = ROUTE.replace("GUARD", guard)
    return {"src/app/api/orgs/[orgId]/run/route.ts": route, "src/lib/bill.ts": BILL}


@pytest.mark.parametrize("guard", ASKING)
def test_who_belongs_to_what_is_named(tmp_path: Path, guard: str) -> None:
    assert codes(audited(tmp_path, tree(guard))) == set()


@pytest.mark.parametrize("guard", NOT_ASKING)
def test_nobody_asks_who_belongs(tmp_path: Path, guard: str) -> None:
    assert codes(audited(tmp_path, tree(guard))) == {"client_supplied_customer"}


OWN = "const found = FIND;\n  if (!found) return new Response(null, { status: 404 });"
FOUND = {
    "await prisma.member.findFirst({ where: { orgId, userId: session.user.id } })": set(),
    "await db.select().from(members).where(and(eq(members.orgId, orgId), eq(members.userId, user.id)))": set(),
    "await supabase.from('members').select('*').eq('org_id', orgId).eq('user_id', user.id).single()": set(),
    "await prisma.org.findFirst({ where: { id: orgId, active: true } })": {"client_supplied_customer"},
    "await supabase.from('orgs').select('*').eq('id', orgId).single()": {"client_supplied_customer"},
}


@pytest.mark.parametrize("find", FOUND)
def test_what_is_named_is_looked_for_among_the_callers_own(tmp_path: Path, find: str) -> None:
    assert codes(audited(tmp_path, tree(OWN.replace("FIND", find)))) == FOUND[find]
