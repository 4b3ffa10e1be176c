# ruff: noqa: E501
"""Reporters that nobody calls by their name: handlers on a bus, members of tables, what a decorator or a view runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

SENT = "await stripe.billing.meterEvents.create({ event_name: 'x', identifier: key, payload: { stripe_customer_id: customer, value: String(count) } });"
HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
BILL = f"{HEAD}export async function report(customer: string, count: number, key: string) {{ {SENT} }}\n"
GIVEN = "{ customer: req.user.customer, count: out.n, key: out.id }"


def route(call: str, before: str = "") -> str:
    """A route of Express that does the work and then makes this call."""
    return f"{before}\nexpress().post('/run', requireUser, async (req, res) => {{ const out = await llm(req.body.p); {call}; res.json(out); }});\n"


CQRS = "import { ReportUsage } from './report.command';\n@Controller('run')\n@UseGuards(AuthGuard)\nexport class RunController {\n  constructor(private readonly bus: CommandBus) {}\n  @Post()\n  async run(@CurrentUser() user, @Body() dto: RunDto) { const out = await llm(dto.p); CALL; return out; }\n}\n"
HANDLER = f"import {{ ReportUsage }} from './report.command';\n{HEAD}@CommandHandler(ReportUsage)\nexport class ReportUsageHandler implements ICommandHandler<ReportUsage> {{\n  async execute(command: ReportUsage) {{ const {{ customer, count, key }} = command; {SENT} }}\n}}\n"
COMMAND = "export class ReportUsage { constructor(public readonly customer: string, public readonly count: number, public readonly key: string) {} }\nexport class Other { constructor(public readonly customer: string, public readonly count: number, public readonly key: string) {} }\n"
TABLE = "import { report } from './bill';\nexport const TABLE: Record<string, Fn> = { used: async ({ customer, count, key }) => { await report(customer, count, key); }, other: async () => {} };\n"

CALLED: dict[str, tuple[Tree, str]] = {
    "nest": ({"report.command.ts": COMMAND, "report.handler.ts": HANDLER, "run.controller.ts": CQRS.replace("CALL", "await this.bus.execute(new ReportUsage(user.customer, out.n, out.id))")}, "new ReportUsage("),
    "a word and an object": ({"bus.ts": f"{HEAD}class Handler {{ async handle({{ customer, count, key }}) {{ {SENT} }} }}\nexport const bus = new Bus();\nbus.register('report-usage', new Handler());\n", "app.ts": route(f"await bus.dispatch('report-usage', {GIVEN})", "import { bus } from './bus';")}, "dispatch('report-usage'"),
    "a command by its name": ({"pipeline.ts": "import { Report } from './report';\nexport const pipeline = define('billing').withCommandInstance('reportUsage', Report, new Report(deps)).build();\n", "report.ts": f"{HEAD}export class Report {{ async handle({{ customer, count, key }}) {{ {SENT} }} }}\n", "app.ts": route(f"await pipeline.commands.reportUsage.send({GIVEN})", "import { pipeline } from './pipeline';")}, "reportUsage.send("),
    "a table of another file": ({"bill.ts": BILL, "table.ts": TABLE, "app.ts": route(f"await TABLE[out.kind]({GIVEN})", "import { TABLE } from './table';")}, "TABLE[out.kind]("),
    "picked from a table": ({"bill.ts": BILL, "table.ts": TABLE, "app.ts": route(f"const act = TABLE[out.kind]; await act({GIVEN})", "import { TABLE } from './table';")}, "= TABLE[out.kind]"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLED)
def test_a_handler_is_found_by_what_it_handles(tmp_path: Path, name: str) -> None:
    """It is called where its word is said, or what it handles is made; where another is, it is not."""
    tree, said = CALLED[name]
    report = audited(tmp_path / "right", tree)
    assert (report.verdict, codes(report)) == (Verdict.PASS, set()), report.findings
    other = {
        path: text.replace(said, said.replace("ReportUsage", "Other").replace("report-usage", "other").replace("reportUsage", "other").replace("TABLE", "OTHERS"))
        if path.startswith(("app", "run"))
        else text
        for path, text in tree.items()
    }  # fmt: skip
    wrong = audited(tmp_path / "wrong", other)
    assert not wrong.endpoints
    assert wrong.verdict is not Verdict.PASS


def test_an_event_that_is_not_waited_for(tmp_path: Path) -> None:
    """A bus within the process forgets what it was told when that ends."""
    tree = {
        "report.command.ts": COMMAND,
        "report.handler.ts": HANDLER.replace("CommandHandler", "EventsHandler").replace(
            "execute(", "handle("
        ),
        "run.controller.ts": CQRS.replace(
            "CALL", "this.bus.publish(new ReportUsage(user.customer, out.n, out.id))"
        ),
    }
    assert codes(audited(tmp_path, tree)) == {"fire_and_forget"}


SENT_PY = "stripe.billing.MeterEvent.create(event_name='x', identifier=key, payload={'stripe_customer_id': customer, 'value': str(count)})"
BILL_PY = f"import stripe\n\n\ndef report(customer, count, key):\n    {SENT_PY}\n"
TAKES = "from shop.bill import report\n"


def route_py(work: str, before: str) -> str:
    """A route of FastAPI with this body."""
    return f"from fastapi import Depends, FastAPI\n{before}\napp = FastAPI()\n\n\n@app.post('/run')\ndef run(p: str, user=Depends(current_user)):\n    {work}\n"


WAYS_PY: dict[str, Tree] = {
    "singledispatch": {
        "shop/events.py": f"from functools import singledispatch\n{TAKES}\n\n@singledispatch\ndef settle(event):\n    raise TypeError\n\n\n@settle.register\ndef _(event: Used):\n    report(event.customer, event.n, event.id)\n",
        "shop/app.py": route_py("out = llm(p)\n    settle(Used(user.customer, out.n, out.id))\n    return out", "from shop.events import settle"),
    },
    "a table by class": {
        "shop/bus.py": f"{TAKES}\n\ndef used(event):\n    report(event.customer, event.n, event.id)\n\n\nBY_CLASS = {{Used: used}}\n\n\ndef publish(event):\n    act = BY_CLASS.get(type(event))\n    act(event)\n",
        "shop/app.py": route_py("out = llm(p)\n    publish(Used(user.customer, out.n, out.id))\n    return out", "from shop.bus import publish"),
    },
    "a decorated method": {
        "shop/metered.py": f"from functools import wraps\n{TAKES}\n\ndef metered(work):\n    @wraps(work)\n    def inner(self, *args):\n        out = work(self, *args)\n        report(self.user.customer, out.n, out.id)\n        return out\n    return inner\n",
        "shop/runs.py": "from shop.metered import metered\n\n\nclass Runs:\n    def __init__(self, user):\n        self.user = user\n\n    @metered\n    def translate(self, p):\n        return llm(p)\n",
        "shop/app.py": route_py("return Runs(user).translate(p)", "from shop.runs import Runs"),
    },
    "left behind": {
        "shop/metered.py": f"{TAKES}\n\nclass Metered:\n    def __init__(self, user):\n        self.user = user\n\n    def __enter__(self):\n        return self\n\n    def __exit__(self, *rest):\n        report(self.user.customer, self.n, self.key)\n",
        "shop/app.py": route_py("with Metered(user) as metered:\n        return metered.keep(llm(p))", "from shop.metered import Metered"),
    },
    "an object that is called": {
        "shop/calls.py": f"{TAKES}\n\nclass Reporter:\n    def __call__(self, user, out):\n        report(user.customer, out.n, out.id)\n\n\ntell = Reporter()\n",
        "shop/app.py": route_py("out = llm(p)\n    tell(user, out)\n    return out", "from shop.calls import tell"),
    },
    "loaded by its name": {"shop/app.py": route_py("bill = importlib.import_module('shop.bill')\n    out = llm(p)\n    bill.report(user.customer, out.n, out.id)\n    return out", "import importlib")},
    "a mixin of a view": {
        "shop/mixins.py": f"{TAKES}\n\nclass MeteredMixin:\n    def perform_create(self, serializer):\n        out = serializer.save()\n        report(self.request.user.customer, out.n, out.id)\n",
        "shop/runs.py": "from rest_framework import viewsets\nfrom shop.mixins import MeteredMixin\n\n\nclass Runs(MeteredMixin, viewsets.ModelViewSet):\n    queryset = Run.objects.all()\n",
        "shop/urls.py": "from rest_framework.routers import DefaultRouter\nfrom shop.runs import Runs\n\nrouter = DefaultRouter()\nrouter.register('runs', Runs)\n",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS_PY)
def test_what_python_calls_without_its_name(tmp_path: Path, name: str) -> None:
    report = audited(tmp_path, {"shop/__init__.py": "", "shop/bill.py": BILL_PY, **WAYS_PY[name]})
    assert (report.verdict, codes(report)) == (Verdict.PASS, set()), report.findings


def test_a_mixin_of_no_view(tmp_path: Path) -> None:
    """Without the line that makes a view of it nothing calls it."""
    tree = {name: text for name, text in WAYS_PY["a mixin of a view"].items() if "urls" not in name}
    report = audited(tmp_path, {"shop/__init__.py": "", "shop/bill.py": BILL_PY, **tree})
    assert codes(report) == {"never_reported"}


def test_a_table_that_stands_for_itself(tmp_path: Path) -> None:
    """Names that are picked from tables of each other end nowhere, and the way that is there is found."""
    tree = {
        "bill.ts": BILL,
        "table.ts": "import { report } from './bill';\nconst act = FIRST[kind];\nconst other = SECOND[kind];\nconst FIRST = { a: other, b: report };\nconst SECOND = { a: act };\nexport function tell(customer, count, key) { return act(customer, count, key); }\n",
        "app.ts": route("await tell(req.user.customer, out.n, out.id)", "import { tell } from './table';"),
    }
    assert audited(tmp_path, tree).verdict is Verdict.PASS
