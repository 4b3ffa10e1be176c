"""What a handler declares: meters, and where customer and quantity come from. Checked when it is written.

Nothing here imports a web framework: a dependency is recognised by its shape, and becomes a hidden
keyword parameter of the handler's signature, so that the framework resolves and caches it as usual.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

import msgspec

from tallystick.errors import DeclarationError

MARK = "__tallystick__"
HIDDEN = "tallystick_customer"
_INJECTED = frozenset(
    {"Request", "WebSocket", "HTTPConnection", "BackgroundTasks", "Response", "SecurityScopes", "HttpRequest"}
)


class Declared(msgspec.Struct, frozen=True):
    """The mark on a handler: its meters, and what of it rests on the client's word, with the reason."""

    meters: tuple[str, ...]
    untrusted: tuple[str, ...] = ()
    reason: str = ""


def declared(handler: Any) -> Declared | None:
    """The declaration of a handler, also through wrappers that keep `__wrapped__`."""
    while handler is not None:
        found = getattr(handler, MARK, None)
        if found is not None:
            mark: Declared = found
            return mark
        handler = getattr(handler, "func", None) or getattr(handler, "__wrapped__", None)
    return None


def is_dependency(value: Any) -> bool:
    """Whether a value is a `Depends(...)` or `Security(...)` of a framework."""
    return type(value).__name__ in ("Depends", "Security") and hasattr(value, "dependency")


def signature_of(handler: Callable[..., Any]) -> inspect.Signature:
    """The handler's signature with its annotations evaluated where that is possible."""
    try:
        return inspect.signature(handler, eval_str=True)
    except (NameError, TypeError, SyntaxError):
        return inspect.signature(handler)


def hidden_name(signature: inspect.Signature) -> str:
    """A name for the hidden parameter that a decorator further in has not taken."""
    taken = sum(name.startswith(HIDDEN) for name in signature.parameters)
    return f"{HIDDEN}_{taken}" if taken else HIDDEN


def with_hidden(signature: inspect.Signature, dependency: Any) -> inspect.Signature:
    """The signature with the hidden customer parameter, before `**kwargs` if there is one."""
    name = hidden_name(signature)
    hidden = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=dependency, annotation=Any)
    parameters = list(signature.parameters.values())
    end = len(parameters)
    if parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD:
        end -= 1
    return signature.replace(parameters=[*parameters[:end], hidden, *parameters[end:]])


def is_trusted(parameter: inspect.Parameter) -> bool:
    """Whether the server fills a parameter: a dependency, or an object the framework injects."""
    if is_dependency(parameter.default):
        return True
    annotation = parameter.annotation
    if get_origin(annotation) is Annotated:
        if any(is_dependency(extra) for extra in get_args(annotation)[1:]):
            return True
        annotation = get_args(annotation)[0]
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return name.rsplit(".", 1)[-1] in _INJECTED


class Getter:
    """A function over handler arguments, called with just the arguments it names."""

    def __init__(
        self, function: Callable[..., Any], signature: inspect.Signature, what: str, skip: int
    ) -> None:
        self._function = function
        names = list(inspect.signature(function).parameters)
        self.names = tuple(names[skip:])
        for name in self.names:
            if name not in signature.parameters:
                raise DeclarationError(
                    f"{what}= names the argument {name!r}, which the handler does not have; "
                    f"it has {', '.join(signature.parameters) or 'none'}"
                )

    def __call__(self, arguments: Mapping[str, Any], *first: Any) -> Any:
        return self._function(*first, *[arguments[name] for name in self.names])


def refuse_untrusted(
    getters: Mapping[str, Getter | None], signature: inspect.Signature, handler: str, untrusted_ok: str | None
) -> tuple[str, ...]:
    """The arguments that the client fills; DeclarationError unless a reason was given for trusting them."""
    found: list[str] = []
    for what, getter in getters.items():
        for name in getter.names if getter is not None else ():
            if not is_trusted(signature.parameters[name]):
                found.append(f"{what} from {name!r}")
    if found and not untrusted_ok:
        raise DeclarationError(
            f"{handler}: {', '.join(found)}, which the client fills; take it from a dependency such as "
            "customer=Depends(billed_customer) or from the result, or say untrusted_ok='why this is safe'"
        )
    return tuple(found)


def response_parameter(signature: inspect.Signature) -> str | None:
    """The name of an injected `Response` parameter, whose status the handler may set."""
    for name, parameter in signature.parameters.items():
        if getattr(parameter.annotation, "__name__", "") == "Response":
            return name
    return None


def refuse_generators(handler: Callable[..., Any]) -> None:
    """A generator's work is done after it returned: it has to be counted while it streams."""
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise DeclarationError(
            f"{handler.__qualname__} is a generator: @metered would settle before it has run; "
            "open an action in the handler and return action.stream(...)"
        )


def mark(handler: Any, meters: Sequence[str], untrusted: tuple[str, ...] = (), reason: str = "") -> None:
    """Put the declaration on a handler, adding to one that is there."""
    before = declared(handler)
    if before is not None:
        meters = (*before.meters, *meters)
        untrusted, reason = (*before.untrusted, *untrusted), reason or before.reason
    setattr(handler, MARK, Declared(tuple(meters), untrusted, reason))
