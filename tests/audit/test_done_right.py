# ruff: noqa: E501
"""Right ways that were called wrong, each beside the wrong one it looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
EVENT = "{ event_name: 'calls', identifier: id, payload: { stripe_customer_id: customer, value: String(count) } }"
REPORT = f"{HEAD}export async function report(customer, count, id) {{ await stripe.billing.meterEvents.create({EVENT}); }}\n"
ROUTE = "import { report } from './report';\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  SEND\n  res.json(answer);\n});\n"
REPORTED = "await report(req.user.customer, answer.usage.total_tokens, answer.id);"

GENERATORS = {
    "yield* stripe.billing.meterEvents.create(EVENT);": set(),
    "yield stripe.billing.meterEvents.create(EVENT);": set(),
    "stripe.billing.meterEvents.create(EVENT);": {"fire_and_forget"},
}


@pytest.mark.parametrize("sent", GENERATORS)
def test_what_a_generator_yields_is_waited_for(tmp_path: Path, sent: str) -> None:
    """`Effect.gen(function* () { yield* report() })`, `co(function* () { yield report() })`."""
    body = sent.replace("EVENT", EVENT)
    made = f"{HEAD}export function report(customer, count, id) {{ return run(function* () {{ {body} }}); }}\n"
    tree = {"report.ts": made, "server.ts": ROUTE.replace("SEND", REPORTED)}
    assert codes(audited(tmp_path, tree)) == GENERATORS[sent]


OLD = "const Stripe = require('stripe');\nconst stripe = new Stripe(process.env.KEY);\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await translate(req.body.text);\n  await stripe.subscriptionItems.createUsageRecord(req.user.item, { quantity: answer.words, timestamp: 'now' });\n  res.json(answer);\n});\n"


@pytest.mark.parametrize(("own", "wanted"), [("14.1.0", set()), ("18.0.0", {"legacy_api_removed"})])
def test_a_workspace_pins_the_kit_for_itself(tmp_path: Path, own: str, wanted: set[str]) -> None:
    tree = {
        "package.json": '{ "dependencies": { "stripe": "^20.0.0" } }',
        "apps/api/package.json": f'{{ "dependencies": {{ "stripe": "^{own}" }} }}',
        "apps/api/src/server.js": OLD,
    }
    assert codes(audited(tmp_path, tree)) == wanted


ANSWERED = {
    "console.error(e); send(res, 500, { message: e.message });": set(),
    "console.error(e); send(res, 200, answer);": {"errors_swallowed"},
}


@pytest.mark.parametrize("caught", ANSWERED)
def test_an_error_may_be_answered_by_a_function_of_its_own(tmp_path: Path, caught: str) -> None:
    tried = f"try {{ {REPORTED} }} catch (e) {{ {caught} }}"
    tree = {"report.ts": REPORT, "server.ts": ROUTE.replace("SEND", tried)}
    assert codes(audited(tmp_path, tree)) == ANSWERED[caught]


TICK = f"""{HEAD}async function drain() {{
  for (const {{ id, customer, count }} of await db.query('SELECT * FROM accounts')) {{
    await stripe.billing.meterEvents.create({EVENT});
  }}
}}
"""
TICKS = {
    "cron.schedule('*/5 * * * *', () => { drain(); });": set(),
    "setInterval(() => { drain(); }, 60_000);": set(),
    "app.post('/done', requireUser, async (req, res) => { drain(); res.json({}); });": {"fire_and_forget"},
}


@pytest.mark.parametrize("started", TICKS)
def test_nobody_waits_for_the_tick_of_a_clock(tmp_path: Path, started: str) -> None:
    kept = "app.post('/run', requireUser, async (req, res) => {\n  const answer = await translate(req.body.text);\n  await db.query('UPDATE accounts SET words = words + $1 WHERE id = $2', [answer.words, req.user.id]);\n  res.json(answer);\n});\n"
    assert codes(audited(tmp_path, {"server.ts": TICK + kept + started})) == TICKS[started]


NOTE = "import { sendNote } from './mail';\n"
MAIL = "import { Resend } from 'resend';\nconst resend = new Resend(process.env.RESEND!);\nexport async function sendNote(to, text) { await resend.emails.send({ to, text }); }\n"
WELCOME = (
    f"{NOTE}app.post('/welcome', requireUser, async (req, res) => {{ await sendNote(req.user.email, 'hello'); res.json({{}}); }});\n"
)


@pytest.mark.parametrize(
    ("meter", "wanted"), [("resolutions", set()), ("emails_sent", {"unmetered_endpoint"})]
)
def test_a_mail_is_sold_only_where_the_report_speaks_of_mails(tmp_path: Path, meter: str, wanted: set[str]) -> None:
    """The messages of a chat are no mails, and the mailbox that a report is for is none either."""
    solved = f"{NOTE}import {{ report }} from './report';\napp.post('/solve', requireUser, async (req, res) => {{\n  const mailbox = await boxOf(req.user, req.body.messageId);\n  const done = await close(mailbox);\n  await sendNote(req.user.email, done.text);\n  await report(mailbox.customer, 1, req.body.messageId);\n  res.json(done);\n}});\n"
    tree = {"report.ts": REPORT.replace("'calls'", f"'{meter}'"), "mail.ts": MAIL, "solve.ts": solved, "welcome.ts": WELCOME}
    report = audited(tmp_path, tree)
    assert codes(report) == wanted
    assert (report.verdict is Verdict.PASS) == (not wanted)
