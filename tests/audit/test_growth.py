"""What grows with a tree: work as its size and not as its square, and what is cut is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.trails import trails

METER = "import Stripe from 'stripe'; const stripe = new Stripe(process.env.KEY);\n"
EVENT = "{ event_name: 'u', identifier: id, payload: { stripe_customer_id: customer, value: n } }"
SENT = f"await stripe.billing.meterEvents.create({EVENT});\n"
PYTHON = (
    "stripe.billing.MeterEvent.create(event_name='u', payload={'stripe_customer_id': customer, 'value': n})\n"
)
REPORT = f"{METER}export async function report(customer, n, id) {{ {SENT} }}\n"
ROUTE = f"{METER}export async function POST(req) {{ const {{ customer, id }} = await auth(); const n = 1;\n"
FILE = "app/api/x/route.ts"


def times(line: str, size: int) -> str:
    """A line so many times, each with its number for every `#`."""
    return "".join(line.replace("#", str(number)) for number in range(size))


def one_function(size: int) -> Tree:
    """Answers that are kept, and asked for further down."""
    lines = "const rows# = await db.usage.findMany({ where: { org: a } });\nif (rows#.length) { help(rows#[0]); }\n"
    return {FILE: ROUTE + times(lines, size) + SENT + "}\n"}


def one_line(size: int) -> Tree:
    """The same without an end of a line."""
    return {FILE: ROUTE + times("const v# = await f# ( a , b ) ; ", size) + SENT + "}\n"}


def errors_noted(size: int) -> Tree:
    """Catches that keep their errors for later."""
    tries = times(f"try {{ {SENT} }} catch (e) {{ errors#.push(e); }}\n", size)
    return {FILE: f"{ROUTE}{tries}if (errors0.length) throw errors0;\n}}\n"}


def rescued(size: int) -> Tree:
    """Ruby's answers in place of errors."""
    report = "    Stripe::Billing::MeterEvent.create({ event_name: 'u', payload: { value: 1 } })\n"
    head = "class BillsController < ApplicationController\n  def create\n"
    body = times("    v# = f# rescue nil\n", size) + report
    return {"app/controllers/bills_controller.rb": f"{head}{body}  end\nend\n"}


def modules_of_one_name(size: int) -> Tree:
    """Packages that all have a module of this name, and import one."""
    module = "from models import thing\ndef f(a):\n    return thing(a)\n"
    main = f"import stripe\nfrom p0 import models\ndef main(customer, n, key):\n    {PYTHON}"
    return {f"p{number}/models.py": module for number in range(size)} | {"app.py": main}


def modules_that_import_all(size: int) -> Tree:
    """Everybody calls everybody."""
    imports, calls = (
        times("import { work# } from './m#';\n", size),
        times("await work#(customer, n, id);\n", size),
    )
    head = f"{METER}{imports}export async function work"
    tree = {
        f"m{n}.ts": f"{head}{n}(customer, n, id) {{ {'' if n else SENT} {calls} }}\n" for n in range(size)
    }
    return tree | {
        FILE: f"import {{ work1 }} from '../../../m1';\n{ROUTE} await work1(customer, n, id); }}\n"
    }


def guarded_routes(size: int) -> Tree:
    """Each route has something before it, and all have the meter."""
    own = "function own#(req, res, next) { next(); }\napp.use(own#);\n"
    routes = times(own + "app.post('/x#', own#, meter, async (req, res) => {});\n", size)
    said = f"const customer = req.user.c, n = 1, id = 'a'; {SENT} next();"
    head = f"import express from 'express'; const app = express();\n{METER}"
    return {"app.ts": f"{head}const meter = async (req, res, next) => {{ {said} }};\n{routes}"}


def tasks(size: int) -> Tree:
    """As many tasks as routes."""
    work = times(f"@shared_task(bind=True)\ndef report#(self, customer, n, key):\n    {PYTHON}", size)
    route = "@app.post('/r#')\ndef r#(user=Depends(current_user)):\n    tasks.report#.delay(user.customer, 1, 'a')\n"
    return {
        "tasks.py": f"import stripe\nfrom celery import shared_task\n{work}",
        "app.py": f"from fastapi import Depends, FastAPI\nimport tasks\napp = FastAPI()\n{times(route, size)}",
    }


def errors_recorded(size: int) -> Tree:
    """Each failed report has a table of its own."""
    route = (
        f"{ROUTE}try {{ {SENT} }} catch (e) {{ await db.failedUsage#.create({{ data: {{ id }} }}); }} }}\n"
    )
    return {f"app/api/x{n}/route.ts": route.replace("#", str(n)) for n in range(size)}


def rounds(size: int) -> Tree:
    """Clocks that send what is stored."""
    sends = "for (const r of await db.usage.findMany()) await report(r.customer, r.n, r.id);"
    return {"app.ts": REPORT + times(f"setInterval(async () => {{ {sends} }}, 60#);\n", size)}


