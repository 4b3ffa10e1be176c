# ruff: noqa: E501
"""Usage that is kept in one table, summed up by the clock into another, and sent from there. Right and wrong twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

STORE = """package main

type MemStore struct{}
func (m *MemStore) KeepPages(ctx context.Context, org string, pages int64) error { return nil }
func (m *MemStore) PagesSince(ctx context.Context, since time.Time) (int64, error) { return 0, nil }
func (m *MemStore) KeepPeriod(ctx context.Context, org string, pages int64) error { return nil }

func (p *SqlStore) KeepPages(ctx context.Context, org string, pages int64) error {
	_, err := p.db.ExecContext(ctx, `INSERT INTO usage_pages (org_id, pages, kept_at) VALUES ($1, $2, now())`, org, pages)
	return err
}

func (p *SqlStore) PagesSince(ctx context.Context, since time.Time) (rows []Kept, err error) {
	err = p.db.SelectContext(ctx, &rows, `SELECT org_id, sum(pages) FROM usage_pages WHERE summed_at IS NULL GROUP BY org_id`)
	return rows, err
}

func (p *SqlStore) KeepPeriod(ctx context.Context, org string, pages int64) error {
	_, err := p.db.ExecContext(ctx, `INSERT INTO metered_periods (org_id, quantity) VALUES ($1, $2)`, org, pages)
	return err
}

func (p *SqlStore) UnsentPeriods(ctx context.Context) (rows []Period, err error) {
	err = p.db.SelectContext(ctx, &rows, `SELECT id, customer_id, quantity FROM metered_periods WHERE reported_at IS NULL`)
	return rows, err
}

func (p *SqlStore) MarkReported(ctx context.Context, id string) error {
	_, err := p.db.ExecContext(ctx, `UPDATE metered_periods SET reported_at = now() WHERE id = $1`, id)
	return err
}
"""
LOOP = """package main

func (s *Biller) sum(ctx context.Context) error {
	rows, err := s.store.PagesSince(ctx, time.Now())
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := s.store.KeepPeriod(ctx, row.Org, row.Pages); err != nil {
			return err
		}
	}
	return nil
}

