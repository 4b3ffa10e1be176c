# ruff: noqa: E501
"""The same billed work without the meter, by a sibling that clients can call. Twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

PACKAGE = (
    '{"dependencies": {"convex": "1.29", "@useautumn/convex": "^0.0.23", "autumn-js": "^0.1.75", "ai": "5"}}'
)
CONVEX: Tree = {
    "package.json": PACKAGE,
    "convex/autumn.ts": "import { Autumn } from '@useautumn/convex';\nexport const autumn = new Autumn(components.autumn, { secretKey: process.env.AUTUMN_SECRET_KEY ?? '', identify });\n",
    "convex/builders.ts": "import { customAction, customMutation } from 'convex-helpers/server/customFunctions';\nimport { action, mutation } from './_generated/server';\nexport const memberMutation = customMutation(mutation, { args: {}, input: async (ctx) => ({ ctx: { user: await userOf(ctx) }, args: {} }) });\nexport const memberAction = customAction(action, { args: {}, input: async (ctx) => ({ ctx: { user: await userOf(ctx) }, args: {} }) });\n",
}
SEND = """import { generateObject } from 'ai';
import { api, internal } from './_generated/api';
import { autumn } from './autumn';
import { memberMutation } from './builders';
import { action, internalAction } from './_generated/server';
export const sendMessage = memberMutation({
  args: { text: v.string() },
  handler: async (ctx, args) => {
    const { error } = await autumn.track(ctx, { featureId: 'messages', value: 1 });
    if (error) throw new Error(error.message);
    await ctx.scheduler.runAfter(0, API.chat.translate, { text: args.text });
  },
});
export const translate = BUILDER({
  args: { text: v.string() },
  handler: async (ctx, args) => {
    const { object } = await generateObject({ model: 'm', prompt: args.text });
    await ctx.runMutation(internal.chat.keep, { text: object.text });
  },
});
"""


def chat(builder: str) -> Tree:
    api = "internal" if builder.startswith("internal") else "api"
    return {**CONVEX, "convex/chat.ts": SEND.replace("API", api).replace("BUILDER", builder)}


@pytest.mark.parametrize(
    ("builder", "wanted"),
    [("action", {"unmetered_endpoint"}), ("memberAction", {"unmetered_endpoint"}), ("internalAction", set())],
)
def test_what_a_metered_mutation_starts_can_be_called_by_clients(
    tmp_path: Path, builder: str, wanted: set[str]
) -> None:
    assert codes(audited(tmp_path, chat(builder))) == wanted


def test_whoever_signs_what_he_sends_is_no_customer(tmp_path: Path) -> None:
    http = "import { httpRouter } from 'convex/server';\nimport { internal } from './_generated/api';\nimport { httpAction } from './_generated/server';\nconst http = httpRouter();\nhttp.route({ path: '/incoming', method: 'POST', handler: httpAction(async (ctx, request) => {\n  const event = CHECK(await request.text(), request.headers.get('signature'));\n  await ctx.runAction(internal.chat.translate, { text: event.text });\n  return new Response();\n}) });\nexport default http;\n"
    for check, wanted in (("verifyEventSignature", set()), ("JSON.parse", {"unmetered_endpoint"})):
        tree = {**chat("internalAction"), "convex/http.ts": http.replace("CHECK", check)}
        assert codes(audited(tmp_path / check, tree)) == wanted


def test_what_only_the_server_calls_is_no_program(tmp_path: Path) -> None:
    """An internal action that others run has their ways, and none of its own."""
    tree = {
        **CONVEX,
        "convex/track.ts": "import { autumn } from './autumn';\nimport { internalAction } from './_generated/server';\nexport const spend = internalAction({ args: { n: v.number() }, handler: async (ctx, args) => {\n  const { error } = await autumn.track(ctx, { featureId: 'credits', value: args.n });\n  if (error) throw new Error(error.message);\n} });\n",
        "convex/runs.ts": "import { internal } from './_generated/api';\nimport { memberAction } from './builders';\nexport const run = memberAction({ args: {}, handler: async (ctx) => {\n  const answer = await work();\n  await ctx.runAction(internal.track.spend, { n: answer.tokens });\n} });\n",
    }
    report = audited(tmp_path, tree)
    assert [one.route for one in report.endpoints] == ["memberAction run"]


STEP = """import { createStep } from '@mastra/core/workflows';
import { writer } from '../agents';
import { ingest } from '../billing';
export const draft = createStep({
  id: 'draft',
  execute: async ({ inputData }) => {
    const result = await writer_agent.generate(inputData.prompt);
    await ingest(inputData.userId, QUANTITY);
    return result.text;
  },
});
"""
INGEST = "import { Polar } from '@polar-sh/sdk';\nconst polar = new Polar({ accessToken: process.env.POLAR });\nexport async function ingest(externalCustomerId: string, units: number) { await polar.events.ingest({ events: [{ name: 'ai', externalCustomerId, metadata: { units } }] }); }\n"
SERVED = """import { Elysia, t } from 'elysia';
export const routes = new Elysia({ prefix: '/sdk' })
  .macro({ signed: { async resolve({ request }) { return { session: await sessionOf(request) }; } } })
  .get('/ADDRESS', async ({ query, session }) => {
    const agent = mastra.getAgent('assistant');
    BODY
    return (await agent.stream(query.message)).toTextStreamResponse();
  }, { signed: true });
