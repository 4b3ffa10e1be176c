# ruff: noqa: E501
"""Rows and counters that a clock sends: what a failed attempt leaves, and what it takes away all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

HEAD = "const stripe = require('stripe')(process.env.KEY);\n"
SENT = "await stripe.billing.meterEvents.create({ event_name: 'x', identifier: id, payload: { stripe_customer_id: customer, value: count } });"
COUNTED = "app.get('/weather', apiKey, async (req, res) => {\n  const data = await weather(req.query.city);\n  await redis.hIncrBy('usage', req.customer.id, 1);\n  res.json(data);\n});\n"
KEPT = "app.post('/run', requireUser, async (req, res) => {\n  const out = await llm(req.body.p);\n  await prisma.usageEvent.create({ data: { userId: req.user.id, quantity: out.tokens } });\n  res.json(out);\n});\n"

COUNTERS = {
    f"{SENT}\nawait redis.hIncrBy('usage', customer, -Number(count));": set(),
    f"{SENT}\nawait redis.hDel('usage', customer);": set(),
    f"try {{\n{SENT}\nawait redis.hDel('usage', customer);\n}} catch (e) {{ console.error(e); }}": set(),
    f"try {{\n{SENT}\n}} catch (e) {{ console.error(e); continue; }}\nawait redis.hDel('usage', customer);": set(),
    f"try {{\n{SENT}\n}} catch (e) {{ console.error(e); }}\nawait redis.hDel('usage', customer);": {"errors_swallowed"},
    f"await redis.hDel('usage', customer);\n{SENT}": {"errors_swallowed"},
    f"await redis.hIncrBy('usage', customer, -Number(count));\n{SENT}": {"errors_swallowed"},
}  # fmt: skip


@pytest.mark.parametrize("body", COUNTERS)
def test_a_counter_is_lowered_once_its_usage_is_told(tmp_path: Path, body: str) -> None:
    tick = "setInterval(() => flush().catch(console.error), 60_000);\n"
    text = f"async function flush() {{\n  const usage = await redis.hGetAll('usage');\n  for (const [customer, count] of Object.entries(usage)) {{\nconst id = customer;\n{body}\n  }}\n}}\n"
    assert codes(audited(tmp_path, {"server.js": HEAD + COUNTED + text + tick})) == COUNTERS[body]


MARK = "await prisma.usageEvent.update({ where: { id }, data: { reportedAt: new Date() } });"
SQL = "await pool.query('UPDATE usage_events SET sent_at = now() WHERE id = ANY($1)', [IDS]);"
ROWS = {
    f"try {{\n{SENT}\n{MARK}\n}} catch (e) {{ console.error(e); }}": set(),
    f"try {{\n{SENT}\n}} catch (e) {{ console.error(e); continue; }}\n{MARK}": set(),
    f"try {{\n{SENT}\nsent.push(id);\n}} catch (e) {{ console.error(e); }}\n}}\n{{ {SQL.replace('IDS', 'sent')}": set(),
    f"try {{\n{SENT}\n}} catch (e) {{ console.error(e); }}\n{MARK}": {"errors_swallowed"},
    f"try {{\n{SENT}\n}} catch (e) {{ console.error(e); }}\n}}\n{{ {SQL.replace('IDS', 'rows.map((one) => one.id)')}": {"errors_swallowed"},
    f"try {{\n{SENT}\n}} catch (e) {{ console.error(e); }}\nawait prisma.usageEvent.delete({{ where: {{ id }} }});": {"errors_swallowed"},
}  # fmt: skip


@pytest.mark.parametrize("body", ROWS)
def test_a_row_is_marked_once_its_usage_is_told(tmp_path: Path, body: str) -> None:
    text = f"async function drain() {{\n  const sent = [];\n  const rows = await prisma.usageEvent.findMany({{ where: {{ reportedAt: null }} }});\n  for (const {{ id, customer, quantity: count }} of rows) {{\n{body}\n  }}\n}}\ncron.schedule('*/5 * * * *', drain);\n"
    assert codes(audited(tmp_path, {"server.js": HEAD + KEPT + text})) == ROWS[body]


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [("const sent = await send(row);\nif (sent) ", set()), ("await send(row);\n", {"errors_swallowed"})],
)
def test_a_row_is_marked_where_its_sender_says_so(tmp_path: Path, answer: str, wanted: set[str]) -> None:
    send = f"async function send({{ id, customer, quantity: count }}) {{\n  try {{\n{SENT}\nreturn true;\n}} catch (e) {{ console.error(e); return false; }}\n}}\n"
    text = f"async function drain() {{\n  for (const row of await prisma.usageEvent.findMany({{ where: {{ reportedAt: null }} }})) {{\n{answer}{MARK.replace('id }', 'id: row.id }')}\n  }}\n}}\ncron.schedule('*/5 * * * *', drain);\n"
    assert codes(audited(tmp_path, {"server.js": HEAD + KEPT + send + text})) == wanted


@pytest.mark.parametrize(
    ("again", "wanted"),
    [
        ("cron.schedule('0 * * * *', () => prisma.usageEvent.updateMany({ where: { status: 'failed' }, data: { status: 'pending' } }));\n", set()),
        ("", {"errors_swallowed"}),
    ],
)  # fmt: skip
def test_a_state_that_nothing_asks_for(tmp_path: Path, again: str, wanted: set[str]) -> None:
    states = [
        f"await prisma.usageEvent.update({{ where: {{ id }}, data: {{ status: '{one}' }} }});"
        for one in ("sent", "failed")
    ]
    text = f"async function drain() {{\n  for (const {{ id, customer, quantity: count }} of await prisma.usageEvent.findMany({{ where: {{ status: 'pending' }} }})) {{\ntry {{\n{SENT}\n{states[0]}\n}} catch (e) {{\n{states[1]}\n}}\n  }}\n}}\ncron.schedule('*/5 * * * *', drain);\n"
    assert codes(audited(tmp_path, {"server.js": HEAD + KEPT + text + again})) == wanted


@pytest.mark.parametrize("asked", ["where: { tokensReported: { lt: 5 } }", "where: { active: true }"])
def test_the_total_less_what_was_told(tmp_path: Path, asked: str) -> None:
    kept = KEPT.replace(
        "usageEvent.create({ data: { userId: req.user.id, quantity: out.tokens } })",
        "user.update({ where: { id: req.user.id }, data: { tokensUsed: { increment: out.tokens } } })",
    )
    text = f"cron.schedule('*/15 * * * *', async () => {{\n  for (const user of await prisma.user.findMany({{ {asked} }})) {{\n    const count = user.tokensUsed - user.tokensReported;\n    const {{ id, customer }} = user;\n    try {{\n{SENT}\nawait prisma.user.update({{ where: {{ id }}, data: {{ tokensReported: user.tokensUsed }} }});\n    }} catch (e) {{ console.error(e); }}\n  }}\n}});\n"
    assert codes(audited(tmp_path, {"server.js": HEAD + kept + text})) == set()


def test_a_lock_that_is_let_go_takes_no_usage(tmp_path: Path) -> None:
    text = f"async function drain() {{\n  for (const {{ id, customer, quantity: count }} of await prisma.usageEvent.findMany({{ where: {{ reportedAt: null }} }})) {{\ntry {{\n{SENT}\n{MARK}\n}} catch (e) {{ console.error(e); }}\n  }}\n  await redis.del('drain:lock');\n}}\ncron.schedule('*/5 * * * *', drain);\n"
    assert codes(audited(tmp_path, {"server.js": HEAD + KEPT + text})) == set()


FOUND = "const rows = await prisma.usageEvent.findMany({ where: { reportedAt: null } });"
SWEPT = "await prisma.usageEvent.updateMany({ where: { quantity: { lte: 0 } }, data: { reportedAt: new Date() } });"


@pytest.mark.parametrize(
    ("first", "then", "wanted"), [(SWEPT, FOUND, set()), (FOUND, SWEPT, {"errors_swallowed"})]
)
def test_rows_that_are_marked_before_those_to_send_are_read(
    tmp_path: Path, first: str, then: str, wanted: set[str]
) -> None:
    """What is read after the mark are the rows that have none."""
    text = f"async function drain() {{\n  {first}\n  {then}\n  for (const {{ id, customer, quantity: count }} of rows) {{\n    try {{\n      {SENT}\n    }} catch (e) {{\n      console.error(e);\n      continue;\n    }}\n    {MARK}\n  }}\n}}\ncron.schedule('*/5 * * * *', drain);\n"
    assert codes(audited(tmp_path, {"server.js": HEAD + KEPT + text})) == wanted
