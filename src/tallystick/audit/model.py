"""What the auditor has to say, as values. Rules fill these in; reports only read them."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """The answer for one codebase."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"


class Profile(StrEnum):
    """How strictly a recording is judged."""

    DURABLE = "durable"  # a durable record in the request plus a drain that really runs counts
    STRICT = "strict"  # the provider call itself is awaited in the request


class Confidence(StrEnum):
    """How sure a finding is; low never decides a verdict alone."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Severity(StrEnum):
    """How much a finding matters to the bill."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


class Place(msgspec.Struct, frozen=True, order=True):
    """A spot in the audited tree: relative path with forward slashes; lines and columns from 1."""

    path: str
    line: int
    column: int = 1
    end_line: int = 0
    end_column: int = 0


class Hop(msgspec.Struct, frozen=True):
    """One step on the way from a request to a sink."""

    place: Place
    note: str


class Finding(msgspec.Struct, frozen=True):
    """One thing found; `decides` says whether it takes part in the verdict."""

    code: str
    message: str
    place: Place
    severity: Severity
    confidence: Confidence
    decides: bool = True
    function: str = ""
    hops: tuple[Hop, ...] = ()
    remediation: str = ""
    fingerprint: str = ""


class Endpoint(msgspec.Struct, frozen=True):
    """One metered action: where it enters, and whether it reports, with the grade of its recording."""

    route: str
    place: Place
    reports: bool
    grade: str = ""
    evidence: tuple[Hop, ...] = ()


class Coverage(msgspec.Struct, frozen=True):
    """What was read, and what could not be; lost coverage is shown, never passed over."""

    files: int
    parsed: int
    routes: int
    unread: tuple[tuple[str, str], ...] = ()
    with_errors: tuple[str, ...] = ()
    unresolved_imports: int = 0
    left_out: tuple[tuple[str, int], ...] = ()  # on purpose, told from the text: how many, and why


class Report(msgspec.Struct, frozen=True):
    """The whole answer for one codebase under one profile."""

    verdict: Verdict
    profile: Profile
    detail: str
    findings: tuple[Finding, ...]
    endpoints: tuple[Endpoint, ...]
    coverage: Coverage
    providers: tuple[str, ...] = ()
    stack: tuple[str, ...] = ()
    signals: tuple[Hop, ...] = ()
    remediation: str = ""
    neighbours: tuple[Finding, ...] = ()
    suppressed: tuple[tuple[Finding, str], ...] = ()
    reason: str = ""  # the code behind the verdict: a finding's, or why it passes or is skipped


class Options(msgspec.Struct, frozen=True):
    """What a user can change about the engine."""

    disabled: frozenset[str] = frozenset()
    include_tests: bool = False
    cache_dir: str = ""
