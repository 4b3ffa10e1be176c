# ruff: noqa: E501
"""One small correct application a framework: who is asking, the work, the report; the report three files away.

In a text WORK stands for the three statements, TOKENS and OWNER for what the client could claim, LIB for the way to the
shared files. `run` names the way in, so that a second one can be made by another name.
"""

from __future__ import annotations

import posixpath
from typing import NamedTuple

from trees import Tree


class App(NamedTuple):
    """How one framework writes a way in."""

    kit: str
    path: str
    text: str
    tokens: str
    owner: str
    beside: tuple[str, str] = ("", "")  # the route that fills the queue, for workers


ASYNC, PLAIN, GO, RUBY, PHP, JAVA, SCRIPT = "python async", "python", "go", "ruby", "php", "java", "script"
BODY = "const body = await {}.json();\n  WORK\n  return "
SEND = "app.post('/start', async (req, res) => {{\n  await {}({{ prompt: req.body.prompt, tokens: req.body.tokens, customer: req.body.customer }});\n  res.json({{}});\n}});\n"
PY_SEND = "from flask import Flask, request\nfrom jobs.run import run\napp = Flask(__name__)\n\n\n@app.post('/start')\ndef start():\n    body = request.get_json()\n    run.delay(body['prompt'], body['tokens'], body['customer'])\n    return {}\n"

