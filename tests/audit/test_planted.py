# ruff: noqa: E501
"""One edit in a correct application, up to three files from the request: the flaw is named where it was planted.

And the other way round: other names, one more helper, another order and a second run change nothing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from applications import APPS, ASYNC, BILLED, PLAIN, SCRIPT, App, application
from msgspec.json import encode
from trees import Tree, audited, codes

from tallystick.audit.engine import audit
from tallystick.audit.model import Options, Profile, Report, Verdict

Plant = Callable[[App, str], tuple[str, int]]
Change = Callable[[App, Tree], Tree]
FOLLOWED = [name for name, app in APPS.items() if app.kit in (SCRIPT, ASYNC, PLAIN)]
AT_ONCE = [name for name in FOLLOWED if not APPS[name].beside[0]]
# One more file between billing and meter: where it stands, what it says, and how billing calls it.
TARIFF = {
    SCRIPT: ("lib/tariff.ts", "import { report } from './meter';\nexport async function settle(customer: string, tokens: number, id: string) {\n  await report(customer, tokens, id);\n}\n"),
    ASYNC: ("shop/tariff.py", "from shop.meter import report\n\n\nasync def settle(customer, tokens, key):\n    await report(customer, tokens, key)\n"),
    PLAIN: ("shop/tariff.py", "from shop.meter import report\n\n\ndef settle(customer, tokens, key):\n    report(customer, tokens, key)\n"),
}  # fmt: skip
FILES = {SCRIPT: "lib/{}.ts", ASYNC: "shop/{}.py", PLAIN: "shop/{}.py"}


def deeper(app: App, tree: Tree) -> Tree:
    """The meter three files away from the request."""
    path, text = TARIFF[app.kit]
    billing = FILES[app.kit].format("billing")
    said = tree[billing].replace("./meter", "./tariff").replace("shop.meter", "shop.tariff")
    return tree | {path: text, billing: re.sub(r"\breport\b", "settle", said)}


def unwaited(app: App, text: str) -> tuple[str, int]:
    """The file's one awaited call, not waited for."""
    number = next(index for index, line in enumerate(text.split("\n")) if "await " in line)
    lines = text.split("\n")
    lines[number] = lines[number].replace("await ", "")
    return "\n".join(lines), number + 1


def swallowed(app: App, text: str) -> tuple[str, int]:
    """The file's call in a try that only prints."""
    script = app.kit == SCRIPT
    hit = re.search(
        r"^( +)((?:await )?(?:settle|report|stripe\.\S+)\((?:[^\n]*\);?|[^)]*?\n(?:.|\n)*?\n\1\)+;?|\{\n(?:.|\n)*?\n\1\}\);))$",
        text,
        re.MULTILINE,
    )
    assert hit is not None
    indent, call = hit[1], hit[2]
    if script:
        new = f"{indent}try {{\n{indent}{call}\n{indent}}} catch (error) {{ console.error(error); }}"
    else:
        moved = call.replace("\n", "\n    ")
        new = (
            f"{indent}try:\n{indent}    {moved}\n{indent}except Exception as error:\n{indent}    print(error)"
        )
    whole = text[: hit.start()] + new + text[hit.end() :]
    return whole, whole[: whole.index("catch" if script else "except")].count("\n") + 1


def forged(app: App, text: str) -> tuple[str, int]:
    """The way in hands on the client's number."""
    own = "answer.usage.total_tokens"
    return text.replace(own, app.tokens), text[: text.index(own)].count("\n") + 1


def lines_of(report: Report, code: str) -> set[tuple[str, int]]:
    """Every line a finding of this code points at."""
    found = [one for one in report.findings if one.code == code]
    return {
        (place.path, place.line) for one in found for place in (one.place, *(hop.place for hop in one.hops))
    }


PLANTS = [(name, swallowed, "errors_swallowed") for name in FOLLOWED]
PLANTS += [
    (name, unwaited, "fire_and_forget") for name in FOLLOWED if APPS[name].kit != PLAIN
]  # nothing to await


@pytest.mark.parametrize("where", ["billing", "tariff", "meter"])
@pytest.mark.parametrize(("name", "plant", "code"), PLANTS)
def test_a_flaw_below_the_request(tmp_path: Path, name: str, plant: Plant, code: str, where: str) -> None:
    """In the first, second or third file behind the way in: the verdict turns and the edited line is named."""
    app = APPS[name]
    tree = deeper(app, application(app))
    path = FILES[app.kit].format(where)
    text, line = plant(app, tree[path])
    assert audited(tmp_path / "right", tree).verdict is Verdict.PASS
    report = audited(tmp_path / "wrong", tree | {path: text})
    assert report.verdict is Verdict.FAIL
    assert code in codes(report)
    assert (path, line) in lines_of(report, code)


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_number_of_the_client_through_three_files(tmp_path: Path, name: str) -> None:
    """Handed on in the request, sent three files away: the line of the request is named."""
    app = APPS[name]
    tree = deeper(app, application(app))
    text, line = forged(app, tree[app.path])
    report = audited(tmp_path, tree | {app.path: text})
    assert codes(report) == {"client_supplied_quantity"}
    assert (app.path, line) in lines_of(report, "client_supplied_quantity")


NAMES = {
    "bill": "charge", "report": "forward", "generate": "translate", "account": "tenant", "answer": "outcome",
    "currentAccount": "whoAsks", "current_account": "who_asks", "tokens": "amount",
}  # fmt: skip


