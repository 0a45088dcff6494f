"""What an application still keeps once everybody has left: nothing."""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from gatewright import Connection, Gatewright

__all__ = ["journal", "nothing_remains"]


async def nothing_remains(realtime: Gatewright, tasks: "set[asyncio.Task[Any]]") -> dict[str, int]:
    """Wait until nothing is left but `tasks`; returns, by name, what is left after all."""
    dispatcher = realtime._dispatcher
    assert dispatcher is not None, "the application has stopped"
    node = dispatcher.node

    def kept() -> dict[str, int]:
        counts = {
            "connections": len(realtime),
            "namespaces": len(node.namespaces),
            "calls to clients": len(node.calls),
            "sequences with members": len(node.backplane._sequences._live),  # type: ignore[attr-defined]
            "outboxes watched": len(node.flusher._watched),
            "tasks": len(asyncio.all_tasks() - tasks),
        }
        return {what: count for what, count in counts.items() if count}

    try:
        async with asyncio.timeout(30):
            while kept():
                await asyncio.sleep(0.01)
    except TimeoutError:
        return kept()
    gc.collect()
    # This application's only: a failure report or a log record of an earlier test may hold others.
    connections = sum(
        isinstance(each, Connection) and each._node is node for each in gc.get_objects()
    )
    return {"connections in memory": connections} if connections else {}


_LOGGERS = ("gatewright", "uvicorn", "uvicorn.error")


class _Journal(logging.Handler):
    def __init__(self, level: int, expected: Iterable[str]) -> None:
        super().__init__(level)
        self.entries: list[str] = []
        self._expected = set(expected)

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() not in self._expected:
            self.entries.append(self.format(record))


@asynccontextmanager
async def journal(level: int, *expected: str) -> AsyncGenerator[list[str]]:
    """Collect what is logged from this level on, without the messages that are expected.

    What is below is not logged at all: pytest keeps records, and these name connections.
    """
    handler = _Journal(level, expected)
    before = {logging.getLogger(name): logging.getLogger(name).level for name in _LOGGERS}
    for logger in before:
        logger.setLevel(level)
    logging.getLogger().addHandler(handler)
    try:
        yield handler.entries
    finally:
        logging.getLogger().removeHandler(handler)
        for logger, usual in before.items():
            logger.setLevel(usual)
