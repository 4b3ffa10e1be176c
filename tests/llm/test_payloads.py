"""Every recorded shape comes to its tokens, as parsed JSON and as objects."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tallystick import llm
from tallystick.errors import QuantityError
from tallystick.llm import Extractor, Tokens

PAYLOADS = sorted((Path(__file__).parent / "payloads").glob("*.json"))
PROVIDERS = {"openai": llm.openai, "anthropic": llm.anthropic, "litellm": llm.litellm}


def objects(value: Any) -> Any:
    """The same as attributes, the way the providers' packages give it."""
    if isinstance(value, dict):
        return SimpleNamespace(**{name: objects(inner) for name, inner in value.items()})
    return [objects(inner) for inner in value] if isinstance(value, list) else value


class Sums:
    """Keeps what a stream sets, the way an action does."""

    meter = "tokens"

    def __init__(self) -> None:
        self.counted: dict[str, int] = {}
        self.unknown = ""

    def set(self, quantity: Any, meter: str | None = None) -> None:
        assert quantity >= 0
        self.unknown = ""
        self.counted[meter or self.meter] = quantity

    def distrust(self, why: str) -> None:
        self.unknown = why


def read(path: Path) -> tuple[dict[str, Any], Extractor, Tokens]:
    payload = json.loads(path.read_text())
    return payload, PROVIDERS[payload["provider"]], msgspec.convert(payload["tokens"], Tokens)


@pytest.mark.parametrize("form", [lambda value: value, objects], ids=["json", "objects"])
@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_every_shape_comes_to_its_tokens(path: Path, form: Any) -> None:
    payload, provider, tokens = read(path)
    if "answer" in payload:
        assert provider.tokens(form(payload["answer"])) == tokens
        assert provider.total(form(payload["answer"])) == tokens.total
        return
    action = Sums()
    count = provider.stream(action)
    for part in payload["parts"]:
        assert count(form(part)) is None
    assert action.counted == {"tokens": tokens.total}
    assert action.unknown == ""


@pytest.mark.parametrize("path", [p for p in PAYLOADS if "stream" in p.stem], ids=lambda path: path.stem)
def test_a_stream_that_breaks_off_counts_what_was_reported_and_an_estimate_of_the_rest(path: Path) -> None:
    """Cut after each part: never more than the whole of estimate and report, and exact at the end."""
    payload, provider, tokens = read(path)
    written = ""
    for cut in range(1, len(payload["parts"]) + 1):
        action = Sums()
        count = provider.stream(action, estimate=len, prompt_tokens=1)
        for part in payload["parts"][:cut]:
            count(part)
        assert action.unknown == ""
        assert action.counted["tokens"] <= 1 + tokens.total + len(payload["text"])
    assert action.counted == {"tokens": tokens.total}

    def hear(text: str) -> int:
        nonlocal written
        written += text
        return 0

    count = provider.stream(Sums(), estimate=hear)
    for part in payload["parts"]:
        count({**part, "usage": None, "type": part.get("type")} if "choices" in part else part)
    assert written == payload["text"]


@pytest.mark.parametrize("path", [p for p in PAYLOADS if "stream" in p.stem], ids=lambda path: path.stem)
def test_a_stream_that_breaks_off_without_an_estimate_is_not_free(path: Path) -> None:
    """Nothing was reported: the action is told that nobody knows, instead of counting nothing."""
    payload, provider, _ = read(path)
    action = Sums()
    count = provider.stream(action)
    assert "has not said what it used" in action.unknown
    for part in payload["parts"]:
        count(part)
        assert bool(action.unknown) is not bool(action.counted)


def usage(**fields: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **fields}}


@pytest.mark.parametrize(
    ("provider", "answer", "message"),
    [
        (llm.openai, {"usage": None}, "include_usage"),
        (llm.openai, {}, "no usage"),
        (llm.openai, "text", "the str has no usage"),
        (llm.anthropic, {"content": []}, "no usage"),
        (llm.litellm, {"choices": []}, "no usage"),
        (llm.openai, usage(total_tokens=16), "are not the total of 16"),
        (llm.openai, usage(prompt_tokens="10"), "'prompt_tokens' is '10'"),
        (llm.openai, usage(prompt_tokens=True), "'prompt_tokens' is True"),
        (llm.openai, usage(completion_tokens=-5), "'completion_tokens' is -5"),
        (llm.openai, usage(completion_tokens=5.0), "'completion_tokens' is 5.0"),
        (llm.openai, usage(prompt_tokens_details={"cached_tokens": 11}), "11 cached and 0 written"),
        (llm.openai, usage(completion_tokens_details={"reasoning_tokens": 6}), "6 reasoning tokens exceed"),
        (llm.openai, {"usage": {"total_tokens": 3}}, "without input_tokens"),
        (llm.anthropic, {"usage": {"input_tokens": 3}}, "without input_tokens and output_tokens"),
        (
            llm.anthropic,
            {
                "usage": {
                    "input_tokens": 3,
                    "output_tokens": 1,
                    "output_tokens_details": {"thinking_tokens": 2},
                }
            },
            "2 thinking tokens exceed",
        ),
    ],
)
def test_what_is_not_known_is_refused(provider: Extractor, answer: Any, message: str) -> None:
    """Neither zero nor a guess: one line that says what was wrong."""
    with pytest.raises(QuantityError, match=message):
        provider.total(answer)