APPS = {
    "next-app": App(SCRIPT, "app/api/run/route.ts", f"export async function POST(req: Request) {{\n  {BODY.format('req')}Response.json(answer);\n}}\n", "body.tokens", "body.customer"),
    "next-pages": App(SCRIPT, "pages/api/run.ts", "export default async function handler(req, res) {\n  WORK\n  res.json(answer);\n}\n", "req.body.tokens", "req.body.customer"),
    "next-action": App(SCRIPT, "app/run.ts", "export async function run(prompt: string, tokens: number, customer: string) {\n  'use server';\n  WORK\n  return answer;\n}\n", "tokens", "customer"),
    "express": App(SCRIPT, "src/run.js", "import express from 'express';\nconst app = express();\napp.post('/run', async (req, res) => {\n  WORK\n  res.json(answer);\n});\n", "req.body.tokens", "req.body.customer"),
    "fastify": App(SCRIPT, "src/run.ts", "import Fastify from 'fastify';\nconst fastify = Fastify();\nfastify.post('/run', async (request, reply) => {\n  WORK\n  return answer;\n});\n", "request.body.tokens", "request.body.customer"),
    "hono": App(SCRIPT, "src/run.ts", f"import {{ Hono }} from 'hono';\nconst app = new Hono();\napp.post('/run', async (c) => {{\n  {BODY.format('c.req')}c.json(answer);\n}});\nexport default app;\n", "body.tokens", "body.customer"),
    "koa": App(SCRIPT, "src/run.js", "import Router from '@koa/router';\nconst router = new Router();\nrouter.post('/run', async (ctx) => {\n  WORK\n  ctx.body = answer;\n});\n", "ctx.request.body.tokens", "ctx.request.body.customer"),
    "nest": App(SCRIPT, "src/run.controller.ts", "@Controller('run')\nexport class RunController {\n  @Post()\n  async run(@Body() dto: RunDto) {\n    WORK\n    return answer;\n  }\n}\n", "dto.tokens", "dto.customer"),
    "trpc": App(SCRIPT, "src/run.ts", "export const runRouter = router({\n  run: protectedProcedure.input(z.object({ tokens: z.number() })).mutation(async ({ input, ctx }) => {\n    WORK\n    return answer;\n  }),\n});\n", "input.tokens", "input.customer"),
    "sveltekit": App(SCRIPT, "src/routes/run/+server.ts", f"export async function POST({{ request }}) {{\n  {BODY.format('request')}json(answer);\n}}\n", "body.tokens", "body.customer"),
    "sveltekit action": App(SCRIPT, "src/routes/run/+page.server.ts", "export const actions = {\n  default: async ({ request }) => {\n    const data = await request.formData();\n    WORK\n    return { answer };\n  },\n};\n", "Number(data.get('tokens'))", "data.get('customer')"),
    "nitro": App(SCRIPT, "server/api/run.post.ts", "export default defineEventHandler(async (event) => {\n  const body = await readBody(event);\n  WORK\n  return answer;\n});\n", "body.tokens", "body.customer"),
    "remix": App(SCRIPT, "app/routes/run.tsx", "export async function action({ request }) {\n  const form = await request.formData();\n  WORK\n  return json(answer);\n}\n", "Number(form.get('tokens'))", "form.get('customer')"),
    "supabase": App(SCRIPT, "supabase/functions/run/index.ts", f"Deno.serve(async (req) => {{\n  {BODY.format('req')}new Response(answer.text);\n}});\n", "body.tokens", "body.customer"),
    "workers": App(SCRIPT, "workers/run/index.ts", f"export default {{\n  async fetch(request, env) {{\n  {BODY.format('request')}new Response(answer.text);\n  }},\n}};\n", "body.tokens", "body.customer"),
    "firebase": App(SCRIPT, "functions/src/run.ts", "export const run = onCall(async (request) => {\n  WORK\n  return answer;\n});\n", "request.data.tokens", "request.data.customer"),
    "firebase http": App(SCRIPT, "functions/src/run.ts", "export const run = onRequest(async (req, res) => {\n  WORK\n  res.json(answer);\n});\n", "req.body.tokens", "req.body.customer"),
    "convex": App(SCRIPT, "convex/run.ts", "export const run = action({\n  args: { tokens: v.number(), customer: v.string() },\n  handler: async (ctx, args) => {\n    WORK\n    return answer;\n  },\n});\n", "args.tokens", "args.customer"),
    "lambda": App(SCRIPT, "src/run.ts", "export const handler = async (event) => {\n  const body = JSON.parse(event.body);\n  WORK\n  return { statusCode: 200, body: answer.text };\n};\n", "body.tokens", "body.customer"),
    "inngest": App(SCRIPT, "src/run.ts", "export const run = inngest.createFunction({ id: 'run' }, { event: 'app/run' }, async ({ event, step }) => {\n  WORK\n  return answer;\n});\n", "event.data.tokens", "event.data.customer", ("src/start.ts", SEND.format("((data) => inngest.send({ name: 'app/run', data }))").replace("await ((data) => inngest.send({ name: 'app/run', data }))({", "await inngest.send({ name: 'app/run', data: {").replace(" });\n  res", " } });\n  res"))),
    "trigger.dev": App(SCRIPT, "src/run.ts", "export const run = task({ id: 'run', run: async (payload) => {\n  WORK\n  return answer;\n} });\n", "payload.tokens", "payload.customer", ("src/start.ts", "import { run } from './run';\n" + SEND.format("run.trigger"))),
    "bullmq": App(SCRIPT, "src/run.ts", "new Worker('run', async (job) => {\n  WORK\n  return answer;\n});\n", "job.data.tokens", "job.data.customer", ("src/start.ts", "const queue = new Queue('run');\n" + SEND.format("queue.add").replace("add({", "add('run', {"))),
    "fastapi": App(ASYNC, "api/run.py", "from fastapi import APIRouter, Body\n\nrouter = APIRouter()\n\n\n@router.post('/run')\nasync def run(body: Ask):\n    WORK\n    return answer\n", "body.tokens", "body.customer"),
    "starlette": App(ASYNC, "api/run.py", "from starlette.routing import Route\n\n\nasync def run(request):\n    body = await request.json()\n    WORK\n    return JSONResponse(answer)\n\n\nroutes = [Route('/run', run, methods=['POST'])]\n", "body['tokens']", "body['customer']"),
    "litestar": App(ASYNC, "api/run.py", "from litestar import post\n\n\n@post('/run')\nasync def run(data: Ask) -> dict:\n    WORK\n    return answer\n", "data.tokens", "data.customer"),
    "django": App(PLAIN, "run/views.py", "from django.views.decorators.http import require_POST\n\n\n@require_POST\ndef run(request):\n    WORK\n    return JsonResponse(answer)\n", "int(request.POST['tokens'])", "request.POST['customer']"),
    "drf": App(PLAIN, "run/views.py", "from rest_framework.views import APIView\n\n\nclass RunView(APIView):\n    def post(self, request):\n        WORK\n        return Response(answer)\n", "request.data['tokens']", "request.data['customer']"),
    "flask": App(PLAIN, "api/run.py", "from flask import Blueprint, request\n\nbp = Blueprint('run', __name__)\n\n\n@bp.route('/run', methods=['POST'])\ndef run():\n    WORK\n    return answer\n", "request.json['tokens']", "request.json['customer']"),
    "celery": App(PLAIN, "jobs/run.py", "from celery import shared_task\n\n\n@shared_task\ndef run(prompt, tokens, customer):\n    WORK\n    return answer\n", "tokens", "customer", ("web.py", PY_SEND)),
    "gin": App(GO, "run.go", 'package main\n\nfunc routesRun(r *gin.Engine) {\n\tr.POST("/run", run)\n}\n\nfunc run(c *gin.Context) {\n\tvar body Ask\n\tc.BindJSON(&body)\n\tWORK\n\tc.JSON(200, answer)\n}\n', "body.Tokens", "body.Customer"),
    "net/http": App(GO, "run.go", 'package main\n\nfunc routesRun(mux *http.ServeMux) {\n\tmux.HandleFunc("/run", run)\n}\n\nfunc run(w http.ResponseWriter, r *http.Request) {\n\tWORK\n\tjson.NewEncoder(w).Encode(answer)\n}\n', 'r.FormValue("tokens")', 'r.FormValue("customer")'),
    "rails": App(RUBY, "app/controllers/run_controller.rb", "class RunController < ApplicationController\n  def create\n    WORK\n    render json: answer\n  end\nend\n", "params[:tokens]", "params[:customer]"),
    "laravel": App(PHP, "app/Http/Controllers/RunController.php", "<?php\nclass RunController extends Controller\n{\n    public function store(Request $request)\n    {\n        WORK\n        return $answer;\n    }\n}\n", "$request->input('tokens')", "$request->input('customer')"),
    "spring": App(JAVA, "src/main/java/RunController.java", "@RestController\nclass RunController {\n  @PostMapping(\"/run\")\n  public Answer run(@RequestBody Ask body) {\n    WORK\n    return answer;\n  }\n}\n", "body.tokens", "body.customer"),
}  # fmt: skip

