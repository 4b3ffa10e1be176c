"""A provider's JSON over HTTP: one address, one bearer key, and what an answer without success means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from tallystick.errors import KeyRefusedError, ProviderError
from tallystick.providers.port import Answer, Instruction, Outcome
from tallystick.providers.transport import Connections, NotSent, Reply, second_of

T = TypeVar("T")

LONGEST_WISH = 3600  # seconds; a provider that asks for a longer pause is asked again after an hour


class JsonApi:
    """Calls of one provider (`name`); `key_variable` is where its key comes from, for error texts.

    `base` may end in /api/v1, which the descriptions count to the address and the clients do not.
    """

    def __init__(self, name: str, base: str, key: str, key_variable: str, timeout_seconds: float) -> None:
        self.name = name
        self._base = base.rstrip("/").removesuffix("/api/v1")
        self._key = key
        self._key_variable = key_variable
        self._connections = Connections(timeout_seconds)

    def send(
        self, path: str, body: bytes, still_ours: Callable[[], bool], kind: str = "application/json"
    ) -> Reply | Answer:
        """POST usage: the provider's reply, or what is known without one. Never raises."""
        headers = {**self._headers(), "content-type": kind}
        try:
            url = f"{self._base}{path}"
            return self._connections.request("POST", url, headers, body, still_ours=still_ours)
        except NotSent as error:
            return Answer(Outcome.NOT_SENT, str(error), answered=False)
        except Exception as error:
            reason = f"no usable answer: {type(error).__name__}: {error}"
            return Answer(Outcome.UNKNOWN, reason, answered=False)

    def read(self, path: str, kind: type[T], **params: str) -> T | None:
        """The decoded answer to a GET, None where the provider says that there is no such thing.

        KeyRefusedError when the key is refused, ProviderError when the provider cannot be asked.
        """
        url = f"{self._base}{path}" + (f"?{urlencode(params)}" if params else "")
        reply = self._ask("GET", url, None)
        if reply.status == 404 and _is_json(reply):
            return None
        return self._decoded(reply, kind)

    def create(self, path: str, body: object, kind: type[T]) -> T:
        """POST something that is not usage; errors as `read`."""
        reply = self._ask("POST", f"{self._base}{path}", msgspec.json.encode(body))
        if reply.status == 404:
            raise ProviderError(f"{self.name} knows no {path}; is the address right?")
        return self._decoded(reply, kind)

    def time(self, path: str) -> int | None:
        """The Date of whatever it answers to a GET; ProviderError without an answer."""
        return second_of(self._reply("GET", f"{self._base}{path}", None).headers)

    def _ask(self, method: str, url: str, body: bytes | None) -> Reply:
        reply = self._reply(method, url, body)
        if reply.status in (401, 403):
            raise KeyRefusedError(f"{self.name} refuses {self._key_variable}: {text_of(reply)}")
        if reply.status != 404 and not 200 <= reply.status < 300:
            raise ProviderError(f"{self.name} answers {reply.status}: {text_of(reply)}")
        return reply

    def _reply(self, method: str, url: str, body: bytes | None) -> Reply:
        headers = self._headers() if body is None else {**self._headers(), "content-type": "application/json"}
        try:
            return self._connections.request(method, url, headers, body)
        except Exception as error:
            raise ProviderError(f"{self.name} cannot be asked: {type(error).__name__}: {error}") from error

    def _decoded(self, reply: Reply, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except msgspec.MsgspecError as error:
            raise ProviderError(
                f"{self.name} answers something else than described ({error}); is the address right?"
            ) from error

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._key}"} if self._key else {}


class Acquaintances:
    """Names the provider was found to know, each asked for once; `look` says why not, or nothing."""

    def __init__(self, look: Callable[[str], str], *, most: int = 100_000) -> None:
        self._look = look
        self._most = most
        self._known: set[str] = set()

    def objection(self, name: str) -> Answer | None:
        """Why usage of this name must not be sent now; None when the provider knows it."""
        if name in self._known:
            return None
        try:
            why = self._look(name)
        except KeyRefusedError as error:
            return Answer(Outcome.PAUSED, str(error))
        except ProviderError as error:
            return Answer(Outcome.NOT_SENT, str(error), answered=False)
        if why:
            return Answer(Outcome.REFUSED, why)
        if len(self._known) >= self._most:
            self._known.clear()
        self._known.add(name)
        return None


def judged(reply: Reply) -> Answer:
    """The outcome of an answer that is no success, by its status (RFC 9110).

    Only JSON refuses: a page of HTML comes from something in between.
    """
    text = f"{reply.status}: {text_of(reply)}"
    if reply.status in (401, 403):
        return Answer(Outcome.PAUSED, text)
    if reply.status == 429:
        return Answer(Outcome.NOT_SENT, text, retry_after_seconds=_wish(reply.headers))
    if 400 <= reply.status < 500 and reply.status != 408 and _is_json(reply):
        return Answer(Outcome.REFUSED, text)
    return Answer(Outcome.UNKNOWN, text, answered=reply.status >= 400)


def _is_json(reply: Reply) -> bool:
    try:
        msgspec.json.decode(reply.body, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        return False
    return True


def text_of(reply: Reply) -> str:
    """The beginning of an answer, for people."""
    return " ".join(reply.body[:300].decode("utf-8", "replace").split()) or "no text"


def segment(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")


def _wish(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after") or headers.get("x-ratelimit-reset") or ""
    return min(int(text), LONGEST_WISH) if text.isascii() and text.isdigit() else None


def sent_together(
    instructions: Sequence[Instruction],
    objection: Callable[[Instruction], Answer | None],
    send: Callable[[Sequence[Instruction]], list[Answer]],
) -> list[Answer]:
    """One batch of the instructions that nothing is said against; an answer for each of all, in order."""
    answers = [objection(instruction) for instruction in instructions]
    good = [i for i, objected in zip(instructions, answers, strict=True) if objected is None]
    sent = iter(send(good) if good else ())
    return [next(sent) if answer is None else answer for answer in answers]
