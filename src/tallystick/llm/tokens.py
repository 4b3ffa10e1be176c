"""Tokens as parts that do not overlap, and which meter each part counts on."""

from __future__ import annotations

import msgspec

FOLDED = ""  # a part that counts with the part it belongs to


class Tokens(msgspec.Struct, frozen=True):
    """What one model call used, in tokens; no token is in two parts.

    `input` is the prompt without what the cache gave or took, `output` the answer without the reasoning.
    """

    input: int = 0
    cached: int = 0  # of the prompt, read from the provider's cache
    cache_written: int = 0  # of the prompt, written to the provider's cache
    output: int = 0
    reasoning: int = 0  # generated, and not part of the visible answer

    @property
    def total(self) -> int:
        """All parts together."""
        return self.input + self.cached + self.cache_written + self.output + self.reasoning

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.cached + other.cached,
            self.cache_written + other.cache_written,
            self.output + other.output,
            self.reasoning + other.reasoning,
        )


class Split(msgspec.Struct, frozen=True):
    """The meter of each part. FOLDED parts count with input or output; None says that a part is not billed."""

    input: str | None
    output: str | None
    cached: str | None = FOLDED
    cache_written: str | None = FOLDED
    reasoning: str | None = FOLDED

    def quantities(self, tokens: Tokens) -> dict[str, int]:
        """Tokens per meter; a meter of this split that saw none has an explicit zero."""
        counted: dict[str, int] = {}
        for meter, quantity in (
            (self.input, tokens.input),
            (self.input if self.cached == FOLDED else self.cached, tokens.cached),
            (self.input if self.cache_written == FOLDED else self.cache_written, tokens.cache_written),
            (self.output, tokens.output),
            (self.output if self.reasoning == FOLDED else self.reasoning, tokens.reasoning),
        ):
            if meter is not None:
                counted[meter] = counted.get(meter, 0) + quantity
        return counted
