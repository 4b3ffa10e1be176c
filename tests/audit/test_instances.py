# ruff: noqa: E501
"""A method that several classes have: whose it is, by what was made and how it came to the caller."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

SENT = "await stripe.billing.meterEvents.create({ event_name: 'x', identifier: key, payload: { stripe_customer_id: customer, value: String(count) } });"
REPORT = f"async report(customer: string, count: number, key: string) {{ {SENT} }}"
HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
METER = f"import './seats';\n{HEAD}export class UsageMeter {{ {REPORT} }}\n"
SEATS = "export class SeatMeter { async report(customer: string, count: number, key: string) { await db.seats.update(customer, count); } }\n"


def route(call: str, before: str = "", inside: str = "") -> str:
    """A route of Express that does the work and then reports by this call."""
    return f"import './meter';\n{before}\nconst app = express();\napp.post('/run', requireUser, async (req, res) => {{ {inside} const out = await llm(req.body.p); await {call}(req.user.customer, out.n, out.id); res.json(out); }});\n"


MADE = "import { UsageMeter } from './meter';\n"
SERVICE = "export class Runs { CTOR async run(user, p) { const out = await llm(p); await this.meter.report(user.customer, out.n, out.id); return out; } }\n"
RUN = "import { container } from './main';\nimport { Runs } from './runs';\nconst app = express();\napp.post('/run', requireUser, async (req, res) => { res.json(await MAKE.run(req.user, req.body.p)); });\n"
NEST = "@Controller('run')\n@UseGuards(AuthGuard)\nexport class RunController {\n  constructor(private readonly runs: Runs) {}\n  @Post()\n  run(@CurrentUser() user, @Body() dto: RunDto) { return this.runs.run(user, dto.p); }\n}\n"

WAYS: dict[str, Tree] = {
    "an instance of another file": {
        "all.ts": f"{MADE}export const usage: UsageMeter = new UsageMeter();\n",
        "index.ts": "export * from './all';\n",
        "app.ts": route("usage.report", "import { usage } from './index';"),
    },
    "a member of a whole module": {
        "all.ts": f"{MADE}export const usage = new UsageMeter();\n",
        "app.ts": route("all.usage.report", "import * as all from './all';"),
    },
    "under another name": {"app.ts": route("x.report", "import { UsageMeter as Kit } from './meter';\nconst x = new Kit();")},
    "made when first asked for": {
        "one.ts": f"{MADE}let kept;\nexport function meterOf() {{ if (!kept) kept = new UsageMeter(); return kept; }}\n",
        "app.ts": route("meter.report", "import { meterOf } from './one';", "const meter = meterOf();"),
    },
    "a field of a field": {
        "all.ts": f"{MADE}export class Services {{ get meter() {{ return this.kept ??= new UsageMeter(); }} }}\n",
        "app.ts": route("services.meter.report", "import { Services } from './all';\nconst services = new Services();"),
    },
    "one of a list": {"app.ts": f"{MADE}import {{ SeatMeter }} from './seats';\nconst meters = [new UsageMeter(), new SeatMeter()];\nexpress().post('/run', requireUser, async (req, res) => {{ const out = await llm(req.body.p); for (const one of meters) {{ await one.report(req.user.customer, out.n, out.id); }} res.json(out); }});\n"},
    "a context": {
        "context.ts": f"{MADE}export async function createContext({{ req }}) {{ return {{ user: await userOf(req), billing: new UsageMeter() }}; }}\n",
        "router.ts": "const t = initTRPC.context<Context>().create();\nexport const appRouter = t.router({ run: protectedProcedure.input(z.object({ p: z.string() })).mutation(async ({ ctx, input }) => { const out = await llm(input.p); await ctx.billing.report(ctx.user.customer, out.n, out.id); return out; }) });\n",
    },
    "set and got": {"app.ts": f"{MADE}const app = new Hono();\napp.use('*', async (c, next) => {{ c.set('billing', new UsageMeter()); await next(); }});\napp.post('/run', requireUser, async (c) => {{ const out = await llm((await c.req.json()).p); await c.get('billing').report(c.get('user').customer, out.n, out.id); return c.json(out); }});\nexport default app;\n"},
    "decorated": {
        "plugin.ts": f"{MADE}export default fp(async (fastify) => {{ fastify.decorate('billing', new UsageMeter()); }});\n",
        "app.ts": "import plugin from './plugin';\nconst fastify = Fastify();\nfastify.register(plugin);\nfastify.post('/run', { preHandler: [requireUser] }, async (request) => { const out = await llm(request.body.p); await request.server.billing.report(request.user.customer, out.n, out.id); return out; });\n",
    },
    "by default": {
        "run.ts": f"{MADE}const usual = new UsageMeter();\nexport async function run(user, p, meter = usual) {{ const out = await llm(p); await meter.report(user.customer, out.n, out.id); return out; }}\n",
        "app.ts": "import { run } from './run';\nexpress().post('/run', requireUser, async (req, res) => { res.json(await run(req.user, req.body.p)); });\n",
    },
    "a getter": {
        "runs.ts": SERVICE.replace("CTOR", "constructor(private readonly deps: Deps) {}").replace("this.meter", "this.deps.getMeter()"),
        "app.ts": f"{MADE}import {{ Runs }} from './runs';\nconst meter = new UsageMeter();\nconst runs = new Runs({{ getMeter: () => meter }});\nexpress().post('/run', requireUser, async (req, res) => {{ res.json(await runs.run(req.user, req.body.p)); }});\n",
    },
    "awilix": {
        "main.ts": f"{MADE}import {{ Runs }} from './runs';\nexport const container = createContainer();\ncontainer.register({{ meter: asClass(UsageMeter).singleton(), runs: asClass(Runs) }});\n",
        "runs.ts": SERVICE.replace("CTOR", "constructor({ meter }) { this.meter = meter; }"),
        "app.ts": RUN.replace("MAKE", "container.resolve('runs')"),
    },
    "tsyringe": {
        "main.ts": f"{MADE}export {{ container }} from 'tsyringe';\ncontainer.register('Meter', {{ useClass: UsageMeter }});\n",
        "runs.ts": SERVICE.replace("CTOR", "constructor(@inject('Meter') private readonly meter: Meter) {}"),
        "app.ts": RUN.replace("MAKE", "container.resolve(Runs)"),
    },
    "inversify": {
        "main.ts": f"{MADE}export const container = new Container();\ncontainer.bind<Meter>(TYPES.Meter).to(UsageMeter).inSingletonScope();\n",
        "app.ts": route("meter.report", "import { container } from './main';\nconst meter = container.get<Meter>(TYPES.Meter);"),
    },
    "nest": {
        "main.ts": f"{MADE}@Module({{ providers: [{{ provide: METER, useFactory: (config) => new UsageMeter(config.key), inject: [Config] }}] }})\nexport class AppModule {{}}\n",
        "runs.ts": SERVICE.replace("CTOR", "constructor(@Inject(METER) private readonly meter: Meter) {}"),
        "run.controller.ts": f"import {{ Runs }} from './runs';\n{NEST}",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_whose_method_it_is(tmp_path: Path, name: str) -> None:
    """The one that is made is the one that is called; where the other is made, nothing reports."""
    report = audited(tmp_path / "right", {"seats.ts": SEATS, "meter.ts": METER, **WAYS[name]})
    assert (report.verdict, codes(report)) == (Verdict.PASS, set()), report.findings
    other = {
        path: text.replace("UsageMeter", "SeatMeter").replace("from './meter'", "from './seats'")
        for path, text in WAYS[name].items()
    }
    wrong = audited(tmp_path / "wrong", {"seats.ts": SEATS, "meter.ts": METER, **other})
    assert wrong.verdict is not Verdict.PASS
    assert not wrong.endpoints


SENT_PY = "stripe.billing.MeterEvent.create(event_name='x', identifier=key, payload={'stripe_customer_id': customer, 'value': str(count)})"
METER_PY = f"import stripe\nfrom shop import seats\n\n\nclass UsageMeter:\n    def report(self, customer, count, key):\n        {SENT_PY}\n"
SEATS_PY = "class SeatMeter:\n    def report(self, customer, count, key):\n        db.save(customer, count)\n"
MADE_PY = "from shop.meter import UsageMeter\n"


def route_py(call: str, before: str = "", asks: str = "") -> str:
    """A route of FastAPI that does the work and then reports by this call."""
    return f"import shop.meter\nfrom fastapi import Depends, FastAPI\n{before}\napp = FastAPI()\n\n\n@app.post('/run')\ndef run(p: str, {asks}user=Depends(current_user)):\n    out = llm(p)\n    {call}(user.customer, out.n, out.id)\n    return out\n"


WAYS_PY: dict[str, Tree] = {
    "an instance of another file": {
        "shop/all.py": f"{MADE_PY}\nusage = UsageMeter()\n",
        "shop/app.py": route_py("usage.report", "from shop.all import usage"),
    },
    "an alias of a dependency": {
        "shop/deps.py": f"{MADE_PY}\n\ndef get_meter():\n    return UsageMeter()\n\n\nMeterDep = Annotated[UsageMeter, Depends(get_meter)]\n",
        "shop/app.py": route_py("meter.report", "from shop.deps import MeterDep", "meter: MeterDep, "),
    },
    "the state of the application": {"shop/app.py": route_py("request.app.state.meter.report", MADE_PY).replace("FastAPI()\n", "FastAPI()\napp.state.meter = UsageMeter()\n")},
    "an extension": {"shop/app.py": route_py("current_app.extensions['meter'].report", MADE_PY).replace("FastAPI()\n", "FastAPI()\napp.extensions['meter'] = UsageMeter()\n")},
    "a container": {
        "shop/box.py": f"{MADE_PY}\n\nclass Box(containers.DeclarativeContainer):\n    meter = providers.Singleton(UsageMeter)\n",
        "shop/app.py": route_py("meter.report", "from shop.box import Box", "meter=Depends(Provide[Box.meter]), "),
    },
    "a setting": {
        "shop/settings.py": "METER = 'shop.meter.UsageMeter'\n",
        "shop/app.py": route_py("meter.report", "meter = import_string(settings.METER)()"),
    },
    "given to a constructor": {
        "shop/runs.py": "class Meter(Protocol):\n    def report(self, customer, count, key): ...\n\n\nclass Runs:\n    def __init__(self, meter: Meter):\n        self.meter = meter\n\n    def run(self, user, p):\n        out = llm(p)\n        self.meter.report(user.customer, out.n, out.id)\n        return out\n",
        "shop/app.py": f"import shop.meter\nfrom shop.runs import Runs\n{MADE_PY}runs = Runs(UsageMeter())\n\n\n@app.post('/run')\ndef run(p: str, user=Depends(current_user)):\n    return runs.run(user, p)\n",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS_PY)
def test_whose_method_it_is_in_python(tmp_path: Path, name: str) -> None:
    common = {"shop/__init__.py": "", "shop/seats.py": SEATS_PY, "shop/meter.py": METER_PY}
    report = audited(tmp_path / "right", {**common, **WAYS_PY[name]})
    assert (report.verdict, codes(report)) == (Verdict.PASS, set()), report.findings
    other = {
        path: text.replace("shop.meter import", "shop.seats import").replace("UsageMeter", "SeatMeter").replace("shop.meter.S", "shop.seats.S")
        for path, text in WAYS_PY[name].items()
    }  # fmt: skip
    wrong = audited(tmp_path / "wrong", {**common, **other})
    assert wrong.verdict is not Verdict.PASS
    assert not wrong.endpoints


BILL = f"{HEAD}export async function report(customer: string, count: number, key: string) {{ {SENT} }}\n"
INHERITED: dict[str, tuple[str, str, str]] = {
    "a template": ("export abstract class Metered { async run(user, p) { const out = await this.work(p); await report(user.customer, out.n, out.id); return out; } }", "async work(p) { return llm(p); }", "run"),
    "a helper of the base": ("export class Metered { protected async settle(user, out) { await report(user.customer, out.n, out.id); } }", "async go(user, p) { const out = await llm(p); await this.settle(user, out); return out; }", "go"),
    "above an own one": ("export class Metered { async settle(user, out) { await report(user.customer, out.n, out.id); } }", "async settle(user, out) { await super.settle(user, out); await db.done(out); } async go(user, p) { const out = await llm(p); await this.settle(user, out); return out; }", "go"),
    "below the base": ("export class Metered { async run(user, p) { const out = await llm(p); await this.settle(user, out); return out; } async settle(user, out) { throw new Error('abstract'); } }", "async settle(user, out) { await report(user.customer, out.n, out.id); }", "run"),
}  # fmt: skip


@pytest.mark.parametrize("name", INHERITED)
def test_what_a_class_has_from_another(tmp_path: Path, name: str) -> None:
    base, own, asked = INHERITED[name]
    tree = {
        "bill.ts": BILL,
        "base.ts": f"import {{ report }} from './bill';\n{base}\n",
        "job.ts": f"import {{ report }} from './bill';\nimport {{ Metered }} from './base';\nexport class Translation extends Metered {{ {own} }}\n",
        "app.ts": f"import {{ Translation }} from './job';\nexpress().post('/run', requireUser, async (req, res) => {{ res.json(await new Translation().{asked}(req.user, req.body.p)); }});\n",
    }
    report = audited(tmp_path, tree)
    assert (report.verdict, codes(report)) == (Verdict.PASS, set()), report.findings


@pytest.mark.parametrize("value", ["file:../common", "link:../common", "portal:../common", "^1.0.0"])
def test_a_folder_under_another_name(tmp_path: Path, value: str) -> None:
    """`"Common": "file:../common"`, whose own manifest calls it `@shop/common`; a version is another package's."""
    tree = {
        "common/package.json": '{"name": "@shop/common"}',
        "common/server/bill.ts": BILL,
        "app/package.json": f'{{"name": "app", "dependencies": {{"Common": "{value}", "stripe": "18.0.0"}}}}',
        "app/src/app.ts": "import { report } from 'Common/server/bill';\nexpress().post('/run', requireUser, async (req, res) => { const out = await llm(req.body.p); await report(req.user.customer, out.n, out.id); res.json(out); });\n",
    }
    assert bool(audited(tmp_path, tree).endpoints) is (value[0] != "^")


@pytest.mark.parametrize(
    ("call", "reports"), [("services.usage.create", True), ("prisma.usage.create", False)]
)
def test_a_table_of_the_database_is_no_service(tmp_path: Path, call: str, reports: bool) -> None:
    """What is kept as `usage` has a method `create`; so has every table."""
    tree = {
        "meter.ts": METER.replace("async report", "async create"),
        "seats.ts": SEATS.replace("async report", "async create"),
        "all.ts": f"{MADE}export function servicesOf(req) {{ return {{ usage: new UsageMeter() }}; }}\n",
        "app.ts": route(call, "import './all';"),
    }
    assert bool(audited(tmp_path, tree).endpoints) is reports