LOOKED = {
    SCRIPT: "const account = await currentAccount();",
    ASYNC: "account = await current_account()",
    PLAIN: "account = current_account()",
    GO: "account := currentAccount()",
    RUBY: "account = current_account",
    PHP: "$account = $this->currentAccount();",
    JAVA: "Account account = people.currentAccount();",
}
MADE = {
    SCRIPT: "const answer = await generate('x');",
    ASYNC: "answer = await generate('x')",
    PLAIN: "answer = generate('x')",
    GO: 'answer := generate("x")',
    RUBY: "answer = Model.generate('x')",
    PHP: "$answer = Model::generate('x');",
    JAVA: 'Answer answer = Model.generate("x");',
}
BILLED = {
    SCRIPT: "await bill(account.customer, answer.usage.total_tokens, answer.id);",
    ASYNC: "await bill(account.customer, answer.usage.total_tokens, answer.id)",
    PLAIN: "bill(account.customer, answer.usage.total_tokens, answer.id)",
    GO: "if err := bill(account.Customer, answer.Tokens, answer.ID); err != nil {\n\tpanic(err)\n}",
    RUBY: "Billing.bill(account.customer, answer.total_tokens, answer.id)",
    PHP: "Billing::bill($account->customer, $answer->total_tokens, $answer->id);",
    JAVA: "Billing.bill(account.customer, answer.totalTokens, answer.id);",
}
HEADS = {
    SCRIPT: "import { bill } from 'LIB/billing';\nimport { generate } from 'LIB/model';\nimport { currentAccount } from 'LIB/people';\n",
    ASYNC: "from shop.billing import bill\nfrom shop.model import generate\nfrom shop.people import current_account\n",
}
HEADS[PLAIN] = HEADS[ASYNC]
METERS = {SCRIPT: "lib/meter.ts", ASYNC: "shop/meter.py", PLAIN: "shop/meter.py", GO: "meter.go", RUBY: "app/models/meter.rb", PHP: "app/Meter.php", JAVA: "src/main/java/Meter.java"}  # fmt: skip
MANIFESTS = {
    SCRIPT: ("package.json", '{"name": "shop", "dependencies": {"stripe": "18.0.0"}}'),
    ASYNC: ("requirements.txt", "stripe==12.0.0\n"),
    PLAIN: ("requirements.txt", "stripe==12.0.0\n"),
    GO: ("go.mod", "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n"),
    RUBY: ("Gemfile", 'gem "stripe", "~> 15"\n'),
    PHP: ("composer.json", '{"require": {"stripe/stripe-php": "^17.0"}}'),
    JAVA: ("pom.xml", "<project><artifactId>stripe-java</artifactId><version>29.0.0</version></project>\n"),
}
_PYTHON = {
    "shop/__init__.py": "",
    "shop/people.py": "async def current_account():\n    return await read_verified_cookie()\n",
    "shop/model.py": "from openai import AsyncOpenAI\n\nclient = AsyncOpenAI()\n\n\nasync def generate(prompt):\n    return await client.responses.create(model='m', input=prompt)\n",
    "shop/billing.py": "from shop.meter import report\n\n\nasync def bill(customer, tokens, key):\n    await report(customer, tokens, key)\n",
    "shop/meter.py": "import stripe\n\n\nasync def report(customer, value, key):\n    await stripe.billing.MeterEvent.create_async(\n        event_name='tokens',\n        identifier=key,\n        payload={'stripe_customer_id': customer, 'value': str(value)},\n    )\n",
}
SHARED: dict[str, Tree] = {
    SCRIPT: {
        "lib/people.ts": "export async function currentAccount() { return await readVerifiedCookie(); }\n",
        "lib/model.ts": "import OpenAI from 'openai';\nconst openai = new OpenAI();\nexport async function generate(prompt: string) {\n  return await openai.responses.create({ model: 'm', input: prompt });\n}\n",
        "lib/billing.ts": "import { report } from './meter';\nexport async function bill(customer: string, tokens: number, id: string) {\n  await report(customer, tokens, id);\n}\n",
        "lib/meter.ts": "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.STRIPE_KEY!);\nexport async function report(customer: string, value: number, id: string) {\n  await stripe.billing.meterEvents.create({\n    event_name: 'tokens',\n    identifier: id,\n    payload: { stripe_customer_id: customer, value: String(value) },\n  });\n}\n",
    },
    ASYNC: _PYTHON,
    PLAIN: {
        path: text.replace("async def", "def").replace("await ", "").replace("create_async", "create").replace("Async", "")
        for path, text in _PYTHON.items()
    },
    GO: {
        "model.go": 'package main\n\nfunc generate(prompt string) Answer {\n\treturn client.Responses.Create(prompt)\n}\n',
        "billing.go": "package main\n\nfunc bill(customer string, tokens string, id string) error {\n\treturn report(customer, tokens, id)\n}\n",
        "meter.go": 'package main\n\nfunc report(customer string, value string, id string) error {\n\t_, err := meterevent.New(&stripe.BillingMeterEventParams{\n\t\tIdentifier: stripe.String(id),\n\t\tPayload: map[string]string{"value": value, "stripe_customer_id": customer},\n\t})\n\treturn err\n}\n',
    },
    RUBY: {
        "app/models/model.rb": "class Model\n  def self.generate(prompt)\n    client.responses.create(input: prompt)\n  end\nend\n",
        "app/models/billing.rb": "class Billing\n  def self.bill(customer, tokens, id)\n    Meter.report(customer, tokens, id)\n  end\nend\n",
        "app/models/meter.rb": "class Meter\n  def self.report(customer, value, id)\n    Stripe::Billing::MeterEvent.create(\n      event_name: 'tokens', identifier: id,\n      payload: { value: value, stripe_customer_id: customer }\n    )\n  end\nend\n",
    },
    PHP: {
        "app/Model.php": "<?php\nclass Model\n{\n    public static function generate($prompt)\n    {\n        return $client->responses()->create(['input' => $prompt]);\n    }\n}\n",
        "app/Billing.php": "<?php\nclass Billing\n{\n    public static function bill($customer, $tokens, $id)\n    {\n        Meter::report($customer, $tokens, $id);\n    }\n}\n",
        "app/Meter.php": "<?php\nclass Meter\n{\n    public static function report($customer, $value, $id)\n    {\n        $stripe->billing->meterEvents->create([\n            'event_name' => 'tokens',\n            'identifier' => $id,\n            'payload' => ['value' => $value, 'stripe_customer_id' => $customer],\n        ]);\n    }\n}\n",
    },
    JAVA: {
        "src/main/java/Model.java": "class Model {\n  static Answer generate(String prompt) {\n    return client.responses.create(prompt);\n  }\n}\n",
        "src/main/java/Billing.java": "class Billing {\n  static void bill(String customer, long tokens, String id) {\n    Meter.report(customer, tokens, id);\n  }\n}\n",
        "src/main/java/Meter.java": "class Meter {\n  static void report(String customer, long value, String id) {\n    MeterEvent.create(MeterEventCreateParams.builder()\n      .setIdentifier(id).putPayload(\"stripe_customer_id\", customer).putPayload(\"value\", String.valueOf(value)).build());\n  }\n}\n",
    },
}  # fmt: skip


