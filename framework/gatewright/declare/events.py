"""Outgoing events: structs with a name on the wire."""

from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct
from typing_extensions import dataclass_transform

from gatewright.errors import StartupError
from gatewright.protocol.socketio import packets

__all__ = ["RESERVED", "Event", "EventMeta", "check_event_name"]

# Socket.IO's own none of its clients will emit, or hear as an event.
RESERVED: Final = packets.RESERVED | {"exception"}


def check_event_name(name: object, where: str) -> None:
    """Refuse what cannot be an event's name on every door."""
    if not isinstance(name, str) or not name:
        raise StartupError(
            where,
            expected="an event name, as a non-empty string",
            got=repr(name),
            fix='Name the event, for instance "said".',
        )
    if name in RESERVED or name.startswith("presence:"):
        raise StartupError(
            where,
            expected="an event name of your own",
            got=f"{name!r}, which the protocols use themselves",
            fix="Choose another name.",
        )


@dataclass_transform(field_specifiers=(msgspec.field,))
class EventMeta(msgspec.StructMeta):
    """Takes `event="name"` among a struct's class options."""

    def __new__(
        mcls: type["EventMeta"],
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        event: str | None = None,
        **options: Any,
    ) -> "EventMeta":
        if event is not None:
            check_event_name(event, f"event {name}")
        cls = super().__new__(mcls, name, bases, namespace, **options)
        # Set on every class, so that a subclass never goes out under its parent's name.
        cls.__event__ = event
        return cls

    def __init__(
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        event: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, bases, namespace)

    __event__: str | None


class Event(Struct, metaclass=EventMeta):
    """An outgoing event: `class Said(Event, event="said")`, otherwise a msgspec `Struct`.

    A class without `event=` is a base for others and cannot be emitted; a subclass has no name of
    its own unless it gives one.
    """

    __event__: ClassVar[str | None]
