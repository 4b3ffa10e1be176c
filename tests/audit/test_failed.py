# ruff: noqa: E501
"""Where a failed report is heard of, each beside the place that looks like it and forgets the failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
EVENT = (
    "{ event_name: 'calls', identifier: id, payload: { stripe_customer_id: customer, value: String(count) } }"
)
SENT = f"await stripe.billing.meterEvents.create({EVENT});"
REPORT = f"{HEAD}export async function report(customer, count, id) {{ {SENT} }}\n"
ROUTE = "import { report } from './report';\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  SEND\n  res.json(answer);\n});\n"
REPORTED = "await report(req.user.customer, answer.usage.total_tokens, answer.id);"
SWALLOWED = {"errors_swallowed"}

CAUGHT: dict[str, set[str]] = {
    "handleError(res, e);": set(),
    "sendError(res, 'not billed');": set(),
    "logError(res, e);": SWALLOWED,
    "console.error(res, e);": SWALLOWED,
}


@pytest.mark.parametrize("caught", CAUGHT)
def test_what_is_given_the_answer_and_speaks_of_an_error_answers(tmp_path: Path, caught: str) -> None:
    tried = f"try {{ {REPORTED} }} catch (e) {{ {caught} }}"
    assert (
        codes(audited(tmp_path, {"report.ts": REPORT, "server.ts": ROUTE.replace("SEND", tried)}))
        == CAUGHT[caught]
    )


TRIES: dict[str, set[str]] = {
    "throw last;": set(),
    "console.error('gave up', last);": SWALLOWED,
}


@pytest.mark.parametrize("end", TRIES)
def test_the_last_error_of_several_tries_may_be_thrown_behind_them(tmp_path: Path, end: str) -> None:
    tries = f"let last;\n  for (let i = 0; i < 3; i++) {{ try {{ {SENT} return; }} catch (e) {{ const said = String(e); last = e; console.warn(said); }} }}\n  {end}"
    made = f"{HEAD}export async function report(customer, count, id) {{ {tries} }}\n"
    assert (
        codes(audited(tmp_path, {"report.ts": made, "server.ts": ROUTE.replace("SEND", REPORTED)}))
        == TRIES[end]
    )


REFUSED: dict[str, set[str]] = {
    "channel.nack(message, false, true);": set(),
    "channel.ack(message);": SWALLOWED,
}


@pytest.mark.parametrize("refused", REFUSED)
def test_a_message_given_back_to_its_queue_comes_again(tmp_path: Path, refused: str) -> None:
    worker = f"import {{ report }} from './report';\nchannel.consume('usage', async (message) => {{\n  try {{ const job = JSON.parse(message.content); await report(job.customer, job.count, job.id); }}\n  catch (e) {{ console.error(e); {refused} }}\n}});\n"
    assert codes(audited(tmp_path, {"report.ts": REPORT, "worker.ts": worker})) == REFUSED[refused]


ADDRESS = "'https://api.stripe.com/v1/billing/meter_events'"
POSTED = f"await fetch({ADDRESS}, {{ method: 'POST', headers: {{}}, body: new URLSearchParams({{ event_name: 'calls', identifier: id, 'payload[stripe_customer_id]': customer, 'payload[value]': String(count) }}) }})"
TRACKED = "await autumn.track({ customer_id: customer, feature_id: 'calls', value: count })"
AUTUMN = "import { Autumn } from 'autumn-js';\nconst autumn = new Autumn();\n"
ANSWERS: dict[str, tuple[str, set[str]]] = {
    "thrown": (f"const answer = {POSTED};\n  if (!answer.ok) throw new Error(await answer.text());", set()),
    "logged": (
        f"const answer = {POSTED};\n  if (!answer.ok) {{ console.error('refused', answer.status); }}",
        SWALLOWED,
    ),
    "kit, thrown": (f"const {{ error }} = {TRACKED};\n  if (error) throw new Error(error.message);", set()),
    "kit, logged": (f"const {{ error }} = {TRACKED};\n  if (error) console.error(error);", SWALLOWED),
    "raised anyway": (f"const sent = {SENT}\n  if (!sent) console.error('nothing came back');", set()),
}


@pytest.mark.parametrize("made", ANSWERS)
def test_what_does_not_raise_says_in_its_answer_that_it_failed(tmp_path: Path, made: str) -> None:
    said, wanted = ANSWERS[made]
    head = AUTUMN if "autumn" in said else HEAD
    report = f"{head}export async function report(customer, count, id) {{\n  {said}\n}}\n"
    assert (
        codes(audited(tmp_path, {"report.ts": report, "server.ts": ROUTE.replace("SEND", REPORTED)}))
        == wanted
    )


KEPT = "app.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: 'x' });\n  await db.usage.create({ data: { id: answer.id, customer: req.user.customer, count: answer.usage.total_tokens, sentAt: null } });\n  res.json(answer);\n});\n"
MARKED = "await db.usage.update({ where: { id }, data: { sentAt: new Date() } });"
DRAINS: dict[str, tuple[str, set[str]]] = {
    "left out": (f"try {{ {SENT} }}\n    catch (e) {{\n      console.error(e);\n      continue;\n    }}\n    {MARKED}", set()),
    "marked": (f"try {{ {SENT} }}\n    catch (e) {{\n      console.error(e);\n    }}\n    {MARKED}", SWALLOWED),
    "posted, left out": (f"const answer = {POSTED};\n    if (!answer.ok) {{\n      console.error('refused');\n      continue;\n    }}\n    {MARKED}", set()),
    "posted, else marked": (f"const answer = {POSTED};\n    if (answer.ok) {{\n      {MARKED}\n    }} else {{\n      console.error('refused');\n    }}", set()),
    "posted, marked": (f"const answer = {POSTED};\n    if (!answer.ok) {{\n      console.error('refused');\n    }}\n    {MARKED}", SWALLOWED),
}  # fmt: skip


@pytest.mark.parametrize("round_", DRAINS)
def test_a_row_whose_report_failed_is_not_marked(tmp_path: Path, round_: str) -> None:
    said, wanted = DRAINS[round_]
    drain = f"async function drain() {{\n  for (const {{ id, customer, count }} of await db.usage.findMany({{ where: {{ sentAt: null }} }})) {{\n    {said}\n  }}\n}}\ncron.schedule('*/5 * * * *', drain);\n"
    assert (
        codes(audited(tmp_path, {"server.ts": f"{HEAD}import {{ db }} from './db';\n{drain}{KEPT}"}))
        == wanted
    )


TUPLES: dict[str, set[str]] = {
    "const [, error] = await tryCatch(REPORTED);\n  if (error) throw error;": set(),
    "const [, error] = await tryCatch(REPORTED);\n  if (error) console.error(error);": SWALLOWED,
    "await tryCatch(REPORTED);": SWALLOWED,
    "const sent = await ResultAsync.fromPromise(REPORTED, toError);\n  if (sent.isErr()) return res.status(502).json({});": set(),
    "await io.to(REPORTED);": set(),
}


@pytest.mark.parametrize("made", TUPLES)
def test_an_error_made_an_answer_is_heard_of_where_it_is_asked_for(tmp_path: Path, made: str) -> None:
    sent = made.replace("REPORTED", REPORTED.removeprefix("await ").removesuffix(";"))
    assert (
        codes(audited(tmp_path, {"report.ts": REPORT, "server.ts": ROUTE.replace("SEND", sent)}))
        == TUPLES[made]
    )
