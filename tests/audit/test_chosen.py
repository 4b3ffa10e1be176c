# ruff: noqa: E501
"""Reports that are reached by a table, by a context, by an event: each beside one that is not reached so."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
SENT = "await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: id, payload: { stripe_customer_id: customer, value: String(n) } });"
ROUTE = "app.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  SEND\n  res.json(answer);\n});\n"
GIVEN = "(req.user.customer, answer.usage.total_tokens, answer.id);"

TABLES = {
    "of functions": "const kits = {\n  stripe: { send: report },\n  none: { async send() {} },\n};\n",
    "of literals": f"const kits = {{\n  stripe: {{\n    async send(customer, n, id) {{ {SENT} }},\n  }},\n  none: {{\n    async send() {{}},\n  }},\n}};\n",
    "of objects of a class": f"class Kit {{\n  async send(customer, n, id) {{ {SENT} }}\n}}\nconst kits = {{ stripe: new Kit(), none: new None() }};\n",
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("call", "wanted"), [("kits[name].send", Verdict.PASS), ("mails[name].send", Verdict.FAIL)]
)
def test_what_a_table_holds_is_called_by_its_place(
    tmp_path: Path, table: str, call: str, wanted: Verdict
) -> None:
    report = f"async function report(customer, n, id) {{ {SENT} }}\n" if "report" in TABLES[table] else ""
    made = HEAD + report + TABLES[table] + ROUTE.replace("SEND", f"await {call}{GIVEN}")
    assert audited(tmp_path, {"server.ts": made}).verdict is wanted


TRPC = "import { createContext } from './context';\nexport const { router, protectedProcedure } = initTRPC.context<typeof createContext>().create();\n"
CONTEXTS = [("ctx.billing.trackUsage", Verdict.PASS), ("ctx.billing.trackVisit", Verdict.FAIL)]


@pytest.mark.parametrize(("call", "wanted"), CONTEXTS)
def test_what_a_context_holds_is_called_through_it(tmp_path: Path, call: str, wanted: Verdict) -> None:
    made = f"{HEAD}export const createContext = () => ({{\n  billing: {{\n    async trackUsage(customer, n, id) {{ {SENT} }},\n  }},\n}});\n"
    routes = f"import {{ router, protectedProcedure }} from './trpc';\nexport const all = router({{\n  run: protectedProcedure.mutation(async ({{ ctx }}) => {{\n    const answer = await openai.responses.create({{ input: 'x' }});\n    await {call}(ctx.user.customer, answer.usage.total_tokens, answer.id);\n    return answer;\n  }}),\n}});\n"
    assert audited(tmp_path, {"context.ts": made, "trpc.ts": TRPC, "router.ts": routes}).verdict is wanted


HEARD: dict[str, tuple[str, str, set[str]]] = {
    "told and left alone": ("'used'", "bus.emit('used', { customer: req.user.customer, n: 1, id: answer.id });", {"fire_and_forget"}),
    "told to the listeners": ("'used'", "await bus.emitAsync('used', { customer: req.user.customer, n: 1, id: answer.id });", set()),
    "how much is the caller's word": ("'used'", "await bus.emitAsync('used', { customer: req.user.customer, n: req.body.tokens, id: answer.id });", {"client_supplied_quantity"}),
}  # fmt: skip


@pytest.mark.parametrize("told", HEARD)
def test_a_listener_of_the_process_hears_what_is_emitted(tmp_path: Path, told: str) -> None:
    word, emitted, wanted = HEARD[told]
    made = f"{HEAD}bus.on({word}, async ({{ customer, n, id }}) => {{\n  {SENT}\n}});\n" + ROUTE.replace(
        "SEND", emitted
    )
    assert codes(audited(tmp_path, {"server.ts": made})) == wanted
