# ruff: noqa: E501
"""Meters that stand before routes: the sibling that they do not stand before does the same work for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

METER = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport async function record(customer: string, id: string) {\n  await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: id, payload: { stripe_customer_id: customer, value: '1' } });\n}\n"
AI = "import OpenAI from 'openai';\nconst openai = new OpenAI();\nexport async function summarize(text: string) {\n  const out = await openai.chat.completions.create({ model: 'm', messages: [] });\n  return out.choices[0].message.content;\n}\n"
BEFORE = {
    "express": "import { record } from './record';\nexport async function meter(req, res, next) {\n  try {\n    await record(req.account.customer, req.id);\n    next();\n  } catch (e) {\n    next(e);\n  }\n}\nexport const metered = (units: number) => async (req, res, next) => {\n  await record(req.account.customer, req.id);\n  next();\n};\n",
    "hono": "import { createMiddleware } from 'hono/factory';\nimport { record } from './record';\nexport const meter = createMiddleware(async (c, next) => {\n  await next();\n  await record(c.get('account').customer, c.get('id'));\n});\n",
    "fastify": "import { record } from './record';\nexport const meter = async (request, reply) => {\n  await record(request.account.customer, request.id);\n};\n",
    "koa": "import { record } from './record';\nexport async function meter(ctx, next) {\n  await next();\n  await record(ctx.state.customer, ctx.state.id);\n}\n",
}
OPEN = {
    "express": "import express, { Router } from 'express';\n",
    "hono": "import { Hono } from 'hono';\n",
    "fastify": "import Fastify from 'fastify';\n",
    "koa": "import Koa from 'koa';\nimport Router from '@koa/router';\n",
}
MADE = {
    "express": "const app = express();\n",
    "hono": "const app = new Hono();\n",
    "fastify": "const app = Fastify();\n",
    "koa": "const app = new Koa();\nconst router = new Router();\napp.use(router.routes());\n",
}
GIVEN = {
    "express": "async (req, res) => {\n  res.json(await summarize(req.body.text));\n}",
    "hono": "async (c) => {\n  return c.json(await summarize((await c.req.json()).text));\n}",
    "fastify": "async (request) => {\n  return summarize(request.body.text);\n}",
    "koa": "async (ctx) => {\n  ctx.body = await summarize(ctx.request.body.text);\n}",
}


def one_file(kit: str, body: str) -> Tree:
    head = f"{OPEN[kit]}import {{ meter, metered }} from './meter';\nimport {{ summarize }} from './ai';\n{MADE[kit]}"
    text = body.replace("HANDLER", GIVEN[kit])
    return {
        "src/record.ts": METER,
        "src/ai.ts": AI,
        "src/meter.ts": BEFORE[kit],
        "src/server.ts": f"{head}app.use(authenticate);\n{text}",
    }


USES = [  # kit, with the meter before both, with the meter before one
    ("express", "app.use(meter);\napp.post('/v1/sum', HANDLER);\napp.post('/v2/sum', HANDLER);\n", "app.use('/v1', meter);\napp.post('/v1/sum', HANDLER);\napp.post('/v2/sum', HANDLER);\n"),
    ("express", "app.use(meter);\napp.post('/digest', HANDLER);\napp.post('/sum', HANDLER);\n", "app.post('/digest', HANDLER);\napp.use(meter);\napp.post('/sum', HANDLER);\n"),
    ("express", "app.post('/digest', metered(2), HANDLER);\napp.post('/sum', metered(1), HANDLER);\n", "app.post('/digest', HANDLER);\napp.post('/sum', metered(1), HANDLER);\n"),
    ("express", "const paid = [quota, meter];\napp.post('/digest', paid, HANDLER);\napp.post('/sum', meter, HANDLER);\n", "app.route('/digest').post(HANDLER);\napp.route('/sum').post(meter, HANDLER);\n"),
    ("hono", "app.use('*', meter);\napp.post('/digest', HANDLER);\napp.post('/sum', HANDLER);\n", "app.use('/v1/*', meter);\napp.post('/v1/sum', HANDLER);\napp.post('/digest', HANDLER);\n"),
    ("hono", "app.post('/digest', meter, HANDLER);\napp.post('/sum', meter, HANDLER);\n", "app.post('/digest', HANDLER);\napp.post('/sum', meter, HANDLER);\n"),
    ("fastify", "app.addHook('onResponse', meter);\napp.post('/digest', HANDLER);\napp.post('/sum', HANDLER);\n", "app.post('/digest', { preHandler: [authenticate] }, HANDLER);\napp.post('/sum', { preHandler: [authenticate, meter] }, HANDLER);\n"),
    ("fastify", "app.post('/digest', HANDLER);\napp.addHook('preHandler', meter);\napp.post('/sum', HANDLER);\n", "app.route({ method: 'POST', url: '/digest', handler: HANDLER });\napp.route({ method: 'POST', url: '/sum', onResponse: meter, handler: HANDLER });\n"),
    ("koa", "app.use(meter);\nrouter.post('/digest', HANDLER);\nrouter.post('/sum', HANDLER);\n", "router.post('/digest', HANDLER);\nrouter.post('/sum', meter, HANDLER);\n"),
    ("koa", "router.use('/v1', meter);\nrouter.post('/v1/digest', HANDLER);\nrouter.post('/v1/sum', HANDLER);\n", "router.use('/v1', meter);\nrouter.post('/digest', HANDLER);\nrouter.post('/v1/sum', HANDLER);\n"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(USES)))
def test_a_meter_in_the_same_file(tmp_path: Path, number: int) -> None:
    kit, right, wrong = USES[number]
    if number == 8:
        right = right.replace("app.use(meter);\n", "")
    files = one_file(kit, right)
    if number == 8:  # Koa's order counts where the router is put on the application
        files["src/server.ts"] = files["src/server.ts"].replace(
            "app.use(router", "app.use(meter);\napp.use(router"
        )
    report = audited(tmp_path / "right", files)
    assert codes(report) == set(), report.findings
    report = audited(tmp_path / "wrong", one_file(kit, wrong))
    assert codes(report) == {"unmetered_endpoint"}, (report.findings, report.endpoints)


@pytest.mark.parametrize("route", ["/demo/sum", "/webhooks/sum", "/cron/sum", "/admin/sum", "/internal/sum"])
def test_what_is_not_for_customers(tmp_path: Path, route: str) -> None:
    files = one_file(
        "express", f"app.use('/v1', meter);\napp.post('/v1/sum', HANDLER);\napp.post('{route}', HANDLER);\n"
    )
    assert codes(audited(tmp_path, files)) == set()


@pytest.mark.parametrize(("last", "wanted"), [("meter, ", set()), ("", {"unmetered_endpoint"})])
def test_some_report_by_themselves(tmp_path: Path, last: str, wanted: set[str]) -> None:
    """A meter that several routes name stands before each of them, whatever others do in themselves."""
    own = "async (req, res) => {\n  const text = await summarize(req.body.text);\n  await record(req.account.customer, req.id);\n  res.json(text);\n}"
    routes = f"app.post('/own', {own});\napp.post('/a', meter, HANDLER);\napp.post('/b', {last}HANDLER);\n"
    files = one_file("express", routes)
    files["src/server.ts"] = "import { record } from './record';\n" + files["src/server.ts"]
    report = audited(tmp_path, files)
    assert codes(report) == wanted, (report.findings, report.endpoints)


PARTS = {
    "express": ("const part = Router();\n", "", "part.post('/sum', HANDLER);\nexport default part;\n"),
    "hono": ("const part = new Hono();\n", "", "part.post('/sum', HANDLER);\nexport default part;\n"),
    "fastify": ("export default async function part(app) {\n", "", "  app.post('/sum', HANDLER);\n}\n"),
}
ADDS = {
    "express": "part.use(meter);\n",
    "hono": "part.use('*', meter);\n",
    "fastify": "  app.addHook('preHandler', meter);\n",
}
PUTS = {
    "express": "app.use('/NAME', MORENAME);\n",
    "hono": "app.route('/NAME', NAME);\n",
    "fastify": "app.register(NAME, { prefix: '/NAME' });\n",
}


def files_of(kit: str, inner: tuple[bool, bool], outer: str) -> Tree:
    files = one_file(kit, "")
    names = ("one", "two")
    for name, has in zip(names, inner, strict=True):
        head, _, tail = PARTS[kit]
        imports = f"{OPEN[kit]}import {{ summarize }} from './ai';\nimport {{ meter }} from './meter';\n"
        files[f"src/{name}.ts"] = (
            f"{imports}{head}{ADDS[kit] if has else ''}{tail.replace('HANDLER', GIVEN[kit])}"
        )
    taken = "".join(f"import {name} from './{name}';\n" for name in names)
    puts = "".join(PUTS[kit].replace("NAME", name) for name in names)
    body = outer.replace("PUTS", puts)
    files["src/server.ts"] = taken + files["src/server.ts"] + body.replace("MORE", "")
    return files


@pytest.mark.parametrize("kit", sorted(PARTS))
def test_a_meter_on_a_part_of_the_application(tmp_path: Path, kit: str) -> None:
    whole = {
        "express": "app.use(meter);\n",
        "hono": "app.use(meter);\n",
        "fastify": "app.addHook('onSend', meter);\n",
    }
    for name, inner, outer, wanted in (
        ("both", (True, True), "PUTS", set()),
        ("one", (True, False), "PUTS", {"unmetered_endpoint"}),
        ("above", (False, False), f"{whole[kit]}PUTS", set()),
    ):
        report = audited(tmp_path / name, files_of(kit, inner, outer))
        assert codes(report) == wanted, (name, report.findings, report.endpoints)


def test_a_part_that_is_put_elsewhere_in_a_way_unknown(tmp_path: Path) -> None:
    """A list of routers, a folder that is loaded: nobody can tell what stands before those."""
    files = files_of("express", (True, False), "for (const one of [one, two]) app.use('/api', one);\n")
    assert codes(audited(tmp_path / "list", files)) == set()
    files = files_of(
        "express",
        (False, False),
        "app.use('/one', meter, one);\nuseAll(app, meter);\napp.use('/two', two);\n",
    )
    assert codes(audited(tmp_path / "handed", files)) == set()


PROCEDURES = "import { record } from './record';\nconst t = initTRPC.context<Context>().create();\nexport const router = t.router;\nexport const open = t.procedure.use(({ ctx, next }) => next({ ctx: { user: ctx.session.user } }));\nconst counted = t.middleware(async ({ ctx, next }) => {\n  const result = await next();\n  await record(ctx.user.customer, ctx.id);\n  return result;\n});\nexport const paid = open.use(counted);\nexport const openProcedure = open;\nexport const paidProcedure = paid.use(limited);\n"


@pytest.mark.parametrize(
    ("second", "wanted"), [("paidProcedure", set()), ("openProcedure", {"unmetered_endpoint"})]
)
def test_a_procedure_that_meters(tmp_path: Path, second: str, wanted: set[str]) -> None:
    """A procedure whose key is the name of what it calls calls what is imported."""
    route = "{key}: {made}.input(z.object({{ text: z.string() }})).mutation(async ({{ input }}) => {{\n    return summarize(input.text);\n  }}),\n"
    both = route.format(key="summarize", made="paidProcedure") + route.format(key="digest", made=second)
    text = f"import {{ router, paidProcedure, openProcedure }} from './trpc';\nimport {{ summarize }} from './ai';\nexport const ai = router({{\n{both}}});\n"
    report = audited(
        tmp_path, {"src/record.ts": METER, "src/ai.ts": AI, "src/trpc.ts": PROCEDURES, "src/router.ts": text}
    )
    assert codes(report) == wanted, (report.findings, report.endpoints)


NEST: Tree = {
    "src/record.ts": METER,
    "src/ai.service.ts": "import OpenAI from 'openai';\nexport class AiService {\n  private readonly openai = new OpenAI();\n  async summarize(text: string) {\n    return this.openai.chat.completions.create({ model: 'm', messages: [] });\n  }\n}\n",
    "src/usage.ts": "import { record } from './record';\nexport class UsageInterceptor implements NestInterceptor {\n  async intercept(context: ExecutionContext, next: CallHandler) {\n    const { user, id } = context.switchToHttp().getRequest();\n    await record(user.customer, id);\n    return next.handle();\n  }\n}\n",
}
APPLIED = "import { record } from './record';\nexport class UsageInterceptor implements NestMiddleware {\n  async use(req, res, next) {\n    await record(req.user.customer, req.id);\n    next();\n  }\n}\n"
CONTROLLER = "import { AiService } from './ai.service';\nimport { UsageInterceptor } from './usage';\n@Controller('PATH')\n@UseGuards(AuthGuard)\nCLASSexport class NAMEController {\n  constructor(private readonly ai: AiService) {}\n  @Post('sum')\nMETHOD  async sum(@Body() body: Ask) {\n    return this.ai.summarize(body.text);\n  }\n}\n"
USED = "@UseInterceptors(UsageInterceptor)\n"


def controllers(one: tuple[str, str], two: tuple[str, str], module: str, provided: str = "") -> Tree:
    files = {**NEST}
    for name, path, (on_class, on_method) in (("One", "v1", one), ("Two", "v2", two)):
        text = CONTROLLER.replace("PATH", path).replace("NAME", name)
        files[f"src/{path}.controller.ts"] = text.replace("CLASS", on_class).replace("METHOD", on_method)
    head = "import { OneController } from './v1.controller';\nimport { TwoController } from './v2.controller';\nimport { UsageInterceptor } from './usage';\n"
    files["src/app.module.ts"] = (
        f"{head}@Module({{\n  controllers: [OneController, TwoController],\n  providers: [{provided}AiService],\n}})\nexport class AppModule {{\n{module}}}\n"
    )
    return files


@pytest.mark.parametrize(
    ("one", "two", "provided", "wanted"),
    [
        ((USED, ""), (USED, ""), "", set()),
        ((USED, ""), ("", ""), "UsageInterceptor, ", {"unmetered_endpoint"}),
        (("", USED), ("", USED), "", set()),
        (("", USED), ("", ""), "", {"unmetered_endpoint"}),
        ((USED, ""), ("", ""), "{ provide: APP_INTERCEPTOR, useClass: UsageInterceptor }, ", set()),
        (("", ""), ("", ""), "{ provide: APP_INTERCEPTOR, useClass: UsageInterceptor }, ", set()),
    ],
)
def test_an_interceptor(
    tmp_path: Path, one: tuple[str, str], two: tuple[str, str], provided: str, wanted: set[str]
) -> None:
    report = audited(tmp_path, controllers(one, two, "", provided))
    assert codes(report) == wanted, (report.findings, report.endpoints)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("'*'", set()),
        ("OneController, TwoController", set()),
        ("OneController", {"unmetered_endpoint"}),
        ("'v1/*'", {"unmetered_endpoint"}),
        ("{ path: 'v1/sum', method: RequestMethod.POST }", {"unmetered_endpoint"}),
    ],
)
def test_a_middleware_that_is_applied(tmp_path: Path, given: str, wanted: set[str]) -> None:
    module = f"  configure(consumer: MiddlewareConsumer) {{\n    consumer.apply(UsageInterceptor).forRoutes({given});\n  }}\n"
    files = {**controllers(("", ""), ("", ""), module), "src/usage.ts": APPLIED}
    report = audited(tmp_path, files)
    assert codes(report) == wanted, (report.findings, report.endpoints)


FAST: Tree = {
    "app/__init__.py": "",
    "app/record.py": "import stripe\n\nasync def record(customer, key):\n    await stripe.billing.MeterEvent.create_async(event_name='c', identifier=key, payload={'stripe_customer_id': customer, 'value': '1'})\n",
    "app/ai.py": "from openai import AsyncOpenAI\nclient = AsyncOpenAI()\n\nasync def summarize(text):\n    return await client.chat.completions.create(model='m', messages=[])\n",
    "app/deps.py": "from fastapi import Depends\nfrom app.record import record\n\nasync def counted(user=Depends(current_user)):\n    await record(user.customer_id, new_id())\n    return user\n",
}  # fmt: skip
PART = "from fastapi import APIRouter, Depends\nfrom app.deps import counted\nfrom app.ai import summarize\nrouter = APIRouter(HERE)\n\n@router.post('/sum')\nasync def run(ask: Ask, user=Depends(current_user)):\n    return await summarize(ask.text)\n"
DEPENDS = "dependencies=[Depends(counted)]"


@pytest.mark.parametrize(
    ("one", "two", "wanted"),
    [
        ((DEPENDS, ""), (DEPENDS, ""), set()),
        ((DEPENDS, ""), ("", ""), {"unmetered_endpoint"}),
        (("", DEPENDS), ("", DEPENDS), set()),
        (("", DEPENDS), ("", ""), {"unmetered_endpoint"}),
        ((DEPENDS, ""), ("", DEPENDS), set()),
    ],
)
def test_what_all_routes_of_a_router_depend_on(
    tmp_path: Path, one: tuple[str, str], two: tuple[str, str], wanted: set[str]
) -> None:
    """A router asks for all its routes, and so does whoever includes it."""
    files = {**FAST, "app/one.py": PART.replace("HERE", one[0]), "app/two.py": PART.replace("HERE", two[0])}
    puts = f"api.include_router(one.router, prefix='/one', {one[1]})\napi.include_router(two.router, prefix='/two', {two[1]})\n"
    files["app/main.py"] = (
        f"from fastapi import APIRouter, Depends, FastAPI\nfrom app import one, two\nfrom app.deps import counted\napp = FastAPI()\napi = APIRouter()\n{puts}app.include_router(api)\n"
    )
    report = audited(tmp_path, files)
    assert codes(report) == wanted, (report.findings, report.endpoints)


def test_a_middleware_by_the_place_of_its_file(tmp_path: Path) -> None:
    """What a framework runs before every request is live."""
    body = "  const session = await sessionOf(request);\n  await record(session.customer, session.id);\n  return NextResponse.next();\n"
    next_one = (
        f"import {{ record }} from './src/record';\nexport async function middleware(request) {{\n{body}}}\n"
    )
    assert codes(audited(tmp_path / "next", {"src/record.ts": METER, "middleware.ts": next_one})) == set()
    hook = "import { record } from './record';\nexport const handle = async ({ event, resolve }) => {\n  await record(event.locals.customer, event.locals.id);\n  return resolve(event);\n};\n"
    assert codes(audited(tmp_path / "svelte", {"src/record.ts": METER, "src/hooks.server.ts": hook})) == set()
