# ruff: noqa: E501
"""A database's clock runs a function of the database, and that asks an edge function."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

EDGE = """import Stripe from 'npm:stripe';
const stripe = new Stripe(Deno.env.get('KEY')!);
Deno.serve(async () => {
  const { data } = await db.from('daily_usage').select('*').eq('sent', false);
  for (const row of data) {
    await stripe.billing.meterEvents.create({ event_name: 'seats', identifier: row.id, payload: { stripe_customer_id: row.customer, value: String(row.n) } });
    await db.from('daily_usage').update({ sent: true }).eq('id', row.id);
  }
  return new Response('ok');
});
"""
MADE = "CREATE OR REPLACE FUNCTION public.count_seats() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  INSERT INTO daily_usage (customer, n) SELECT owner, count(*) FROM seats GROUP BY owner;\n  BODY\nEND;\n$$;\n"
CLOCK = "SELECT cron.schedule('seats', 'WHEN', 'SELECT public.count_seats();');\n"
POST = (
    "PERFORM net.http_post(url := current_setting('app.base', true) || '/tell-usage', body := '{}'::jsonb);"
)
BY_NAME = "address := base || '/functions/v1/tell-usage';\n  PERFORM extensions.http_post(address, '{}', 'application/json');"
NESTED = "PERFORM public.ask_edge();"
ASKS = "CREATE FUNCTION ask_edge() RETURNS void AS $body$ BEGIN PERFORM net.http_post(url := 'https://x.supabase.co/functions/v1/tell-usage'); END; $body$ LANGUAGE plpgsql;\n"


def tree(body: str, when: str = "55 13 * * *", more: str = "") -> Tree:
    return {
        "supabase/functions/tell-usage/index.ts": EDGE,
        "supabase/migrations/1_clock.sql": MADE.replace("BODY", body) + more + CLOCK.replace("WHEN", when),
    }


@pytest.mark.parametrize(("body", "more"), [(POST, ""), (BY_NAME, ""), (NESTED, ASKS)])
def test_once_a_day_is_too_seldom(tmp_path: Path, body: str, more: str) -> None:
    assert codes(audited(tmp_path, tree(body, more=more))) == {"scheduled_reporting"}


@pytest.mark.parametrize(("body", "more"), [(POST, ""), (BY_NAME, ""), (NESTED, ASKS)])
def test_every_minute_is_soon(tmp_path: Path, body: str, more: str) -> None:
    assert codes(audited(tmp_path, tree(body, "* * * * *", more))) == set()


@pytest.mark.parametrize(
    "body", ["PERFORM note('/tell-usage');", f"-- {POST}", POST.replace("tell-usage", "tell-usage-of-others")]
)
def test_what_does_not_ask_it_is_not_its_clock(tmp_path: Path, body: str) -> None:
    assert "scheduled_reporting" not in codes(audited(tmp_path, tree(body)))


def test_a_function_made_anew_does_what_it_does_last(tmp_path: Path) -> None:
    files = tree(POST) | {"supabase/migrations/2_later.sql": MADE.replace("BODY", "RETURN;")}
    assert "scheduled_reporting" not in codes(audited(tmp_path, files))
