"""What every backplane needs whose sessions outlive the process."""

import time
from collections.abc import Callable

__all__ = ["check_names", "steady_time"]


def steady_time() -> Callable[[], float]:
    """The time of day at the start, and then evenly on, whatever is done to the system's clock."""
    start = time.time() - time.monotonic()
    return lambda: start + time.monotonic()


def check_names(*names: str) -> None:
    """What cannot be written fails with who asked for it, not with all that is written with it."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"expected names that are Unicode text, got surrogates: {error}") from None