def renamed(app: App, tree: Tree) -> Tree:
    """The same application in other words."""
    pattern = re.compile(r"(?<![\w./'])(" + "|".join(NAMES) + r")\b(?!['\"]|\.(?:ts|py))")
    kept = {app.beside[0], "package.json", "requirements.txt"}
    return {
        path: text if path in kept else pattern.sub(lambda hit: NAMES[hit[1]], text)
        for path, text in tree.items()
    }


def extracted(app: App, tree: Tree) -> Tree:
    """The report of the way in, moved to a helper of its own in a file beside the others."""
    path = FILES[app.kit].format("after")
    script = app.kit == SCRIPT
    call = "bill(account.customer, answer.usage.total_tokens, answer.id)"
    wait = "await " if "await" in BILLED[app.kit] else ""
    head = "import { bill } from './billing';\n" if script else "from shop.billing import bill\n\n\n"
    asynchronous = "async " if wait else ""
    body = (
        f"export async function after_work(account, answer) {{\n  await {call};\n}}\n"
        if script
        else f"{asynchronous}def after_work(account, answer):\n    {wait}{call}\n"
    )
    said = tree[app.path].replace(call, "after_work(account, answer)")
    said = said.replace("{ bill }", "{ after_work }").replace("import bill", "import after_work")
    return tree | {
        path: head + body,
        app.path: said.replace("/billing", "/after").replace("shop.billing", "shop.after"),
    }


def spaced(app: App, tree: Tree) -> Tree:
    """Comments and empty lines everywhere a line may stand, and the files' imports in another order."""
    mark = "// a remark" if app.kit == SCRIPT else "# a remark"
    found = {}
    for path, text in tree.items():
        heads = [
            line for line in text.split("\n") if re.match(r"(?:import|from) .*(?:billing|model|people)", line)
        ]
        for old, new in zip(heads, reversed(heads), strict=True):
            text = text.replace(f"{old}\n", f"\0{new}\n", 1)
        found[path] = (
            text.replace("\0", "")
            if path.endswith((".json", ".txt"))
            else f"{mark}\n\n" + text.replace("\0", "")
        )
    return found


def defaulted(app: App, tree: Tree) -> Tree:
    """The helper as its module's default export, one by declaration and one by name."""
    billing = (
        tree["lib/billing.ts"].replace("export async", "export default async").replace("{ report }", "report")
    )
    meter = tree["lib/meter.ts"].replace("export async", "async") + "export default report;\n"
    said = tree[app.path].replace("{ bill }", "bill")
    return tree | {"lib/billing.ts": billing, "lib/meter.ts": meter, app.path: said}


CHANGES = [(name, change) for name in FOLLOWED for change in (renamed, extracted, deeper, spaced)]
CHANGES += [(name, defaulted) for name in FOLLOWED if APPS[name].kit == SCRIPT]


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_what_means_the_same_is_judged_the_same(tmp_path: Path, name: str, change: Change) -> None:
    """The correct application stays correct, and the flaw stays the flaw."""
    app = APPS[name]
    right = application(app)
    wrong = right | {
        app.path: right[app.path]
        .replace("await bill", "bill")
        .replace("answer.usage.total_tokens", app.tokens)
    }
    before, after = audited(tmp_path / "a", wrong), audited(tmp_path / "b", change(app, right))
    assert (after.verdict, codes(after)) == (Verdict.PASS, set()), after.findings
    if change is not extracted:  # that edit looks for the correct call
        assert codes(audited(tmp_path / "c", change(app, wrong))) == codes(before)


METERING = """import { report } from './meter';
export async function metering(req, res, next) {
  await report(req.user.customer, 1, req.id);
  next();
}
"""
SERVER = """import express from 'express';
import { metering } from '../lib/metering';
import { generate } from '../lib/model';
const app = express();
app.use('/api', metering);
app.post('/api/run', async (req, res) => {
  const answer = await generate(req.body.prompt);
  res.json(answer);
});
"""


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("await report", "report", "fire_and_forget"),
        ("await report(req.user.customer, 1, req.id);", "try { await report(req.user.customer, 1, req.id); } catch (e) { console.error(e); }", "errors_swallowed"),
        ("customer, 1,", "customer, req.body.units,", "client_supplied_quantity"),
        ("req.user.customer", "req.body.customer", "client_supplied_customer"),
    ],
)  # fmt: skip
def test_a_meter_that_every_request_passes(tmp_path: Path, old: str, new: str, code: str) -> None:
    """A flaw in the middleware is a flaw of the routes behind it."""
    tree = application(APPS["express"]) | {"lib/metering.ts": METERING, "src/run.js": SERVER}
    del tree["lib/billing.ts"]
    assert audited(tmp_path / "right", tree).verdict is Verdict.PASS
    report = audited(tmp_path / "wrong", tree | {"lib/metering.ts": METERING.replace(old, new)})
    assert codes(report) == {code}
    assert ("lib/metering.ts", 3) in lines_of(report, code)


@pytest.mark.parametrize("name", APPS)
def test_the_order_of_files_and_the_run_change_no_byte(tmp_path: Path, name: str) -> None:
    """Shuffled, from the cache and without it."""
    app = APPS[name]
    tree = application(app)
    tree[app.path] = tree[app.path].replace("answer.usage.total_tokens", app.tokens)
    said = {encode(audited(tmp_path / "tree", tree))}
    for seed in range(3):
        files = sorted(tree)
        random.Random(seed).shuffle(files)
        options = Options(cache_dir=str(tmp_path / "cache")) if seed else None
        said.add(encode(audit(tmp_path / "tree", files, profile=Profile.DURABLE, options=options)))
    assert len(said) == 1
