"""What it takes to be run by several processes: an order, the same names, reports to be sent."""

from collections.abc import Generator
from typing import Any

import pytest
from coverage import Coverage

__all__: list[str] = []


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    # In a worker pytest-cov starts to measure twice, and forgets the first time. That one would
    # take over whenever a test says `no_cover`, and cost as much.
    if hasattr(session.config, "workerinput") and (forgotten := Coverage.current()) is not None:
        forgotten.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes long begin first, so that all else fits in beside it.

    `make test` gives each worker whole files, in the order in which they come here. All workers
    must find the same tests, so a name must not depend on the process.
    """
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(
                f"expected a test whose name is the same in every process, got {item.nodeid}; "
                "give its parameters ids, or a __repr__ that says what they are"
            )
    items.sort(key=_seconds, reverse=True)


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("long")
    return 0 if marker is None else float(marker.args[0])


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Let reports be sent that have half of a surrogate pair in them, as some tests log."""
    return _sendable((yield))


def _sendable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_sendable(key): _sendable(each) for key, each in value.items()}
        case list() | tuple():
            return type(value)(map(_sendable, value))
        case _:
            return value
