"""Prices of a unit of use, in sentences and in names: what is one, and what only looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited

from tallystick.audit.models.knowledge import Knowledge
from tallystick.audit.offers.names import EXTRA, OVERAGE, PER_UNIT, named
from tallystick.audit.offers.speech import PER_UNIT as SMALL
from tallystick.audit.offers.speech import PROMISED, SPOKEN, spoken
from tallystick.audit.offers.vocabulary import Vocabulary

WORDS = Vocabulary(Knowledge())

SENTENCES = {
    "$0.02 per extra minute": PROMISED,
    "Additional pages are $1 each": PROMISED,
    "1,000 requests included, $0.50 per additional 1,000 requests": PROMISED,
    "<li>Extra contacts: <b>€2</b> per 100</li>": PROMISED,
    "$0.15/min voice overage": PROMISED,
    "Overage: £3 per widget": PROMISED,
    "9 cents per voice minute after the included minutes": SMALL,
    'price: "$0.05", unit: "per GB"': SMALL,
    "<span>$.01</span> / <span>call</span>": SMALL,
    "Pay as you go: $4 per headline": SPOKEN,
    "10 reports a month, then $5 per report": SPOKEN,
    "500 minutes, then $2 each": SPOKEN,
    "Overage will be charged next month.": PROMISED,
    "Usage above your plan's limit is billed monthly": PROMISED,
    "You are only billed for actual usage": PROMISED,
    "You are never charged for overages": None,
    "$29 per month": None,
    "$0.99 per user per month": None,
    "$3 per additional server": None,
    "Additional storage: $3 per GB per month": None,
    "Extra seats are $5 each": None,
    "note={`Extra seats $${tier.seat} each`} label={`${count} GB`}": None,
    "Pay {{ formatCurrency(cost) }} /{{ details.interval }} beyond that": None,
    "$0.05 per credit": None,
    "No overage charges, $29 for all": None,
    "You are never charged $0.10 per extra call": None,
    "Buy 100 more images for $0.10 per image": None,
    "OpenAI asks $0.06 per minute": None,
    "others take ~$0.10 per call": None,
    'Priced at <a href="https://maker.example/pricing">$0.12 per hour</a>': None,
    'Calls are <Link href="/pricing">$0.12 each</Link> beyond 100 calls': PROMISED,
    '<a href="/pricing">$0.12 per call</a>': SMALL,
    "Tokens above the limit are about $0.02 per 1M tokens": None,
    "Overage is $0.02 / $0.05 per call": PROMISED,
    "Additional queries billed at {{ formatCurrency(usage.rate) }}/query": PROMISED,
    "<p>Total: {formatPrice(order.total)}</p>": None,
    "We then keep $5 / $2 until the first call": None,
    "const price = 3; // $0.10 per call": None,
    "drive $500k in additional revenue": None,
    "Price cannot exceed $10,000 per request": SPOKEN,
    "fetch(`/api/teams/${id}/messages`)": None,
    "$0 per extra minute": None,
}


@pytest.mark.parametrize("text", SENTENCES)
def test_a_price_in_a_sentence(text: str) -> None:
    assert next((note for _, note in spoken(text, WORDS)), None) == SENTENCES[text]


NAMES = {
    "{ overagePrice: 0.02 }": OVERAGE,
    "OVERAGE_CENTS_PER_MINUTE = 4": OVERAGE,
    "plan.overage_rate = rates.pro": OVERAGE,
    "extra_1k_messages_price: num(form)": OVERAGE,
    "usagePrice: server.usagePrice ?? null": OVERAGE,
    "USAGE_RATES_USD = { storageGbHours: 0.00015 }": OVERAGE,
    "usageRate: 0.8": None,
    "overageAmount: records.overageAmount,": None,
    "overageAmount: over * price": OVERAGE,
    "total += overageMinutes * plan.minuteRate": OVERAGE,
    "METERED_VOICE_CENTS_PER_MINUTE = 9": OVERAGE,
    "metered_calls = 9": None,
    "meteredRatePerMinute: z.number().int()": None,
    "meteredRatePerMinute: plan.rate": None,
    "meteredRatePerMinute: 0.05": OVERAGE,
    "overagePrice: z.number()": None,
    "BUDGET_USD_PER_300_CALLS = 20": None,
    "USD_PER_300_AI_CREDITS = 20": None,
    "USD_PER_300_CALLS = 20": PER_UNIT,
    "metered_usd: run.total,": None,
    "METERED_PRICE = 4": OVERAGE,
    "overage: [\\n  { label: '+1m calls', value: '€0.30' },": OVERAGE,
    "overage: [\\n  { label: '+1m calls', value: '€0' },": None,
    "perExtraQuery: 0.25,": EXTRA,
    "per_extra_seat: 25,": None,
    "metered_cost_usd: Number(row.cost)": None,
    "overage_cost_usd: rules.overage": OVERAGE,
    "{ extraLogo: 120 }": EXTRA,
    "{ extraPer1k: 0.25 }": EXTRA,
    "pricePerApiCall: 0.02,": PER_UNIT,
    "overage_price: 0,": None,
    "interface Plan { overageRate: number }": None,
    "overageCost: used * 4": None,
    "estimatedOverageCharge: 4": None,
    "coverageRate: 0.8": None,
    "per_call_price: 0.02": PER_UNIT,
    "PRICE_PER_CALL = 0.02": PER_UNIT,
    "extraSeatPrice: 5": None,
    "extraBrandIncludedVideoPerMonth: 20": None,
    "offline_trigger_additional_minutes: 1": None,
    "additionalCharges: [tax]": None,
    "extraPerKg: 1.2": None,
    "inputCostPerToken: 0.00001": None,
    "personPrice: 5": None,
    "// overagePrice: 0.02": None,
}


@pytest.mark.parametrize("text", NAMES)
def test_a_price_in_a_name(text: str) -> None:
    assert next((note for _, note in named(text, WORDS)), None) == NAMES[text]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/pages/pricing.vue", "<script>\nvar a;\n</script>\n<template><p>$0.02 per extra call</p></template>\n"),
        ("src/routes/+page.svelte", "<p>Extra calls: 5 cents each</p>\n"),
        ("messages/en.json", '{ "pricing": { "extra": "$0.02 per additional call" } }\n'),
        ("public/index.html", "<p>then $0.02 per extra call</p>\n"),
        ("prisma/schema.prisma", "model Plan {\n  id String @id\n  overagePrice Decimal\n}\n"),
        ("db/plans.sql", "create table plans (\n  overage_cents integer not null\n);\n"),
    ],
)  # fmt: skip
def test_wherever_it_is_written(path: str, text: str, tmp_path: Path) -> None:
    """In the markup of a page as in its script, in a text by language, in the tables of a database."""
    tree = {
        "src/pay.ts": "import Stripe from 'stripe';\nexport const stripe = new Stripe(process.env.KEY!);\n"
    }
    found = audited(tmp_path / "sold", tree | {path: text}).findings
    assert [(one.code, one.place.path) for one in found if one.decides] == [("never_reported", path)]
    assert audited(tmp_path / "free", {path: text}).verdict == "skip"


TABLE = "CREATE TABLE IF NOT EXISTS usage_events (\n  id TEXT PRIMARY KEY,\n  COLUMNS\n);\n"
TABLES = {
    "unit_price DECIMAL(14,4) NOT NULL,\n  status TEXT DEFAULT 'pending'": "fail",
    "billable_amount NUMERIC,\n  invoiced_at TIMESTAMP": "fail",
    "unit_price DECIMAL(14,4) NOT NULL": "skip",
    "cost_usd NUMERIC,\n  status TEXT DEFAULT 'pending'": "skip",
    "tokens INT,\n  billed BOOLEAN": "skip",
}


@pytest.mark.parametrize("columns", TABLES)
def test_a_table_of_priced_usage_that_waits_to_be_billed(columns: str, tmp_path: Path) -> None:
    """A price and a mark for what is billed: both together, of usage."""
    pay = "import Stripe from 'stripe';\nexport const pay = () => stripe.checkout.sessions.create(plan);\n"
    keep = "export const keep = (row) => db.query(`INSERT INTO usage_events (id) VALUES ($1)`, [row.id]);\n"
    files = {"db/tables.sql": TABLE.replace("COLUMNS", columns), "src/pay.ts": pay}
    assert audited(tmp_path / "empty", files).verdict == "skip", "nothing writes there"
    files["src/keep.ts"] = keep
    assert audited(tmp_path / "used", files).verdict == TABLES[columns]
    files = {path: text.replace("usage_events", "orders") for path, text in files.items()}
    assert audited(tmp_path / "ordered", files).verdict == "skip"


def test_what_developers_tell_each_other_is_no_offer(tmp_path: Path) -> None:
    """The same sentence in a docstring, and in a text that is shown."""
    told = 'def search(one):\n    """$5 per 1,000 queries beyond the free tier"""\n    usage.incr(one.org)\n'
    files = {"app/search.py": told, "app/pay.py": "import stripe\n"}
    assert audited(tmp_path / "told", files).verdict == "skip"
    files["app/search.py"] = told.replace('    """$5', '    shown = """$5')
    assert audited(tmp_path / "shown", files).verdict == "fail"


def test_a_charge_at_a_provider_nobody_knows(tmp_path: Path) -> None:
    """Overage is sold, and what would charge it is there: that it is sold at all needs no known kit."""
    files = {
        "templates/pricing.html": "<div>Overage: $15/fix</div>",
        "app/fixes.py": "def fix(org):\n    org.fixes_used += 1\n",
    }
    assert audited(tmp_path / "none", files).verdict == "skip"
    files["app/billing.py"] = "def charge_overage(org):\n    return gateway.sale(org.card, org.over)\n"
    assert audited(tmp_path / "own", files).verdict == "fail"


def test_words_of_ones_own(tmp_path: Path) -> None:
    """A model file of the user's adds to ours."""
    words = tmp_path / "words.toml"
    words.write_text('[[word]]\nkind = "unit"\nwords = "parcel"\n')
    text = "$0.40 per parcel"
    assert not list(spoken(text, WORDS))
    assert [note for _, note in spoken(text, Vocabulary(Knowledge([words])))] == [SMALL]
