"""What the doctor says."""

from __future__ import annotations

import msgspec


class Check(msgspec.Struct, frozen=True):
    """One thing the doctor looked at; `fix` is what to do when it is not well."""

    subject: str
    ok: bool
    message: str
    fix: str = ""
