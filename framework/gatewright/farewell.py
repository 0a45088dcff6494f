"""How the process takes leave of its connections: who is told what, and who is waited for."""

import asyncio
import logging
from collections.abc import Collection
from random import random, shuffle
from typing import Any

from gatewright.outlets import Outlet
from gatewright.protocol.close import CloseCode
from gatewright.session import Session
from gatewright.settings import Settings

__all__ = ["dismiss", "see_off", "spread"]

logger: logging.Logger = logging.getLogger("gatewright")

REASON = "the server stops"


def spread(count: int, window: float) -> list[float]:
    """Delays in seconds for so many clients: even over the window, in random order.

    Its first quarter is left free. This process has to end and the next one to start; who came too
    early for that would try again soon after, with all others who did.
    """
    first = window / 4
    slot = (window - first) / count if count else window
    # A random place within its slot: several processes that stop together do not beat together.
    delays = [first + slot * (each + random()) for each in range(count)]  # noqa: S311 - no secret
    shuffle(delays)
    return delays


def dismiss(outlet: Outlet) -> None:
    """Close a connection, for its client to come back."""
    outlet.close(CloseCode.RESTART, REASON)


async def see_off(
    sessions: Collection[Session],
    unopened: Collection[Outlet],
    tasks: Collection["asyncio.Task[Any]"],
    settings: Settings,
) -> None:
    """Tell all clients when to come back, close their connections, and wait for the end of all.

    `unopened` are sockets that have no session yet, `tasks` the lives of all connections. What a
    later call finds done it does not do again.

    Nobody is kept until its delay has passed: the sessions are this process's alone, so no other
    could serve them meanwhile, and the next one can as soon as it runs.
    """
    here = list(sessions)
    for session, after in zip(here, spread(len(here), settings.drain), strict=True):
        session.connection.outbox.away(after, REASON)
    for outlet in unopened:
        dismiss(outlet)
    limit = settings.finish_timeout
    await _close(here, limit)
    # Their transports end them as their clients answer the goodbye; who does not is cut. Who is
    # still opening is told at the end of that.
    late = await _ended(tasks, limit)
    for outlet in [*(session.connection.outbox for session in sessions), *unopened]:
        outlet.abort()
    if late:
        late = await _ended(late, 3 * limit)
    if late:
        logger.warning("%d connections go on %g s after they were closed", len(late), 4 * limit)


async def _close(sessions: Collection[Session], limit: float) -> None:
    """Close each as soon as it has answered the calls that it has taken, or after `limit`."""

    async def close(session: Session, quiet: asyncio.Future[None]) -> None:
        await quiet
        dismiss(session.connection.outbox)

    busy: dict[asyncio.Task[None], Session] = {}
    for session in sessions:
        quiet = session.leave()
        if quiet is None:
            dismiss(session.connection.outbox)
        else:
            busy[asyncio.create_task(close(session, quiet))] = session
    if not busy:
        return
    _, late = await asyncio.wait(busy, timeout=limit)
    for task in late:
        task.cancel()
        dismiss(busy[task].connection.outbox)


async def _ended(tasks: Collection["asyncio.Task[Any]"], limit: float) -> "set[asyncio.Task[Any]]":
    """Wait until there are no tasks; returns those that are left after `limit` seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    # One that was begun in this very turn has not told yet that it is there.
    await asyncio.sleep(0)
    # Whoever passed the door before it was shut arrives while the others leave.
    while waiting := {task for task in tasks if not task.done()}:
        await asyncio.wait(waiting, timeout=max(0, end - loop.time()))
        if loop.time() >= end:
            break
    return {task for task in tasks if not task.done()}
