"""What the parts of a stream say, kept as it arrives; one class a provider.

Every usage in a stream is a running total of its message, never an increment: the last one stands. A stream
that carries several messages one after the other (an agent's turns) adds them up.
"""

from __future__ import annotations

from typing import Any

from tallystick.errors import QuantityError
from tallystick.llm.tokens import Tokens
from tallystick.llm.usages import chat_tokens, field, message_tokens, response_tokens

_USAGE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
)


class OpenAI:
    """Chat completions and responses; the kind is told from the shape."""

    def __init__(self) -> None:
        self._ended = Tokens()  # messages before this one
        self._reported = Tokens()
        self._message: str | None = None

    @staticmethod
    def result(answer: Any) -> Tokens:
        """The tokens of a whole answer."""
        usage = field(answer, "usage")
        if usage is None:
            raise QuantityError(
                f"the {type(answer).__name__} has no usage; for a stream ask for it with "
                'stream_options={"include_usage": True}'
            )
        return chat_tokens(usage) if field(usage, "prompt_tokens") is not None else response_tokens(usage)

    def take(self, part: Any) -> Tokens | None:
        """All that is reported up to this part, when it reports anything."""
        answer = field(part, "response") or part  # the responses API wraps it into events
        usage = field(answer, "usage")
        self._begin(field(answer, "id"))
        if usage is None:
            return None
        self._reported = self.result(answer)
        return self._ended + self._reported

    def _begin(self, message: Any) -> None:
        """A new id is a new message; one chunk or another comes without any."""
        if not isinstance(message, str) or message in ("", self._message):
            return
        if self._message is not None:
            self._ended += self._reported
            self._reported = Tokens()
        self._message = message

    @staticmethod
    def text(part: Any) -> str:
        """What the model wrote in this part: answer, reasoning, refusal, arguments of tools."""
        kind = field(part, "type")
        if isinstance(kind, str):
            delta = field(part, "delta")
            return delta if kind.endswith(".delta") and isinstance(delta, str) else ""
        pieces: list[str] = []
        for choice in field(part, "choices") or ():
            delta = field(choice, "delta")
            for name in ("content", "reasoning_content", "refusal"):
                pieces.append(field(delta, name) or "")
            for call in field(delta, "tool_calls") or ():
                pieces.append(field(call, "function", "arguments") or "")
        return "".join(pieces)


class Anthropic:
    """Messages: the input comes with `message_start`, the output so far with each `message_delta`."""

    def __init__(self) -> None:
        self._ended = Tokens()
        self._usage: dict[str, Any] = {}

    @staticmethod
    def result(answer: Any) -> Tokens:
        """The tokens of a whole message."""
        usage = field(answer, "usage")
        if usage is None:
            raise QuantityError(f"the {type(answer).__name__} has no usage; is it a message?")
        return message_tokens(usage)

    def take(self, part: Any) -> Tokens | None:
        """All that is reported up to this part, when it reports the output."""
        kind = field(part, "type")
        if kind == "message_start":
            if self._usage:
                self._ended += message_tokens(self._usage)
            self._usage = {}
            self._merge(field(part, "message", "usage"))
        elif kind == "message_delta":
            self._merge(field(part, "usage"))
            return self._ended + message_tokens(self._usage)
        return None

    def _merge(self, usage: Any) -> None:
        """Fields that a later usage leaves out, or gives as null, keep what was said before."""
        for name in _USAGE:
            value = field(usage, name)
            if value is not None:
                self._usage[name] = value

    @staticmethod
    def text(part: Any) -> str:
        """What the model wrote in this part: answer, thinking, arguments of tools."""
        if field(part, "type") != "content_block_delta":
            return ""
        delta = field(part, "delta")
        return "".join(field(delta, name) or "" for name in ("text", "thinking", "partial_json"))


class LiteLLM:
    """LiteLLM's answers: the shape of chat completions, of responses, or of messages, whatever was called."""

    def __init__(self) -> None:
        self._messages = Anthropic()
        self._others = OpenAI()

    @staticmethod
    def result(answer: Any) -> Tokens:
        """The tokens of a whole answer."""
        usage = field(answer, "usage")
        foreign = field(usage, "prompt_tokens") is None and field(usage, "total_tokens") is None
        return Anthropic.result(answer) if usage is not None and foreign else OpenAI.result(answer)

    def take(self, part: Any) -> Tokens | None:
        """All that is reported up to this part, when it reports anything."""
        return self._messages.take(part) if _of_messages(part) else self._others.take(part)

    @staticmethod
    def text(part: Any) -> str:
        """What the model wrote in this part."""
        return Anthropic.text(part) if _of_messages(part) else OpenAI.text(part)


def _of_messages(part: Any) -> bool:
    return str(field(part, "type")).startswith(("message_", "content_block_"))
