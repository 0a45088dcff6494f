"""Who is speaking: the application's `authenticate`, and the guard that asks for a nickname."""

from gatewright import EventError, Handshake, Identity, Principal
from sample_app.miaou.models import Person

__all__ = ["authenticate", "registered"]


async def authenticate(handshake: Handshake) -> Identity[Person] | None:
    """Nobody is known while a connection opens: a browser registers with its first call.

    That handler checks nickname and secret and then calls `connection.authenticate(person)`, which
    ends here. What a client could send is decoded into maps and texts and never is a `Person`.
    """
    person = handshake.auth
    # to_user() takes this first value: it reaches every page of the person.
    return Identity(str(person.id), person) if isinstance(person, Person) else None


def registered(person: Principal[Person | None]) -> None:
    """A guard for handlers that need a person."""
    if person is None:
        raise EventError("unregistered", "Please choose a nickname first.")
