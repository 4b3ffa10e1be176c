# ruff: noqa: E501
"""Clocks that JavaScript keeps itself, and what a cloud is told to run and how often. Twins by speed and by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY);\n"
DRAIN = f"{HEAD}import {{ db }} from './db';\nexport async function drainUsage() {{ for (const row of await db.usageEvents.findMany({{ where: {{ reportedAt: null }} }})) {{ await stripe.billing.meterEvents.create({{ event_name: 'c', identifier: row.id, timestamp: row.at, payload: {{ stripe_customer_id: row.customerId, value: String(row.tokens) }} }}); await db.usageEvents.update({{ where: {{ id: row.id }}, data: {{ reportedAt: new Date() }} }}); }} }}\n"
ROUTE = "import { db } from './db';\napp.post('/run', requireUser, async (req, res) => { const answer = await openai.responses.create({ input: req.body.prompt }); await db.usageEvents.create({ data: { customerId: req.user.customer, tokens: answer.usage.total_tokens } }); res.json(answer); });\n"
MINUTES, DAYS = "5 * 60 * 1000", "24 * 60 * 60 * 1000"
RATES = ("rate(5 minutes)", "rate(1 day)")
CRONS = ("*/5 * * * *", "0 3 * * *")
HANDLER = "export const handler = async () => { await drainUsage(); };\n"
CASES: dict[str, tuple[Tree, tuple[str, str]]] = {
    "a timer set again": ({"src/job.ts": "async function turn() { await drainUsage(); setTimeout(turn, WHEN); }\nturn();\n"}, (MINUTES, DAYS)),
    "a timer set again in a literal": ({"src/job.ts": "async function turn() { try { await drainUsage(); } finally { setTimeout(() => turn(), WHEN); } }\nturn();\n"}, (MINUTES, DAYS)),
    "a loop that sleeps": ({"src/job.ts": "async function loop() { while (true) { await drainUsage(); await sleep(WHEN); } }\nloop();\n"}, (MINUTES, DAYS)),
    "a loop with a promise": ({"src/job.ts": "async function loop() { for (;;) { await drainUsage(); await new Promise((r) => setTimeout(r, WHEN)); } }\nloop();\n"}, (MINUTES, DAYS)),
    "an interval": ({"src/job.ts": "@Injectable()\nexport class Drain { @Interval('drain', WHEN) async handle() { await drainUsage(); } }\n"}, ("300000", "86400000")),
    "one of several crons": ({"src/job.ts": "export default { async fetch() {}, async scheduled(event) { if (event.cron === '0 1 * * *') { await mail(); }\n if (event.cron === 'WHEN') { await drainUsage(); } } };\n", "wrangler.toml": "[triggers]\ncrons = [\"0 1 * * *\", \"WHEN\", \"30 * * * *\"]\n"}, CRONS),
    "SST": ({"src/job.ts": HANDLER, "sst.config.ts": "new sst.aws.Cron('Mail', { function: 'src/mail.handler', schedule: 'rate(2 hours)' });\nnew sst.aws.Cron('Drain', { function: 'src/job.handler', schedule: 'WHEN' });\n"}, RATES),
    "SST with a function": ({"src/job.ts": HANDLER, "stacks/jobs.ts": "const drainer = new Function(stack, 'drain', { handler: 'src/job.handler' });\nnew Cron(stack, 'cron', { job: drainer, schedule: 'WHEN' });\nconst mailer = new Function(stack, 'mail', { handler: 'src/mail.handler' });\nnew Cron(stack, 'mails', { job: mailer, schedule: 'rate(1 minute)' });\nnew Function(stack, 'again', { handler: 'src/job.handler' });\n"}, RATES),
    "CDK": ({"src/job.ts": HANDLER, "stacks/jobs.ts": "const drainFn = new NodejsFunction(this, 'Drain', { entry: 'src/job.ts' });\nnew Rule(this, 'R', { schedule: Schedule.rate(WHEN), targets: [new LambdaFunction(drainFn)] });\n"}, ("Duration.minutes(5)", "Duration.days(1)")),
    "serverless": ({"src/job.ts": "export const mail = async () => {};\nexport const drain = async () => { await drainUsage(); };\n", "serverless.yml": "functions:\n  mail:\n    handler: src/job.mail\n    events:\n      - schedule: rate(2 minutes)\n  drain:\n    handler: src/job.drain\n    events:\n      - schedule: WHEN\n"}, RATES),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_how_often_it_runs(tmp_path: Path, name: str) -> None:
    tree, (quick, slow) = CASES[name]
    for folder, when, wanted in (("quick", quick, set()), ("slow", slow, {"scheduled_reporting"})):
        given = {path: text.replace("WHEN", when) for path, text in tree.items()}
        given["src/job.ts"] = "import { drainUsage } from './drain';\n" + given["src/job.ts"]
        report = audited(tmp_path / folder, {"src/drain.ts": DRAIN, "src/server.ts": ROUTE, **given})
        assert codes(report) == wanted, folder
        assert report.verdict is (Verdict.FAIL if wanted else Verdict.PASS)


REPORT = "await stripe.billing.meterEvents.create({ event_name: 'c', identifier: event.id, payload: { stripe_customer_id: event.customer, value: '1' } });"
DEPLOYED = {
    "serverless.yml": "functions:\n  bill:\n    handler: src/usage.bill\n",
    "template.yaml": "Resources:\n  Bill:\n    Properties:\n      Handler: src/usage.bill\n",
    "stacks/api.ts": "new Function(stack, 'fn', { handler: 'src/usage.bill' });\n",
}


@pytest.mark.parametrize("file", sorted(DEPLOYED))
def test_what_is_deployed_by_name_is_live(tmp_path: Path, file: str) -> None:
    tree = {"src/usage.js": f"{HEAD}export const bill = async (event) => {{ {REPORT} }};\n"}
    assert audited(tmp_path / "live", {**tree, file: DEPLOYED[file]}).verdict is Verdict.PASS
    dead = audited(tmp_path / "dead", {**tree, file: DEPLOYED[file].replace("usage.bill", "usage.mail")})
    assert codes(dead) == {"never_reported"}


@pytest.mark.parametrize(("signature", "is_live"), [("req, res", True), ("customer, count", False)])
def test_what_only_a_server_can_call_is_served(tmp_path: Path, signature: str, is_live: bool) -> None:
    """A request and its answer: nobody else has them to give."""
    send = REPORT.replace("event.id", "'1'").replace("event.customer", "'cus_1'")
    tree = {
        "index.js": f"const stripe = require('stripe')(process.env.KEY);\nexports.run = async ({signature}) => {{ {send} }};\n"
    }
    report = audited(tmp_path, tree)
    assert (codes(report) != {"never_reported"}) is is_live


@pytest.mark.parametrize(("owner", "is_live"), [("RunsController", True), ("StripeGateway", False)])
def test_a_controller_is_found_by_its_framework(tmp_path: Path, owner: str, is_live: bool) -> None:
    send = REPORT.replace("event.id", "auth.id").replace("event.customer", "auth.user.customer")
    tree = {
        "app/controllers/runs.ts": f"{HEAD}export default class {owner} {{\n  async store({{ request, auth }}) {{ {send} }}\n}}\n"
    }
    report = audited(tmp_path, tree)
    assert (codes(report) != {"never_reported"}) is is_live
