"""Who is speaking: the application's `authenticate`, and the guard that asks for a nickname."""

from typing import Any

from injector import Inject

from gatewright import Connection, EventError, Handshake, Identity
from sample_app.miaou.models import Person
from sample_app.miaou.services import People

__all__ = ["authenticate", "registered"]


async def authenticate(handshake: Handshake, people: Inject[People]) -> Identity[Person] | None:
    """Nobody is known while a WebSocket opens: a browser registers with its first call.

    That handler checks nickname and secret and then calls `connection.authenticate(person)`, which
    ends here. What a client could send is decoded into maps and texts and never is a `Person`. A
    client that may return sends its secret, so that it is recognized as the same.
    """
    shown: Any = handshake.auth
    person: Person | None = None
    match shown:
        case Person():
            person = shown
        case {"secret": str(secret)}:
            person = await people.recognize(secret)
        case _:
            pass
    # to_user() takes this first value: it reaches every page of the person.
    return Identity(str(person.id), person) if person is not None else None


def registered(connection: Connection, people: Inject[People]) -> None:
    """A guard for handlers that need a person with a nickname."""
    if people.who(connection.id) is None:
        raise EventError("unregistered", "Please choose a nickname first.")
