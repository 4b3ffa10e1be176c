"""`@metered`: the action around a handler, decided once when it is declared."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tallystick.actions.action import Action
from tallystick.actions.declaration import (
    Getter,
    hidden_name,
    is_dependency,
    mark,
    refuse_generators,
    refuse_untrusted,
    response_parameter,
    signature_of,
    with_hidden,
)
from tallystick.actions.recorder import Recorder, Step
from tallystick.errors import ActionError, DeclarationError
from tallystick.meters import Formula

Handler = Callable[..., Any]


class Metering:
    """What to do around one handler, precomputed: no inspection when it is called."""

    def __init__(
        self,
        recorder: Recorder,
        handler: Handler,
        meter: str,
        *,
        customer: Any,
        quantity: Any,
        when: Callable[[Any], bool] | None,
        key: Callable[..., str] | None,
        attributes: Any,
        untrusted_ok: str | None,
    ) -> None:
        refuse_generators(handler)
        self._recorder = recorder
        self.handler = handler
        self.meter = recorder.catalogue[meter]
        signature = signature_of(handler)
        self._positional = [
            n
            for n, p in signature.parameters.items()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        self._defaults = {n: p.default for n, p in signature.parameters.items() if p.default is not p.empty}
        self._when = when
        self._response = response_parameter(signature)
        self._hidden = hidden_name(signature) if is_dependency(customer) else None
        self._customer = None if self._hidden else self._getter(customer, signature, "customer", 0)
        self._quantity = self._quantity_getter(quantity, signature)
        self._key = None if key is None else self._getter(key, signature, "key", 0)
        self._attributes = attributes if isinstance(attributes, Mapping) or attributes is None else None
        self._attribute_getter = (
            self._getter(attributes, signature, "attributes", 1) if callable(attributes) else None
        )
        getters = {"customer": self._customer, "quantity": self._quantity, "key": self._key}
        self.untrusted = refuse_untrusted(getters, signature, handler.__qualname__, untrusted_ok)
        self.reason = untrusted_ok or ""
        self.signature = with_hidden(signature, customer) if self._hidden else signature

    def _getter(self, function: Any, signature: inspect.Signature, what: str, skip: int) -> Getter:
        if not callable(function):
            raise DeclarationError(
                f"{self.handler.__qualname__}: {what}={function!r} is not usable; give Depends(...) or a function "
                "over handler arguments"
            )
        return Getter(function, signature, what, skip)

    def _quantity_getter(self, quantity: Any, signature: inspect.Signature) -> Getter | None:
        if quantity is None:
            if self.meter.formula is not Formula.COUNT:
                raise DeclarationError(
                    f"{self.handler.__qualname__}: meter {self.meter.name!r} adds up quantities; say where they come "
                    "from, such as quantity=lambda result: result.usage.total_tokens"
                )
            return None
        if type(quantity) is int:
            fixed = quantity
            return Getter(lambda result: fixed, signature, "quantity", 1)
        return self._getter(quantity, signature, "quantity", 1)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Action, dict[str, Any]]:
        """The action of one call, and its arguments by name."""
        customer = kwargs.pop(self._hidden) if self._hidden else None
        arguments = {**self._defaults, **dict(zip(self._positional, args, strict=False)), **kwargs}
        if self._customer is not None:
            customer = self._customer(arguments)
        key = None if self._key is None else self._key(arguments)
        action = Action(self._recorder, self.meter.name, customer, key=key, attributes=self._attributes)
        return action, arguments

    def finish(self, action: Action, result: Any, arguments: Mapping[str, Any]) -> Step[None]:
        """The flow after the handler returned: count, or void what does not count."""
        if not self._counts(result, arguments):
            yield from action.void("the response is an error")
            return
        if self._attribute_getter is not None:
            action.describe(self._attribute_getter(arguments, result))
        if self._quantity is not None:
            if hasattr(result, "body_iterator"):
                raise ActionError(
                    f"{self.handler.__qualname__} returns a streaming response, whose quantity is not known yet; "
                    "open an action in the handler and return action.stream(...)"
                )
            self._count(action, self._quantity(arguments, result))
        yield from action.settle()

    def _count(self, action: Action, quantity: Any) -> None:
        if isinstance(quantity, Mapping):
            for meter, part in quantity.items():
                action.set(part, meter)
        else:
            action.set(quantity)

    def _counts(self, result: Any, arguments: Mapping[str, Any]) -> bool:
        if self._when is not None:
            return bool(self._when(result))
        status = getattr(result, "status_code", None)
        if status is None and self._response is not None:
            status = getattr(arguments.get(self._response), "status_code", None)
        return not (isinstance(status, int) and status >= 400)


def wrap(metering: Metering, recorder: Recorder) -> Handler:
    """The handler with its action around it; a coroutine function stays one."""
    handler = metering.handler

    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            action, arguments = metering.begin(args, kwargs)
            await recorder.drive_async(action.open())
            try:
                result = await handler(*args, **kwargs)
            except BaseException:
                await recorder.drive_async(action.fail())
                raise
            await recorder.drive_async(metering.finish(action, result, arguments))
            return result

    else:

        @functools.wraps(handler)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            action, arguments = metering.begin(args, kwargs)
            recorder.drive(action.open())
            try:
                result = handler(*args, **kwargs)
            except BaseException:
                recorder.drive(action.fail())
                raise
            recorder.drive(metering.finish(action, result, arguments))
            return result

    wrapper.__signature__ = metering.signature  # type: ignore[attr-defined]
    mark(wrapper, [metering.meter.name], metering.untrusted, metering.reason)
    return wrapper
