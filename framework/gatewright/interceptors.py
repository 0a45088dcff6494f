"""Interceptors: code around a handler."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gatewright.context import Context
from gatewright.declare.specs import CallNext

__all__ = ["wrap"]

Around = Callable[[Context, CallNext], Awaitable[Any]]
Inside = Callable[[Context], Awaitable[Any]]


def wrap(interceptors: Sequence[Around], inside: Inside) -> Inside:
    """Put interceptors around a handler, the first one outermost.

    Each gets `call_next` without arguments, and what it returns is what the next one out gets. For
    a stream that is the async iterator of its items, which it may replace.
    """
    for interceptor in reversed(interceptors):
        inside = _around(interceptor, inside)
    return inside


def _around(interceptor: Around, inside: Inside) -> Inside:
    async def call(context: Context) -> Any:
        return await interceptor(context, lambda: inside(context))

    return call
