"""The tokens of one provider's answers, in the forms that `@tally.metered` and `action.stream` take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tallystick.errors import DeclarationError, QuantityError
from tallystick.llm.tokens import Split, Tokens

Estimate = Callable[[str], int]


class Gathering(Protocol):
    """How one provider reports usage."""

    @staticmethod
    def result(answer: Any) -> Tokens:
        """The tokens of a whole answer; QuantityError when it does not say."""
        ...

    def take(self, part: Any) -> Tokens | None:
        """All that a stream has reported up to this part, when the part reports anything."""
        ...

    @staticmethod
    def text(part: Any) -> str:
        """What the model wrote in this part of a stream."""
        ...


class Counting(Protocol):
    """What of an action is needed here."""

    @property
    def meter(self) -> str:
        """The name of the action's meter."""
        ...

    def set(self, quantity: Any, meter: str | None = None) -> None:
        """Replace what was counted so far."""
        ...

    def distrust(self, why: str) -> None:
        """Say that what the action used is not known."""
        ...


class Extractor:
    """Reads the usage of one provider's answers and streams."""

    def __init__(self, gathering: Callable[[], Gathering]) -> None:
        self._gathering = gathering

    def tokens(self, answer: Any) -> Tokens:
        """The parts of an answer's usage; QuantityError when it has none or its parts contradict its total."""
        return self._gathering().result(answer)

    def total(self, answer: Any) -> int:
        """All tokens of an answer: `quantity=openai.total`."""
        return self.tokens(answer).total

    def split(self, split: Split) -> Callable[[Any], dict[str, int]]:
        """Tokens by meter: `quantity=openai.split(Split(input="tokens_in", output="tokens_out"))`."""
        return lambda answer: split.quantities(self.tokens(answer))

    def stream(
        self,
        action: Counting,
        *,
        split: Split | None = None,
        estimate: Estimate | None = None,
        prompt_tokens: int = 0,
    ) -> StreamCount:
        """Count a stream: `action.stream(parts, count=openai.stream(action))`.

        A stream says what it used at its end. For one that ends before, `estimate` (the application's
        tokenizer) and `prompt_tokens` say what to count until then; without them such a stream's hold stays
        open, with a finding, because nobody knows what it used. DeclarationError when the split leaves out the
        action's own meter.
        """
        if split is not None and action.meter not in split.quantities(Tokens()):
            raise DeclarationError(
                f"the split {split} leaves out {action.meter!r}, the action's own meter; "
                "open the action on one of its meters"
            )
        return StreamCount(action, self._gathering(), split, estimate, prompt_tokens)


class StreamCount:
    """Sets an action's quantities from the parts of one stream; give it as `count=`."""

    def __init__(
        self,
        action: Counting,
        gathering: Gathering,
        split: Split | None,
        estimate: Estimate | None,
        prompt_tokens: int,
    ) -> None:
        self._action = action
        self._gathering = gathering
        self._split = split
        self._estimate = estimate
        self._reported = Tokens(input=prompt_tokens)
        self._since = 0  # estimated output since the last report
        action.distrust("the stream has not said what it used; give estimate= for streams that break off")

    def __call__(self, part: Any) -> None:
        """Count one part. Nothing here breaks the stream: what is not known leaves the action's hold open."""
        try:
            reported = self._gathering.take(part)
            if reported is not None:
                self._reported, self._since = reported, 0
            elif self._estimate is None:
                return
            else:
                self._since += self._estimate(self._gathering.text(part))
            self._set(self._reported + Tokens(output=self._since))
        except QuantityError as error:
            self._action.distrust(str(error))

    def _set(self, tokens: Tokens) -> None:
        if self._split is None:
            self._action.set(tokens.total)
            return
        for meter, quantity in self._split.quantities(tokens).items():
            self._action.set(quantity, meter)
