"""`@metered`: the action around a handler, decided once when it is declared."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tallystick.actions import nesting
from tallystick.actions.action import Action
from tallystick.actions.declaration import (
    Getter,
    hidden_name,
    is_coroutine,
    is_dependency,
    mark,
    refuse_generators,
    refuse_untrusted,
    response_parameter,
    signature_of,
    streams,
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
        nested: str = nesting.ONCE,
    ) -> None:
        refuse_generators(handler)
        self._recorder = recorder
        self.handler = handler
        self.name = getattr(handler, "__qualname__", None) or repr(handler)
        self.meter = recorder.catalogue[meter]
        signature = signature_of(handler)
        self._positional = [
            n
            for n, p in signature.parameters.items()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        self._defaults = {n: p.default for n, p in signature.parameters.items() if p.default is not p.empty}
        self._when = when
        self._nested = nesting.check(nested)
        self._response = response_parameter(signature)
        self._hidden = hidden_name(signature) if is_dependency(customer) else None
        self._customer = None if self._hidden else self._getter(customer, signature, "customer", 0)
        self._quantity = self._quantity_getter(quantity, signature)
        self._key = None if key is None else self._getter(key, signature, "key", 0)
        self._attributes = attributes if isinstance(attributes, Mapping) or attributes is None else None
        self._attribute_getter = (
            self._getter(attributes, signature, "attributes", 1) if callable(attributes) else None
        )
        self._needs_defaults = self._response is not None or any(
            getter is not None and getter.names
            for getter in (self._customer, self._quantity, self._key, self._attribute_getter)
        )
        if self._quantity is not None and streams(signature.return_annotation):
            raise DeclarationError(_STREAMED.format(self.name))
        getters = {"customer": self._customer, "quantity": self._quantity, "key": self._key}
        self.untrusted = refuse_untrusted(getters, signature, self.name, untrusted_ok)
        self.reason = untrusted_ok or ""
        self.signature = with_hidden(signature, customer) if self._hidden else signature

    def _getter(self, function: Any, signature: inspect.Signature, what: str, skip: int) -> Getter:
        if not callable(function):
            raise DeclarationError(
                f"{self.name}: {what}={function!r} is not usable; give Depends(...) or a function "
                "over handler arguments"
            )
        return Getter(function, signature, what, skip)

    def _quantity_getter(self, quantity: Any, signature: inspect.Signature) -> Getter | None:
        if quantity is None:
            if self.meter.formula is not Formula.COUNT:
                raise DeclarationError(
                    f"{self.name}: meter {self.meter.name!r} adds up quantities; say where they come "
                    "from, such as quantity=lambda result: result.usage.total_tokens"
                )
            return None
        if type(quantity) is int:
            fixed = quantity
            return Getter(lambda result: fixed, signature, "quantity", 1)
        return self._getter(quantity, signature, "quantity", 1)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Action, Mapping[str, Any]]:
        """The action of one call, and its arguments by name."""
        customer = self._take_hidden(kwargs) if self._hidden else None
        arguments: Mapping[str, Any] = kwargs
        if args or self._needs_defaults:
            arguments = {**self._defaults, **dict(zip(self._positional, args, strict=False)), **kwargs}
        if self._customer is not None:
            customer = self._customer(arguments)
        key = None if self._key is None else self._key(arguments)
        action = Action(
            self._recorder,
            self.meter.name,
            customer,
            key=key,
            attributes=self._attributes,
            nested=self._nested,
        )
        nesting.enter(action)
        return action, arguments

    def _take_hidden(self, kwargs: dict[str, Any]) -> Any:
        try:
            return kwargs.pop(self._hidden or "")
        except KeyError:
            raise ActionError(
                f"{self.name} was called without its customer, which the framework's dependency gives; "
                f"calling it yourself, add {self._hidden}=…"
            ) from None

    def finish(self, action: Action, result: Any, arguments: Mapping[str, Any]) -> Step[None]:
        """The flow after the handler returned: count, or void what does not count."""
        try:
            refused = self._measure(action, result, arguments)
        except Exception as error:
            action.distrust(f"{type(error).__name__}: {error}")
            yield from action.failing()
            raise
        yield from action.settling()
        if refused:
            raise ActionError(_STREAMED.format(self.name))

    def _measure(self, action: Action, result: Any, arguments: Mapping[str, Any]) -> bool:
        """Count what the result says; whether it is a stream, whose quantity nobody knows yet."""
        if not self._counts(result, arguments):
            action.void("the response does not count")
            return False
        if self._attribute_getter is not None:
            self._describe(action, self._attribute_getter, result, arguments)
        if self._quantity is None:
            return False
        if hasattr(result, "body_iterator"):
            action.void("a streaming response, refused")
            return True
        quantity = self._quantity(arguments, result)
        if isinstance(quantity, Mapping):
            for meter, part in quantity.items():
                action.set(part, meter)
        else:
            action.set(quantity)
        return False

    def _describe(self, action: Action, getter: Getter, result: Any, arguments: Mapping[str, Any]) -> None:
        """Attributes only label the usage: when they cannot be had it is recorded without them."""
        try:
            action.describe(getter(arguments, result))
        except Exception as error:
            message = f"{self.name}: recorded without attributes: {type(error).__name__}: {error}"
            self._recorder.find("attributes_refused", self.name, message)

    def _counts(self, result: Any, arguments: Mapping[str, Any]) -> bool:
        if self._when is not None:
            return bool(self._when(result))
        status = getattr(result, "status_code", None)
        if status is None and self._response is not None:
            status = getattr(arguments.get(self._response), "status_code", None)
        return not (isinstance(status, int) and status >= 400)


_STREAMED = (
    "{}: a streaming response is not used up when it is returned, so quantity= cannot know it; "
    "open an action in the handler and return action.stream(...)"
)


def wrap(metering: Metering, recorder: Recorder) -> Handler:
    """The handler with its action around it; a coroutine function stays one."""
    handler = metering.handler

    if is_coroutine(handler):

        @functools.wraps(handler)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            action, arguments = metering.begin(args, kwargs)
            await recorder.drive_async(action.opening())
            try:
                result = await handler(*args, **kwargs)
            except BaseException:
                await recorder.drive_async(action.failing())
                raise
            await recorder.drive_async(metering.finish(action, result, arguments))
            return result

    else:

        @functools.wraps(handler)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            action, arguments = metering.begin(args, kwargs)
            recorder.drive(action.opening())
            try:
                result = handler(*args, **kwargs)
            except BaseException:
                recorder.drive(action.failing())
                raise
            if hasattr(result, "__await__"):
                action.distrust("the handler returned a coroutine")
            recorder.drive(metering.finish(action, result, arguments))
            return result

    wrapper.__signature__ = metering.signature  # type: ignore[attr-defined]
    mark(wrapper, [metering.meter.name], metering.untrusted, metering.reason)
    return wrapper
