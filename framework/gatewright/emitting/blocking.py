"""The emitter for programs without an event loop: it has one in a thread of its own."""

import atexit
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from threading import Thread
from typing import Literal, overload

import anyio
from anyio.from_thread import BlockingPortal
from msgspec import Struct
from typing_extensions import TypeForm, TypeVar

from gatewright.backplane import Backplane
from gatewright.calls import Answers
from gatewright.emitter import Emitter, Target
from gatewright.emitting.opening import emitting
from gatewright.errors import NotStartedError
from gatewright.protocol.codecs import DecHook, EncHook
from gatewright.settings import Settings

__all__ = ["BlockingEmitter", "BlockingTarget", "emitting_sync"]

T = TypeVar("T")


def emitting_sync(
    backplane: Backplane | None = None,
    *,
    gateways: Sequence[type] | None = None,
    settings: Settings | None = None,
    dec_hook: DecHook | None = None,
    enc_hook: EncHook | None = None,
) -> AbstractContextManager["BlockingEmitter"]:
    """The same as `emitting`, for threads: each call returns when it is done.

    Several threads may share it. A process that was forked from this one needs its own.
    """
    return _Opening(
        emitting(
            backplane, gateways=gateways, settings=settings, dec_hook=dec_hook, enc_hook=enc_hook
        )
    )


class _Loop:
    """Where the emitter lives, as long as it does, for this process."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._process = os.getpid()

    @property
    def here(self) -> bool:
        """Whether its thread is in this process: it stays behind in a fork."""
        return os.getpid() == self._process

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        if not self.here:
            # Nobody would answer, ever.
            raise NotStartedError(
                "expected an emitter of this process, got one that was opened before a fork; "
                "open it in the process that uses it"
            )
        try:
            future = self._portal.start_task_soon(function)
        except RuntimeError as error:
            raise NotStartedError(
                f"expected an emitter that is open, from outside of its own loop: {error}"
            ) from None
        return future.result()

    def stop(self, *, at_once: bool) -> None:
        """Let calls under way end, unless it has to be at once; nobody can begin another."""
        with contextlib.suppress(RuntimeError):
            self._portal.call(self._portal.stop, at_once)


class _Opening(AbstractContextManager["BlockingEmitter"]):
    """The thread of an emitter.

    There is no generator in it that would wait for the thread when the interpreter ends.
    """

    def __init__(self, opening: AbstractAsyncContextManager[Emitter]) -> None:
        self._opening = opening
        self._opened: Future[tuple[_Loop, Emitter]] = Future()
        self._closed: Future[None] = Future()
        self._thread = Thread(target=self._live, name="gatewright: emitting", daemon=True)

    def __enter__(self) -> "BlockingEmitter":
        self._thread.start()
        loop, emitter = self._opened.result()
        atexit.register(self._leave)
        return BlockingEmitter(loop, emitter)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        atexit.unregister(self._leave)
        self._leave(at_once=kind is not None)

    def _leave(self, *, at_once: bool = True) -> None:
        loop, _ = self._opened.result()
        if loop.here:
            loop.stop(at_once=at_once)
            self._thread.join()
            self._closed.result()

    def _live(self) -> None:
        try:
            anyio.run(self._serve)
        except BaseException as error:
            (self._closed if self._opened.done() else self._opened).set_exception(error)
        else:
            self._closed.set_result(None)

    async def _serve(self) -> None:
        async with self._opening as emitter, BlockingPortal() as portal:
            self._opened.set_result((_Loop(portal), emitter))
            await portal.sleep_until_stopped()


class BlockingTarget:
    """A `Target` each of whose calls returns when it is done; it raises the same."""

    def __init__(self, loop: _Loop, target: Target) -> None:
        self._loop = loop
        self._target = target

    def to(self, *rooms: str) -> "BlockingTarget":
        """Add rooms; a connection's id is a room. `to()` with none reaches nobody."""
        return BlockingTarget(self._loop, self._target.to(*rooms))

    def to_user(self, *users: str) -> "BlockingTarget":
        """Add every connection of these users."""
        return BlockingTarget(self._loop, self._target.to_user(*users))

    def except_(self, *rooms: str) -> "BlockingTarget":
        """Leave out the members of these rooms."""
        return BlockingTarget(self._loop, self._target.except_(*rooms))

    @overload
    def emit(self, event: Struct, *, volatile: Literal[False] = False) -> int: ...
    @overload
    def emit(self, event: Struct, *, volatile: Literal[True], key: str | None = None) -> None: ...
    def emit(self, event: Struct, *, volatile: bool = False, key: str | None = None) -> int | None:
        """Send an event; returns its number in the namespace's sequence."""
        if volatile:
            return self._loop.run(partial(self._target.emit, event, volatile=True, key=key))
        return self._loop.run(partial(self._target.emit, event))

    def call(
        self, event: Struct, reply: TypeForm[T], *, timeout: float | None = None
    ) -> Answers[T]:
        """Ask every receiver and wait for all answers, decoded as `reply`."""
        return self._loop.run(partial(self._target.call, event, reply, timeout=timeout))

    def join(self, *rooms: str) -> int:
        """Make all of them join rooms; returns how many did, without those who were refused."""
        return self._loop.run(partial(self._target.join, *rooms))

    def leave(self, *rooms: str) -> None:
        """Make all of them leave rooms."""
        self._loop.run(partial(self._target.leave, *rooms))

    def disconnect(self, reason: str = "") -> None:
        """Close their connections for good (4500)."""
        self._loop.run(partial(self._target.disconnect, reason))

    def members(self) -> list[str]:
        """The ids of the connections that an emit would reach."""
        return self._loop.run(self._target.members)

    def count(self) -> int:
        """How many connections an emit would reach."""
        return self._loop.run(self._target.count)


class BlockingEmitter(BlockingTarget):
    """An `Emitter` each of whose calls returns when it is done; several threads may use it."""

    def __init__(self, loop: _Loop, emitter: Emitter) -> None:
        super().__init__(loop, emitter)
        self._emitter = emitter

    @property
    def namespace(self) -> str | None:
        """The namespace that it is bound to, path parameters filled in."""
        return self._emitter.namespace

    def of(self, namespace: str, /, **path: object) -> "BlockingEmitter":
        """Bind it to a namespace: `emitter.of("/lab/{bench}", bench=7)`."""
        return BlockingEmitter(self._loop, self._emitter.of(namespace, **path))
