# ruff: noqa: E501
"""What becomes of a report's error in a promise, a callback, or a function that runs it; each right way beside a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

HEAD = "const stripe = require('stripe')(process.env.KEY);\n"
EVENT = "{ event_name: 'x', identifier: id, payload: { stripe_customer_id: customer, value: '1' } }"
SENT = f"stripe.billing.meterEvents.create({EVENT})"
ROUTE = "app.post('/run', requireUser, async (req, res) => { const out = await llm(req.body.p); await report(req.user.customer, out.id); res.json(out); });\n"

OF_USER = SENT.replace("id,", "out.id,").replace("customer, v", "req.user.customer, v")
METER = f"{HEAD}module.exports = async function meter(req, res, next) {{ try {{ await {SENT.replace('id,', 'req.id,').replace('customer, v', 'req.user.customer, v')}; next(); }} catch (error) {{ next(error); }} }};\n"
GUARDED = "const meter = require('./meter');\napp.post('/run', requireUser, meter, async (req, res) => { res.json(await llm(req.body.p)); });\n"


@pytest.mark.parametrize(
    "tree",
    [
        {"meter.js": METER, "server.js": GUARDED},
        {"meter.js": METER, "server.js": GUARDED.replace("requireUser, meter,", "requireUser,") + "app.use('/run', meter);\n"},
        {"server.js": f"{HEAD}const report = async function send(customer, id) {{ await {SENT}; }};\n{ROUTE}"},
        {"usage.js": f"{HEAD}exports.report = async function send(customer, id) {{ await {SENT}; }};\n", "server.js": "const { report } = require('./usage');\n" + ROUTE},
        {"usage.js": f"{HEAD}function Usage() {{}}\nUsage.prototype.report = async function (customer, id) {{ await {SENT}; }};\nmodule.exports = Usage;\n", "server.js": "const Usage = require('./usage');\nconst usage = new Usage();\n" + ROUTE.replace("report(", "usage.report(")},
    ],
    ids=["export", "used", "own name", "exports", "prototype"],
)  # fmt: skip
def test_a_function_expression_with_a_name_of_its_own(tmp_path: Path, tree: Tree) -> None:
    assert audited(tmp_path, tree).reason == "ok_synchronous"


CALLED_BACK = {
    "(error, event) => { if (error) return res.status(500).send(error); res.json(out); }": set(),
    "(error) => { if (error) { next(error); } else { res.json(out); } }": set(),
    "function (err) { callback(err, out); }": set(),
    "(error) => { if (error) console.log(error); res.json(out); }": {"errors_swallowed"},
    "(error, event) => { res.json(event); }": {"errors_swallowed"},
}


@pytest.mark.parametrize("told", CALLED_BACK)
def test_an_error_may_be_handed_to_a_callback(tmp_path: Path, told: str) -> None:
    sent = f"stripe.subscriptionItems.createUsageRecord(req.user.item, {{ quantity: out.n, timestamp: 'now' }}, {told});"
    text = f"{HEAD}app.post('/run', requireUser, (req, res, next) => {{ llm(req.body.p, (error, out) => {{ {sent} }}); }});\n"
    assert codes(audited(tmp_path, {"server.js": text})) == CALLED_BACK[told]


CHAINS = {
    "SENT.then(() => res.json(out))).catch(next);": set(),
    "SENT.then(() => res.json(out))).catch((error) => res.status(500).send(error.message));": set(),
    "{ SENT.catch(console.error); res.json(out); }).catch(next);": {"errors_swallowed", "fire_and_forget"},
}


@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_that_answers_is_waited_for(tmp_path: Path, chain: str) -> None:
    text = f"{HEAD}app.post('/run', requireUser, (req, res, next) => {{ llm(req.body.p).then((out) => {chain.replace('SENT', OF_USER)} }});\n"
    assert codes(audited(tmp_path, {"server.js": text})) == CHAINS[chain]


CAUGHT = {
    "const sent = await SENT.then(() => true).catch(() => false); if (!sent) return res.status(502).end();": set(),
    "await SENT.then(() => true).catch(() => false);": {"errors_swallowed"},
    "const [sent] = await Promise.all([SENT.catch(() => null)]); if (sent) audit(sent);": {
        "errors_swallowed"
    },
    "try { await SENT; } catch (error) { return res.status(StatusCodes.BAD_GATEWAY).end(); }": set(),
    "try { await SENT; } catch (error) { return res.json({ success: false, message: 'no' }); }": set(),
    "try { await SENT; } catch (error) { console.error(error); }": {"errors_swallowed"},
}


@pytest.mark.parametrize("way", CAUGHT)
def test_a_value_in_place_of_an_error(tmp_path: Path, way: str) -> None:
    text = f"{HEAD}app.post('/run', requireUser, async (req, res) => {{ const out = await llm(req.body.p); {way.replace('SENT', OF_USER)} res.json(out); }});\n"
    assert codes(audited(tmp_path, {"server.js": text})) == CAUGHT[way]


RUNS = {
    "for (let i = 0; i < 3; i++) { try { return await fn(); } catch (error) { if (i === 2) throw error; await sleep(100); } }": set(),
    "let last; for (let i = 0; i < 3; i++) { try { return await fn(); } catch (e) { last = e; await sleep(100); } } throw last;": set(),
    "for (let i = 0; i < 3; i++) { try { return await fn(); } catch (error) { await sleep(100); } }": {"errors_swallowed"},
    "try { return await fn(); } catch (error) { console.error(error); }": {"errors_swallowed"},
}  # fmt: skip


@pytest.mark.parametrize("body", RUNS)
def test_a_function_that_runs_the_report_has_a_say(tmp_path: Path, body: str) -> None:
    text = f"{HEAD}async function trying(fn) {{ {body} }}\n{ROUTE.replace('report(req.user.customer, out.id)', f'trying(() => {OF_USER})')}"
    assert codes(audited(tmp_path, {"server.js": text})) == RUNS[body]


KEPT = {
    "const sent = await report(req.user.customer, out.id); if (sent.isErr()) return res.status(502).end();": set(),
    "const sent = await report(req.user.customer, out.id); invariant(sent, 'billing');": set(),
    "await report(req.user.customer, out.id);": {"errors_swallowed"},
}


@pytest.mark.parametrize("asked", KEPT)
def test_an_error_that_is_a_value(tmp_path: Path, asked: str) -> None:
    report = f"export async function report(customer, id) {{ try {{ await {SENT}; return ok(id); }} catch (error) {{ return err(error); }} }}\n"
    route = f"app.post('/run', requireUser, async (req, res) => {{ const out = await llm(req.body.p); {asked} res.json(out); }});\n"
    assert codes(audited(tmp_path, {"server.ts": HEAD + report + route})) == KEPT[asked]


def test_a_limiter_runs_the_report_at_once(tmp_path: Path) -> None:
    sent = f"await limiter.schedule(() => {OF_USER})"
    tree = {"server.js": HEAD + ROUTE.replace("await report(req.user.customer, out.id)", sent)}
    assert audited(tmp_path, tree).reason == "ok_synchronous"


def test_a_handler_of_a_chain_is_no_callback(tmp_path: Path) -> None:
    text = f"{HEAD}app.post('/run', requireUser, async (req, res) => {{ const out = await llm(req.body.p); {OF_USER}.catch((error) => console.error(error)); res.json(out); }});\n"
    assert codes(audited(tmp_path, {"server.js": text})) == {"errors_swallowed", "fire_and_forget"}