"""


@pytest.mark.parametrize(
    ("quantity", "address", "body", "wanted"),
    [
        ("result.usage.totalTokens", "assistant", "", {"unmetered_endpoint"}),
        ("1", "assistant", "", set()),
        ("result.usage.totalTokens", "suggestions", "", set()),
        ("result.usage.totalTokens", "assistant", "agent.use(await decryptKey(session.user.apiKey));", set()),
    ],
)
def test_where_tokens_are_sold_whatever_asks_a_model_is_sold(
    tmp_path: Path, quantity: str, address: str, body: str, wanted: set[str]
) -> None:
    """A drafting step is no reason to bill an assistant, but its tokens are."""
    tree = {
        "package.json": '{"dependencies": {"@mastra/core": "0.20", "@polar-sh/sdk": "0.34", "elysia": "1.4"}}',
        "src/workflows/draft.ts": STEP.replace("QUANTITY", quantity),
        "src/billing.ts": INGEST,
        "src/routes/sdk.ts": SERVED.replace("ADDRESS", address).replace("BODY", body),
    }
    assert codes(audited(tmp_path, tree)) == wanted


def test_a_step_of_a_workflow_is_no_schedule(tmp_path: Path) -> None:
    """What an agent or a workflow runs is started by it, and nothing has to say how often."""
    tree = {
        "package.json": '{"dependencies": {"@mastra/core": "0.20", "@polar-sh/sdk": "0.34"}}',
        "src/tools/search-tool.ts": STEP.replace("createStep", "createTool").replace("QUANTITY", "1"),
        "src/billing.ts": INGEST,
    }
    report = audited(tmp_path, tree)
    assert (codes(report), [one.route for one in report.endpoints]) == (set(), ["createTool draft"])


TWO_ADDRESSES = """import express from 'express';
import { metered, allowed } from './meter';
import { runModel } from './model';
const app = express();
export async function chat(req, res) { res.json(await runModel(req.body.prompt)); }
app.use('/v1/chat', metered);
app.post('/v1/chat', chat);
app.METHOD('ADDRESS', BEFORE chat);
app.listen(3000);
"""
METER = """import Stripe from 'stripe';
const stripe = new Stripe(process.env.STRIPE_KEY!);
export function allowed(req, res, next) { req.user ? next() : res.status(401).end(); }
export async function metered(req, res, next) {
  await stripe.billing.meterEvents.create({ event_name: 'chats', identifier: req.id, payload: { stripe_customer_id: req.user.customer, value: '1' } });
  next();
}
"""


@pytest.mark.parametrize(
    ("method", "address", "before", "wanted"),
    [
        ("post", "/v2/chat", "", {"unmetered_endpoint"}),
        ("post", "/v2/chat", "allowed,", {"unmetered_endpoint"}),
        ("post", "/v2/chat", "metered,", set()),
        ("post", "/v1/chat/again", "", set()),
        ("get", "/v2/chat", "", set()),
        ("post", "/demo/chat", "", set()),
    ],
)
def test_one_handler_at_two_addresses(
    tmp_path: Path, method: str, address: str, before: str, wanted: set[str]
) -> None:
    routes = TWO_ADDRESSES.replace("METHOD", method).replace("ADDRESS", address).replace("BEFORE", before)
    tree = {
        "package.json": '{"dependencies": {"express": "5", "stripe": "18.0.0"}}',
        "src/app.ts": routes,
        "src/meter.ts": METER,
        "src/model.ts": "import OpenAI from 'openai';\nconst ai = new OpenAI();\nexport const runModel = (prompt) => ai.responses.create({ model: 'm', input: prompt });\n",
    }
    assert codes(audited(tmp_path, tree)) == wanted
