"""Streams of namespaces that nobody has used for long are taken away."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from gatewright.backplane.nats.connection import Connection, Nobody
from gatewright.backplane.nats.jetstream import Info, JetStream
from gatewright.backplane.nats.streams import Layout
from gatewright.backplane.shared.log import Unreachable

__all__ = ["IDLE", "sweep"]

logger: logging.Logger = logging.getLogger("gatewright")

IDLE: Final = timedelta(hours=1)


async def sweep(
    connection: Connection, js: JetStream, layout: Layout, idle: timedelta = IDLE
) -> int:
    """Delete lanes that are empty, old, and heard by no node; returns how many.

    Who begins to use one at this very moment finds another in its place, which is told as a break.
    """
    deleted = 0
    prefix = layout.lane("").removesuffix("-")
    now = datetime.now(UTC)
    for info in await js.streams(layout.lanes):
        if info.state.messages or now - _used(info) < idle:
            continue
        name = info.config.name
        if not name.startswith(prefix):
            continue
        try:
            # Whoever hears a lane answers; of nobody the server tells at once.
            await connection.request(layout.cast_of(name.removeprefix(prefix)))
        except Nobody:
            await js.delete(name)
            deleted += 1
        except Unreachable:
            logger.debug("%s: nobody says whether it is in use", name)
    return deleted


def _used(info: Info) -> datetime:
    """When something was stored last, or when the stream was made."""
    return max(_time(info.created), _time(info.state.last_ts))


def _time(text: str) -> datetime:
    """Of RFC 3339, with as many digits of a second as Python reads."""
    whole = text.partition(".")[0].removesuffix("Z")
    return (
        datetime.fromisoformat(whole).replace(tzinfo=UTC)
        if whole
        else datetime.min.replace(tzinfo=UTC)
    )
