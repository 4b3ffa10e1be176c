"""Tokens of answers and streams become entries: through `@tally.metered` and `action.stream`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick import Catalogue, Meter, Tally, llm
from tallystick.errors import DeclarationError
from tallystick.llm import Split

PAYLOADS = Path(__file__).parent / "payloads"
Counted = Callable[[str], list[tuple[str, int]]]
PARTS = Split(input="tokens", cached="cached", output="written", reasoning="thought")


@pytest.fixture
def tally_meters() -> Catalogue:
    return Catalogue([Meter(name, unit="token") for name in ("tokens", "cached", "written", "thought")])


def answer(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())["answer"]


async def parts(name: str, until: int | None = None) -> AsyncIterator[Any]:
    for part in json.loads((PAYLOADS / f"{name}.json").read_text())["parts"][:until]:
        await asyncio.sleep(0)
        yield part


def run(tally: Tally, name: str, provider: Any, until: int | None = None, **options: Any) -> None:
    async def main() -> None:
        action = await tally.aio.open("tokens", customer="org")
        async for _ in action.stream(parts(name, until), count=provider.stream(action, **options)):
            pass

    asyncio.run(main())


def test_the_total_of_an_answer(tally: Tally, counted: Counted) -> None:
    @tally.metered("tokens", customer=lambda: "org", quantity=llm.openai.total)
    def chat() -> Any:
        return answer("openai_chat")

    chat()
    assert counted("org") == [("tokens", 2564)]


def test_the_parts_of_an_answer_on_meters_of_their_own(tally: Tally, counted: Counted) -> None:
    """Reasoning and cache are taken out of what they are part of: the sum is the total."""

    @tally.metered("tokens", customer=lambda: "org", quantity=llm.anthropic.split(PARTS))
    def chat() -> Any:
        return answer("anthropic_message")

    chat()
    assert sorted(counted("org")) == [("cached", 1800), ("thought", 400), ("tokens", 298), ("written", 103)]


def test_a_part_that_is_not_billed() -> None:
    """None leaves a part out; a part without a word counts with input or output."""
    split = Split(input="tokens", output="written", cached=None)
    assert split.quantities(llm.openai.tokens(answer("openai_chat"))) == {"tokens": 86, "written": 558}


def test_an_answer_without_usage_leaves_the_hold_open(tally: Tally, counted: Counted) -> None:
    """The call was made, and nobody knows what it used: a finding, not a zero."""

    @tally.metered("tokens", customer=lambda: "org", quantity=llm.openai.total)
    def chat() -> Any:
        return {"choices": []}

    with pytest.raises(ValueError, match="no usage"):
        chat()
    assert counted("org") == []
    assert len(tally.ledger.open_holds()) == 1
    assert [finding.code for finding in tally.findings] == ["unmeasured_action"]


def test_a_stream_is_billed_as_reported(tally: Tally, counted: Counted) -> None:
    run(tally, "anthropic_stream", llm.anthropic, split=PARTS)
    assert sorted(counted("org")) == [("cached", 100), ("thought", 3), ("tokens", 65), ("written", 12)]
    assert tally.ledger.open_holds() == []


def test_a_stream_that_breaks_off_is_billed_by_the_estimate(tally: Tally, counted: Counted) -> None:
    run(tally, "openai_chat_stream", llm.openai, until=3, estimate=len, prompt_tokens=19)
    assert counted("org") == [("tokens", 19 + len("Hello there"))]
    assert tally.ledger.open_holds() == []


def test_a_client_that_goes_away_is_billed_by_the_estimate(tally: Tally, counted: Counted) -> None:
    """The stream is closed in the middle: what was delivered until then counts, and nobody has to decide."""

    async def main() -> None:
        action = await tally.aio.open("tokens", customer="org")
        count = llm.openai.stream(action, estimate=len, prompt_tokens=19)
        stream = action.stream(parts("openai_chat_stream"), count=count)
        for _ in range(3):
            await anext(stream)
        await stream.aclose()

    asyncio.run(main())
    assert counted("org") == [("tokens", 19 + len("Hello"))]
    assert tally.ledger.open_holds() == []


def test_a_stream_that_breaks_off_unreported_stays_open(tally: Tally, counted: Counted) -> None:
    """Without an estimate nothing is invented: the hold stays open, with a finding."""
    run(tally, "openai_chat_stream", llm.openai, until=3)
    assert counted("org") == []
    assert len(tally.ledger.open_holds()) == 1
    assert [finding.code for finding in tally.findings] == ["unmeasured_action"]


def test_a_stream_that_contradicts_itself_reaches_the_client(tally: Tally, counted: Counted) -> None:
    """A usage whose parts are not its total: the client gets the stream, a person the finding."""

    async def wrong() -> AsyncIterator[Any]:
        yield {"id": "1", "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 8}}

    async def main() -> int:
        action = await tally.aio.open("tokens", customer="org")
        return len([p async for p in action.stream(wrong(), count=llm.openai.stream(action))])

    assert asyncio.run(main()) == 1
    assert counted("org") == []
    assert len(tally.ledger.open_holds()) == 1


def test_a_split_needs_the_meter_of_the_action(tally: Tally) -> None:
    split = Split(input="cached", output="written")
    with (
        pytest.raises(DeclarationError, match="leaves out 'tokens'"),
        tally.action("tokens", customer="org") as a,
    ):
        llm.openai.stream(a, split=split)
