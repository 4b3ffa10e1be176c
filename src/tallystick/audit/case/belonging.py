"""Whether anything asks to whom a row belongs, where a framework keeps its guards apart from its handlers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tallystick.audit.entries.forms import Entry
from tallystick.audit.syntax.searches import finite

if TYPE_CHECKING:
    from tallystick.audit.corpus.lexical import Corpus

APART = frozenset(["rails", "laravel", "django"])
BELONGS = finite(  # more than a login
    rb"(?i)authori[sz]|polic(?:y|ies)\b|abilit|permission_?classes\s*=\s*[\[(](?!\s*(?:permissions\.)?IsAuthenticated\s*,?\s*[\])])"
    rb"|permission_required|user_passes_test|has_perm|check_object|\bGate\b|\bcan(?:not)?[?(:_]|\bcan\b|member|owner|\bowns|belong|\brole|admin|staff"
    rb"|super_?user|internal|secret|signature|hmac|webhook|api_?key|api_?token|service_|http_?basic|verify_|authenticate_(?!user|account|customer)|forbid|\b403\b|abort|access|tenant|_scope|allowed"
)
COMPARED = finite(  # who calls stands in a condition, or among what is looked up
    rb"(?:\b(?:if|unless|elif|and|or|in|return|raise)\b|[=!]=|&&|\?|\(|\.(?:find|where|filter|get|exists|include)\w*)[^\n]{0,120}"
    rb"(?:current_?(?:user|account|org\w*|team)|->user\(\)|request\.user|\bauth\(\)|Auth::)"
)
BASE = re.compile(
    r"(?i)(?:^|/)(?:app/controllers/(?:\w+/)*(?:application|base|\w*api\w*)(?:_controller)?|app/controllers/concerns/\w+)\.rb$"
)
BEFORE = re.compile(rb"(?m)^\s*(?:before_action|prepend_before_action|before_filter)\b[^\n]*")
DEFAULT = re.compile(rb"DEFAULT_PERMISSION_CLASSES[^\])]*")
MIDDLEWARE = re.compile(rb"(?i)middleware\(([^;\n]*?)\)")
LOGIN = re.compile(rb"(?i)[\[\]\s\"',]|auth(?::\w+)?|sanctum|verified|web|api|throttle:[\w,:]+|guest|cors")


def asks(corpus: Corpus, entry: Entry, way: Iterable[bytes]) -> bool:
    """Whether a controller, what is called from it, what it is built on, or its routes ask for more than a login."""
    said = [entry.key[0].encode(), corpus.sources.get(entry.key[0], b""), *way]
    said += _standing(corpus, entry.framework)
    return COMPARED.search(said[1]) is not None or any(map(BELONGS.search, said))


def _standing(corpus: Corpus, framework: str) -> Iterator[bytes]:
    """What stands before the handlers of a framework, written in other files."""
    for path, text in corpus.sources.items():
        if framework == "django":
            yield from (hit[0] for hit in DEFAULT.finditer(text))
        elif framework == "rails" and BASE.search(path):
            yield from (hit[0] for hit in BEFORE.finditer(text))
        elif framework == "laravel" and "routes/" in path:
            given = (LOGIN.sub(b"", hit[1]) for hit in MIDDLEWARE.finditer(text))
            yield from (b"access" for one in given if one)  # whatever it is, it is more than a login
