"""A client's side of a session in the state that a test begins with."""

from typing import Any

from msgspec import UNSET, Raw, UnsetType

from gatewright.protocol.sessions import frames as wire
from gatewright.protocol.sessions.client import (
    CallFailed,
    ClientSession,
    ServerEnvelope,
)


def hello(**changes: Any) -> wire.Hello:
    fields: dict[str, Any] = {
        "session": "~a",
        "token": "t1",
        "resumed": False,
        "epoch": "e",
        "seq": 5,
        "last": 0,
        "heartbeat": wire.Heartbeat(25, 10),
        "grace": 120,
        "max": 100,
    }
    return wire.Hello(**(fields | changes))


def opened(now: float = 0, **changes: Any) -> ClientSession:
    session = ClientSession(random=lambda: 0.5, queue=changes.pop("queue", 1000))
    session.connected(now)
    session.received(hello(**changes), now)
    session.frames()
    session.events()
    return session


def returned(session: ClientSession, now: float = 1, **changes: Any) -> list[Any]:
    """Lose the socket, come back, and return what is sent after `open`."""
    session.lost(now, 1006)
    session.connected(now)
    session.received(hello(resumed=True, token="t2", **changes), now)
    return session.frames()[1:]


def said(event: str, seq: int | UnsetType = UNSET) -> ServerEnvelope:
    return ServerEnvelope(event=event, data=Raw(b"1"), seq=seq)


def failed(session: ClientSession) -> dict[str, str]:
    events = session.events()
    return {each.call.event: each.error.code for each in events if isinstance(each, CallFailed)}