func (s *Biller) send(ctx context.Context) error {
	rows, err := s.store.UnsentPeriods(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		params := &stripe.BillingMeterEventParams{Identifier: stripe.String(row.ID), Payload: map[string]string{"stripe_customer_id": row.CustomerID, "value": strconv.FormatInt(row.Quantity, 10)}}
		if _, err := meterevent.New(params); err != nil {
			return err
		}
		if err := s.store.MarkReported(ctx, row.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Biller) Loop(ctx context.Context) {
	ticker := time.NewTicker(5 * time.Minute)
	for range ticker.C {
		if err := s.sum(ctx); err != nil {
			panic(err)
		}
		if err := s.send(ctx); err != nil {
			panic(err)
		}
	}
}
"""
MAIN = """package main

func (a *App) scan(w http.ResponseWriter, r *http.Request) {
	account := r.Context().Value("account").(*Account)
	found := read(r.Context())
	KEEP
	w.WriteHeader(http.StatusOK)
}

func main() {
	app := NewApp()
	go app.biller.Loop(context.Background())
	http.HandleFunc("/scan", app.scan)
	http.ListenAndServe(":8080", nil)
}
"""
KEPT = "a.store.KeepPages(r.Context(), account.Org, found.Pages)"
LOST = {"errors_swallowed"}


@pytest.mark.parametrize(
    ("keep", "wanted"),
    [
        (f"_ = {KEPT}", LOST),
        (KEPT, LOST),
        (f"if err := {KEPT}; err != nil {{\n\t\tlog.Println(err)\n\t}}", LOST),
        (f'if err := {KEPT}; err != nil {{\n\t\thttp.Error(w, "no", 500)\n\t\treturn\n\t}}', set()),
    ],
)
def test_the_row_that_is_summed_up_is_what_counts(tmp_path: Path, keep: str, wanted: set[str]) -> None:
    module = "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n"
    tree = {"go.mod": module, "store.go": STORE, "loop.go": LOOP, "main.go": MAIN.replace("KEEP", keep)}
    report = audited(tmp_path, tree)
    assert codes(report) == wanted
    assert report.verdict == ("fail" if wanted else "pass")


SUM = "import { prisma } from './db';\nexport async function sum() {\n  const rows = await prisma.usagePage.groupBy({ by: ['orgId'], where: { summedAt: null }, _sum: { pages: true } });\n  for (const row of rows) {\n    await prisma.meteredPeriod.create({ data: { customerId: row.orgId, quantity: row._sum.pages } });\n  }\n}\nexport async function send() {\n  const rows = await prisma.meteredPeriod.findMany({ where: { reportedAt: null } });\n  for (const row of rows) {\n    await stripe.billing.meterEvents.create({ event_name: 'pages', identifier: row.id, payload: { stripe_customer_id: row.customerId, value: String(row.quantity) } });\n    await prisma.meteredPeriod.update({ where: { id: row.id }, data: { reportedAt: new Date() } });\n  }\n}\n"
CLOCK = "import { send, sum } from '../../../lib/sum';\nexport async function GET(req: Request) {\n  if (req.headers.get('authorization') !== `Bearer ${process.env.CRON_SECRET}`) return new Response('no', { status: 401 });\n  await sum();\n  await send();\n  return Response.json({ ok: true });\n}\n"
ROUTE = "import { prisma } from '../../../lib/db';\nexport async function POST(req: Request) {\n  const account = await requireAccount(req);\n  const found = await openai.responses.create({ input: 'x' });\n  KEEP\n  return Response.json({ text: found.text });\n}\n"
ROW = "prisma.usagePage.create({ data: { orgId: account.org, pages: found.usage.total_tokens } })"
QUOTA = ROUTE.replace("KEEP", "if ((await prisma.usageQuota.findFirst({ where: { orgId: account.org } })).used > 9) return new Response('no', { status: 402 });\n  await prisma.meteredPeriod.create({ data: { customerId: account.org, quantity: found.usage.total_tokens } });\n  try { await prisma.usageQuota.upsert({ where: { orgId: account.org }, create: { orgId: account.org, used: 1 }, update: {} }); } catch (e) { console.error(e); }")  # fmt: skip


def scripts(route: str) -> dict[str, str]:
    return {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18.0.0"}}',
        "vercel.json": '{"crons": [{"path": "/api/clock", "schedule": "*/5 * * * *"}]}',
        "lib/sum.ts": SUM,
        "app/api/clock/route.ts": CLOCK,
        "app/api/scan/route.ts": route,
    }


@pytest.mark.parametrize(
    ("keep", "wanted"), [(f"await {ROW}.catch(() => undefined);", LOST), (f"await {ROW};", set())]
)
def test_summed_up_in_scripts(tmp_path: Path, keep: str, wanted: set[str]) -> None:
    assert codes(audited(tmp_path, scripts(ROUTE.replace("KEEP", keep)))) == wanted


def test_a_quota_that_a_request_asks_for_is_not_summed_up(tmp_path: Path) -> None:
    assert codes(audited(tmp_path, scripts(QUOTA))) == set()


def test_far_above_a_row_it_is_the_work_that_fails(tmp_path: Path) -> None:
    """A catch six calls above covers opening the room and keeping its row: without the one there is not the other."""
    steps = "".join(
        f"export async function step{number}(account) {{\n  await step{number + 1}(account);\n}}\n"
        for number in range(6)
    )
    steps += "export async function step6(account) {\n  await prisma.usagePage.create({ data: { orgId: account.org, pages: 1 } });\n}\n"
    keep = "try { await step0(account); } catch (e) { console.error(e); }"
    route = "import { step0 } from '../../../lib/steps';\n" + ROUTE.replace("KEEP", keep)
    report = audited(
        tmp_path, {**scripts(route), "lib/steps.ts": f"import {{ prisma }} from './db';\n{steps}"}
    )
    assert codes(report) == set()
    assert [one.confidence for one in report.findings if one.code == "errors_swallowed"] == ["low"]
