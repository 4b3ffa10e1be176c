"""Files of settings in any shape: whoever wrote them, the audit ends in a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trees import audited, ending

from tallystick.audit.engine import audit
from tallystick.audit.model import Profile

MANIFESTS: dict[str, Any] = {
    "vercel.json": {"crons": [{"path": "/api/x", "schedule": "*/5 * * * *"}]},
    "railway.json": {"deploy": {"cronSchedule": "0 * * * *", "startCommand": "node app.js"}},
    "tsconfig.json": {
        "extends": "./tsconfig.json",
        "compilerOptions": {"baseUrl": ".", "paths": {"@/*": ["./src/*"], "*": ["*"], "a*b*": ["c*"]}},
    },
    "package.json": {
        "name": "x", "private": True, "main": "app.js", "files": ["app.js"], "exports": {".": "./app.js"},
        "workspaces": ["packages/*"], "scripts": {"report": "node app.js"}, "dependencies": {"stripe": "18.0.0"},
    },
    "composer.json": {"name": "x/y", "type": "library", "autoload": {}, "require": {"stripe/stripe-php": "^17"}},
    "package-lock.json": {"packages": {"node_modules/stripe": {"version": "18.0.0"}}},
}  # fmt: skip
WRONG = (None, 5, -1e300, "x", "", [], {}, [None], [5], [[]], {"": None}, True, "9" * 5_000)
REPORT = "import Stripe from 'stripe'; const stripe = new Stripe(process.env.KEY);\n" + (
    "export async function POST() {\n"
    "  await stripe.billing.meterEvents.create({ payload: { stripe_customer_id: me(), value: 1 } });\n}\n"
)


def changed(value: Any, wrong: Any) -> Iterator[Any]:
    """The value with one part after the other replaced."""
    yield wrong
    if isinstance(value, dict):
        for key, part in value.items():
            yield from ({**value, key: one} for one in changed(part, wrong))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from ([*value[:index], one, *value[index + 1 :]] for one in changed(part, wrong))


@pytest.mark.parametrize("wrong", WRONG, ids=lambda one: str(one)[:9])
def test_a_value_of_the_wrong_kind_stops_nothing(wrong: Any, tmp_path: Path) -> None:
    """Each manifest in a folder of its own, and each with one part that no tool would write."""
    tree = {"app/api/x/route.ts": REPORT, "app.ts": "import { a } from '@/b';\nimport c from 'a/b/c';\n"}
    for name, sound in MANIFESTS.items():
        for number, value in enumerate(changed(sound, wrong)):
            tree[f"p{number}/{name}"] = json.dumps(value)
            tree[f"p{number}/app.ts"] = tree["app.ts"]
    for name, sound in MANIFESTS.items():  # and beside the root, one after the other
        for value in changed(sound, wrong):
            assert audited(tmp_path, {**tree, name: json.dumps(value)}).verdict in ("pass", "fail", "skip")
            tree = {"app/api/x/route.ts": REPORT}


NUMBER = "9" * 5_000
CLOCKS = {
    "crontab": "".join(f"{when} node app.js\n" for when in (
        "*/5 * */2,15 * *", f"{NUMBER} * * * *", f"*/{NUMBER} * * * *", ",,, , , , ,"
    )),
    "cron.txt": "* * * * * " + "x" * 300_000 + "\n" + " " * 300_000 + "\n",
    "a.yml": "".join(f"schedule: {when}\n" for when in (
        f"rate({NUMBER} days)", f"every {NUMBER} minutes", f"PT{NUMBER}M", "'0 0 */2,15 * *'"
    )),
    "b.sql": "select cron.schedule('a', 'every \udcff 5 minutes', $$ select 1 $$);\n",
    "c.tf": f'resource "x" "y" {{\n  schedule = "rate({NUMBER} days)"\n}}\n',
    "netlify.toml": f'[functions."x"]\nschedule = "every {NUMBER} hours"\n',
    "config/schedule.rb": f"every {NUMBER}.days do\n  runner 'A.perform_now'\nend\nevery" + " " * 100_000 + "\n",
    "app/Kernel.php": "<?php $schedule->command('a" + "->command('a" * 20_000 + "');\n",
    "beat.py": f"S = {{'a': {{'task': 'a.b', 'schedule': 1.2.3 * 4}}, 'b': {{'task': 'c.d', 'schedule': {NUMBER}}}}}\n",
    "s.ts": f"{REPORT}setInterval(async () => {{ await POST(); }}, {NUMBER} * {NUMBER});\n"
    f"cron.schedule('{NUMBER} * * * *', async () => {{ await POST(); }});\n"
    "cron.schedule('0 0 */2,15 * *', async () => { await POST(); });\n",
}  # fmt: skip


@pytest.mark.parametrize("name", CLOCKS)
def test_a_clock_of_any_number_is_read_in_bounded_time(name: str, tmp_path: Path) -> None:
    """Numbers longer than any clock's, and steps of lists of days, which are rare and sound."""
    (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / name).write_bytes(CLOCKS[name].encode("utf-8", "surrogateescape"))
    (tmp_path / "route.ts").write_text(REPORT)
    with ending():
        assert audit(tmp_path, [name, "route.ts"], profile=Profile.DURABLE).verdict in (
            "pass",
            "fail",
            "skip",
        )