def barrels(size: int) -> Tree:
    """Files that all hand on what all others have, and a name that none has."""
    hands = times("export * from './b#';\n", size)
    tree = {f"b{n}.ts": f"{hands}export class Part{n} {{ run() {{}} }}\n" for n in range(size)}
    asks = f"import {{ missing, Part1 }} from '../../../b0';\n{ROUTE}missing.run(); new Part1().run(); {SENT} }}\n"
    return tree | {f"app/api/x{n}/route.ts": asks for n in range(size)}


def built(size: int) -> Tree:
    """A report of events that functions put together, which put together others."""
    made = times("function event#(n) { const all = { MORE }; return { a: all, b: all, c: n }; }\n", size)
    more = ", ".join(f"k{one}: event{one}(n)" for one in range(size))
    sent = f"  await orb.events.ingest({{ events: [{{ {more} }}] }});\n"
    head = "import Orb from 'orb-billing';\nconst orb = new Orb();\n"
    route = "app.post('/run', async (req, res) => {\n  const n = req.body.n;\nSENT  res.json({});\n});\n"
    return {"app.ts": head + made.replace("MORE", more) + route.replace("SENT", sent)}


def marked(size: int) -> Tree:
    """Functions that mark rows as billed, and that nothing calls."""
    rows = "class UsageRecord(Base):\n    unit_price = Column(Float)\n    invoiced = Column(Boolean)\n"
    keep = "import stripe\nstripe.checkout.Session.create()\ndef keep(db):\n    db.add(UsageRecord())\n"
    marks = times("def close#(row):\n    row.invoiced = True\n", size)
    return {"rows.py": rows, "keep.py": keep, "marks.py": marks}


SHAPES: dict[Callable[[int], Tree], int] = {
    one_function: 400,
    one_line: 600,
    errors_noted: 60,
    rescued: 1_000,
    modules_of_one_name: 400,
    modules_that_import_all: 20,
    guarded_routes: 60,
    tasks: 90,
    errors_recorded: 60,
    rounds: 60,
    barrels: 12,
    built: 16,
    marked: 300,
}
SQUARES = (modules_that_import_all, barrels, built)  # the tree itself grows so


def calls(root: Path, tree: Tree) -> int:
    """How many functions are called to audit a tree: what it takes, on a machine of any speed."""
    number = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal number
        number += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        audited(root, tree)
    finally:
        sys.setprofile(None)
    return number


@pytest.mark.parametrize("shape", SHAPES, ids=lambda one: one.__name__)
def test_four_times_the_tree_takes_no_sixteen_times_the_calls(
    shape: Callable[[int], Tree], tmp_path: Path
) -> None:
    """Each of these once grew with the square, or worse."""
    size = SHAPES[shape]
    further = 2 if shape in SQUARES else 4
    audited(tmp_path / "warm", {"a.py": "import stripe\n"})
    small, large = calls(tmp_path / "a", shape(size)), calls(tmp_path / "b", shape(further * size))
    assert large < 11 * small


@pytest.mark.parametrize(("steps", "lost"), [(5, ()), (40, (("meter.ts", trails.FAR),))])
def test_a_way_of_many_calls_is_followed_up_to_a_limit_and_told(
    steps: int, lost: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    """Who only reads the verdict of a tree with deeper ways sees what it rests on."""
    step = "export async function step{}(c, n, id) {{ return await step{}(c, n, id); }}\n"
    chain = "".join(step.format(number, number + 1) for number in range(steps))
    last = f"export async function step{steps}(customer, n, id) {{ {SENT} }}\n"
    route = "import { step0 } from '../../../meter';\nexport async function POST() { await step0(me(), 1, 'a'); }\n"
    assert audited(tmp_path, {"meter.ts": METER + chain + last, FILE: route}).coverage.unread == lost


CALLING = (
    "import { report } from '../../../%s';\nexport async function POST() { await report(me(), 1, 'a'); }\n"
)


def test_more_steps_than_are_followed_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoints that are listed are those of the ways that were followed."""
    monkeypatch.setattr(trails, "MOST", 5)
    tree = {"meter.ts": REPORT} | {f"app/api/x{n}/route.ts": CALLING % "meter" for n in range(9)}
    report = audited(tmp_path, tree)
    assert report.coverage.unread == (("meter.ts", trails.MANY),)
    assert 0 < len(report.endpoints) < 9


@pytest.mark.parametrize("files", [3, 30])
def test_a_function_is_found_through_files_that_hand_it_on(files: int, tmp_path: Path) -> None:
    """However many barrels lie between."""
    tree = {f"b{n}.ts": f"export * from './b{n + 1}';\n" for n in range(files)} | {f"b{files}.ts": REPORT}
    report = audited(tmp_path, tree | {FILE: CALLING % "b0"})
    assert codes(report) == set()
    assert [one.place.path for one in report.endpoints] == [FILE]
