"""What servers tell each other: events that no client hears of."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Struct

from gatewright.declare.naming import name_of
from gatewright.declare.parameters import Allowed, read_parameters
from gatewright.declare.payloads import arguments_type, check_decodable
from gatewright.errors import ErrorCode, EventError, StartupError
from gatewright.protocol.frames import ErrorBody, exception_body

__all__ = ["Function", "ServerEvents", "check_server_event"]

logger: logging.Logger = logging.getLogger("gatewright")

Function: TypeAlias = Callable[..., Awaitable[Any]]

RESERVED: Final = frozenset({"connect", "connection", "new_namespace"})


class _Handler(Struct, frozen=True):
    where: str
    function: Function
    arguments: type[Struct]
    named: frozenset[str]


class ServerEvents:
    """The functions that are called, by namespace and event."""

    def __init__(self) -> None:
        self._handlers: dict[tuple[str, str], _Handler] = {}

    def add(self, namespace: str, event: str, function: Function) -> None:
        """Have a function called with an event's arguments; raises `StartupError`."""
        where = name_of(function)
        check_server_event(event, where)
        if not inspect.iscoroutinefunction(inspect.unwrap(function)):
            raise StartupError(
                where,
                expected="an async def",
                got="something else",
                fix="Write async def; what blocks goes through anyio.to_thread.run_sync.",
            )
        if (namespace, event) in self._handlers:
            raise StartupError(
                where,
                expected="one function for each event of a namespace",
                got=f"a second one for {event!r} of {namespace}",
                fix="Call both from one.",
            )
        parameters = read_parameters(function, where, {}, (), Allowed.PAYLOAD, method=False)
        for parameter in parameters:
            check_decodable(parameter.kind, f"{where}, parameter {parameter.name!r}", hooked=False)
        kind = arguments_type("Arguments", parameters)
        named = frozenset(parameter.name for parameter in parameters if parameter.keyword)
        self._handlers[namespace, event] = _Handler(where, function, kind, named)

    def check(self, namespaces: Collection[str]) -> None:
        """Refuse what nobody could ever send here: a namespace that is not one of the bridge's."""
        for (namespace, _), handler in self._handlers.items():
            if namespace not in namespaces:
                raise StartupError(
                    handler.where,
                    expected=f"one of the bridge's namespaces, {', '.join(sorted(namespaces))}",
                    got=repr(namespace),
                    fix="Name it as its gateway does.",
                )

    async def handle(self, path: str, data: Sequence[Any]) -> Any:
        """What is answered; whoever asks gets an answer, also to an event that nobody knows."""
        event = data[0] if data and isinstance(data[0], str) else ""
        handler = self._handlers.get((path, event))
        if handler is None:
            return None
        try:
            arguments = msgspec.convert(list(data[1:]), handler.arguments)
            values: Mapping[str, Any] = msgspec.structs.asdict(arguments)
            placed = [value for name, value in values.items() if name not in handler.named]
            named = {name: values[name] for name in handler.named}
            return await handler.function(*placed, **named)
        except msgspec.ValidationError as error:
            return _failure(EventError(ErrorCode.INVALID, str(error)))
        except EventError as error:
            return _failure(error)
        except Exception:
            logger.exception("%s failed", handler.where)
            return _failure(EventError(ErrorCode.INTERNAL, "internal error"))


def check_server_event(event: object, where: str) -> None:
    if not isinstance(event, str) or not event or event in RESERVED:
        raise StartupError(
            where,
            expected=f"an event's name, none of {', '.join(sorted(RESERVED))}",
            got=repr(event),
            fix="Choose another name.",
        )


def _failure(error: EventError) -> Any:
    details = UNSET if error.details is None else error.details
    return exception_body(None, ErrorBody(error.code, error.message, details))