def statements(kit: str) -> str:
    """The correct three."""
    return "\n".join((LOOKED[kit], MADE[kit], BILLED[kit]))


def entry(app: App, work: str) -> str:
    """The text of the way in with these statements in it, indented as they stand there."""
    before = app.text.partition("WORK")[0].rpartition("\n")[2]
    work = work.replace("TOKENS", app.tokens).replace("OWNER", app.owner).replace("\n", "\n" + before)
    way = posixpath.relpath("lib", posixpath.dirname(app.path))
    suffix = ".ts" if "supabase" in app.path else ""
    head = HEADS.get(app.kit, "").replace("LIB", way if way.startswith(".") else f"./{way}")
    return head.replace("';", f"{suffix}';") + app.text.replace("WORK", work)


def application(app: App, work: str = "") -> Tree:
    """The whole tree, correct unless other statements are given."""
    name, text = MANIFESTS[app.kit]
    tree = {name: text, **SHARED[app.kit], app.path: entry(app, work or statements(app.kit))}
    return tree | ({app.beside[0]: app.beside[1]} if app.beside[0] else {})


def sibling(app: App, work: str) -> Tree:
    """A second way in beside the first, by another name."""
    other = app._replace(
        **{key: getattr(app, key).replace("run", "batch").replace("Run", "Batch") for key in ("path", "text")}
    )
    return {other.path: entry(other, work)}
