"""What shows that a tree takes payments at all: a kit that is loaded, and not the bare name of one."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited

PRICE = "export const Plans = () => <p>Overage is billed at $0.02 per extra call</p>;\n"
LOADED = {
    "an import": 'import Stripe from "stripe";\n',
    "a call that loads": 'const Razorpay = require("razorpay");\n',
    "an import on demand": 'const { default: Stripe } = await import("stripe");\n',
    "a scoped kit": 'import { Polar } from "@polar-sh/sdk";\n',
    "a key": "const key = process.env.STRIPE_SECRET_KEY;\n",
}
NAMED = {
    "a column of an export": 'const columns = ["posts", "purchases", "stripe"];\n',
    "a brand among others": 'export const brands = ["github", "stripe", "paypal"];\n',
    "a pattern": 'const look = "stripe";\n',
}


@pytest.mark.parametrize("how", LOADED)
def test_a_kit_that_is_loaded(how: str, tmp_path: Path) -> None:
    found = audited(tmp_path, {"app/page.tsx": PRICE, "lib/pay.ts": LOADED[how]})
    assert found.verdict == "fail"


@pytest.mark.parametrize("how", NAMED)
def test_the_bare_name_of_one(how: str, tmp_path: Path) -> None:
    found = audited(tmp_path, {"app/page.tsx": PRICE, "lib/pay.ts": NAMED[how]})
    assert found.verdict == "skip"
