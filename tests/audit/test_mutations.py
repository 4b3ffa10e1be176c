"""Correct applications pass; one planted flaw, up to three files from the request, turns the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import FASTAPI, NEXT, Tree, audited, codes

from tallystick.audit.model import Profile, Verdict

ROUTE, BILL, METER = "src/app/api/generate/route.ts", "src/lib/billing.ts", "src/lib/meter.ts"
MAIN, PY_BILL, PY_METER = "shop/main.py", "shop/billing.py", "shop/meter.py"
CALL = "await bill(session.user.customer, answer.usage.total_tokens, answer.id);"
SEND = "await stripe.billing.meterEvents.create({"
PY_CALL = "await bill(account.customer, answer.usage.total_tokens, answer.id)"

FLAWS = [
    (NEXT, ROUTE, "answer.usage.total_tokens", "body.tokens", "client_supplied_quantity"),
    (NEXT, ROUTE, "answer.usage.total_tokens", "Number(body.tokens ?? 1)", "client_supplied_quantity"),
    (NEXT, ROUTE, "session.user.customer", "body.customerId", "client_supplied_customer"),
    (NEXT, ROUTE, CALL, f"// {CALL}", "never_reported"),
    (NEXT, ROUTE, CALL, CALL.removeprefix("await "), "fire_and_forget"),
    (NEXT, ROUTE, CALL, f"after(async () => {{ {CALL} }});", "fire_and_forget"),
    (NEXT, ROUTE, CALL, f"waitUntil({CALL.removeprefix('await ').rstrip(';')});", "fire_and_forget"),
    (NEXT, ROUTE, CALL, f"try {{ {CALL} }} catch (e) {{ console.error(e); }}", "errors_swallowed"),
    (NEXT, ROUTE, CALL, CALL.replace(");", ").catch(() => {});"), "errors_swallowed"),
    (NEXT, BILL, "await report(customer, tokens, id);", "report(customer, tokens, id);", "fire_and_forget"),
    (
        NEXT,
        BILL,
        "await report(customer, tokens, id);",
        "try { await report(customer, tokens, id); } catch (error) { console.warn(error); }",
        "errors_swallowed",
    ),
    (NEXT, METER, SEND, SEND.removeprefix("await "), "fire_and_forget"),
    (FASTAPI, MAIN, "answer.usage.total_tokens", "ask.tokens", "client_supplied_quantity"),
    (FASTAPI, MAIN, "account.customer", "ask.customer", "client_supplied_customer"),
    (FASTAPI, MAIN, PY_CALL, f"# {PY_CALL}", "never_reported"),
    (FASTAPI, MAIN, PY_CALL, f"asyncio.create_task({PY_CALL.removeprefix('await ')})", "fire_and_forget"),
    (FASTAPI, MAIN, PY_CALL, PY_CALL.removeprefix("await "), "fire_and_forget"),
    (
        FASTAPI,
        PY_BILL,
        "    await report(customer, tokens, key)",
        "    try:\n        await report(customer, tokens, key)\n    except Exception as error:\n        print(error)",
        "errors_swallowed",
    ),
]


@pytest.mark.parametrize("tree", [NEXT, FASTAPI], ids=["next", "fastapi"])
def test_the_correct_application_passes(tmp_path: Path, tree: Tree) -> None:
    """Under both profiles, with the endpoint counted."""
    for profile in Profile:
        report = audited(tmp_path, tree, profile)
        assert (report.verdict, codes(report)) == (Verdict.PASS, set()), report.findings
    assert [one.reports for one in report.endpoints] == [True]
    assert report.reason == "ok_synchronous"


@pytest.mark.parametrize(("tree", "path", "old", "new", "code"), FLAWS)
def test_a_planted_flaw_turns_the_verdict(
    tmp_path: Path, tree: Tree, path: str, old: str, new: str, code: str
) -> None:
    """And the finding's way leads over the edited file."""
    assert old in tree[path]
    report = audited(tmp_path, {**tree, path: tree[path].replace(old, new)})
    assert report.verdict is Verdict.FAIL
    assert code in codes(report)
    found = next(one for one in report.findings if one.code == code)
    if code != "never_reported":
        line = 1 + tree[path].split(old)[0].count("\n")
        places = {(one.place.path, line if one.place.path == path else 0) for one in found.hops}
        places.add((found.place.path, found.place.line))
        assert any(one[0] == path for one in places), found


@pytest.mark.parametrize(
    ("tree", "path", "text"),
    [
        (
            NEXT,
            "src/app/api/batch/route.ts",
            'import { generate } from "@/lib/generate";\n'
            "export async function POST(req: Request) {\n  return Response.json(await generate('x'));\n}\n",
        ),
        (
            FASTAPI,
            "shop/batch.py",
            "from fastapi import APIRouter\nfrom shop.model import generate\nrouter = APIRouter()\n\n\n"
            '@router.post("/batch")\nasync def batch():\n    return await generate("x")\n',
        ),
    ],
    ids=["next", "fastapi"],
)
def test_a_sibling_without_the_meter(tmp_path: Path, tree: Tree, path: str, text: str) -> None:
    """The same work by another route."""
    report = audited(tmp_path, {**tree, path: text})
    assert report.verdict is Verdict.FAIL
    assert [one.place.path for one in report.findings if one.code == "unmetered_endpoint"] == [path]


def test_moving_names_and_files_changes_nothing(tmp_path: Path) -> None:
    """A barrel, other names, other order of declarations: still a pass; the planted flaw: still the flaw."""
    moved = dict(NEXT)
    moved["src/lib/index.ts"] = 'export * from "./billing";\nexport { generate as make } from "./generate";\n'
    moved[ROUTE] = (
        NEXT[ROUTE]
        .replace('import { generate } from "@/lib/generate";\nimport { bill } from "@/lib/billing";', "")
        .replace("import { auth }", 'import { bill, make } from "@/lib";\nimport { auth }')
        .replace("generate(body", "make(body")
    )
    assert audited(tmp_path / "a", moved).verdict is Verdict.PASS
    moved[ROUTE] = moved[ROUTE].replace("answer.usage.total_tokens", "body.tokens")
    assert codes(audited(tmp_path / "b", moved)) == {"client_supplied_quantity"}


def test_two_runs_say_the_same(tmp_path: Path) -> None:
    """Byte for byte, also from the cache."""
    from msgspec.json import encode

    from tallystick.audit.model import Options

    flawed = {**NEXT, ROUTE: NEXT[ROUTE].replace("answer.usage.total_tokens", "body.tokens")}
    options = Options(cache_dir=str(tmp_path / "cache"))
    runs = {encode(audited(tmp_path / "tree", flawed, options=options)) for _ in range(3)}
    assert len(runs) == 1
