"""From a provider's usage object to parts that do not overlap.

OpenAI counts cached tokens within the prompt and reasoning within the completion; Anthropic's `input_tokens`
leave the cache out, its `thinking_tokens` lie within `output_tokens`. Where the sum of the parts is not what
the provider calls the total, the usage is refused instead of being counted twice or not at all.
"""

from __future__ import annotations

from typing import Any

from tallystick.errors import QuantityError
from tallystick.llm.tokens import Tokens


def field(value: Any, *path: str) -> Any:
    """What lies at a path of attributes or keys; None where something on the way is absent."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
        if value is None:
            return None
    return value


def count(usage: Any, *path: str) -> int | None:
    """The number of tokens at a path; None when the provider says nothing there, QuantityError for nonsense."""
    value = field(usage, *path)
    if value is None or (type(value) is int and value >= 0):
        return value
    raise QuantityError(f"usage field {'.'.join(path)!r} is {value!r}; a number of tokens was expected")


def chat_tokens(usage: Any) -> Tokens:
    """The `usage` of a chat completion or an embedding (platform.openai.com/docs/api-reference/chat/object)."""
    prompt, completion = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    if prompt is None:
        raise QuantityError(f"a usage without prompt_tokens: {usage!r}; is this an answer of that provider?")
    details = "prompt_tokens_details"
    written = count(usage, details, "cache_write_tokens")
    if written is None:  # LiteLLM's name for what Anthropic's models wrote
        written = count(usage, details, "cache_creation_tokens")
    if written is None:
        written = count(usage, "cache_creation_input_tokens")
    cached = count(usage, details, "cached_tokens")
    if cached is None:
        cached = count(usage, "cache_read_input_tokens")
    reasoning = count(usage, "completion_tokens_details", "reasoning_tokens")
    return _partition(
        prompt, cached or 0, written or 0, completion or 0, reasoning or 0, count(usage, "total_tokens")
    )


def response_tokens(usage: Any) -> Tokens:
    """The `usage` of a response (platform.openai.com/docs/api-reference/responses/object)."""
    prompt, completion = count(usage, "input_tokens"), count(usage, "output_tokens")
    if prompt is None or completion is None:
        raise QuantityError(f"a usage without input_tokens and output_tokens: {usage!r}; is this a response?")
    return _partition(
        prompt,
        count(usage, "input_tokens_details", "cached_tokens") or 0,
        count(usage, "input_tokens_details", "cache_write_tokens") or 0,
        completion,
        count(usage, "output_tokens_details", "reasoning_tokens") or 0,
        count(usage, "total_tokens"),
    )


def message_tokens(usage: Any) -> Tokens:
    """The `usage` of a message (docs.anthropic.com/en/api/messages): the parts of the input are disjoint."""
    prompt, output = count(usage, "input_tokens"), count(usage, "output_tokens")
    if prompt is None or output is None:
        raise QuantityError(f"a usage without input_tokens and output_tokens: {usage!r}; is this a message?")
    thinking = count(usage, "output_tokens_details", "thinking_tokens") or 0
    if thinking > output:
        raise QuantityError(f"{thinking} thinking tokens exceed the {output} output tokens they are part of")
    return Tokens(
        prompt,
        count(usage, "cache_read_input_tokens") or 0,
        count(usage, "cache_creation_input_tokens") or 0,
        output - thinking,
        thinking,
    )


def _partition(
    prompt: int, cached: int, written: int, completion: int, reasoning: int, total: int | None
) -> Tokens:
    """Parts from wholes: what lies within the prompt and the completion is taken out of them once."""
    if cached + written > prompt:
        raise QuantityError(
            f"{cached} cached and {written} written tokens exceed the {prompt} prompt tokens they are part of"
        )
    whole = prompt + completion
    # Some providers behind this interface count the reasoning beside the completion; only the total tells.
    beside = bool(reasoning) and total == whole + reasoning
    if total is not None and total != whole and not beside:
        raise QuantityError(
            f"{prompt} prompt and {completion} completion tokens are not the total of {total}"
        )
    if not beside and reasoning > completion:
        raise QuantityError(f"{reasoning} reasoning tokens exceed the {completion} completion tokens")
    output = completion if beside else completion - reasoning
    return Tokens(prompt - cached - written, cached, written, output, reasoning)
