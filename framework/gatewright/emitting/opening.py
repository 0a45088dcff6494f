"""A node without connections, for as long as somebody emits from it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from gatewright.backplane import Backplane
from gatewright.backplane.urls import BACKPLANE, choose
from gatewright.blueprint import templates
from gatewright.emitter import Emitter
from gatewright.emitting.anywhere import Anywhere
from gatewright.errors import StartupError
from gatewright.node import Node, Template
from gatewright.protocol.codecs import Codec, DecHook, EncHook, JsonCodec, MsgpackCodec
from gatewright.protocol.sessions.codecs import SessionJsonCodec, SessionMsgpackCodec, new_mark
from gatewright.protocol.socketio.codec import SocketIOCodec
from gatewright.protocol.socketio.msgpack import SocketIOMsgpackCodec
from gatewright.settings import Settings

__all__ = ["emitting", "opened"]

ACQUAINTANCE: Final = 2.5
"""Seconds in which every node that lives has spoken, whatever it is busy with."""


@asynccontextmanager
async def emitting(
    backplane: Backplane | None = None,
    *,
    gateways: Sequence[type] | None = None,
    settings: Settings | None = None,
    dec_hook: DecHook | None = None,
    enc_hook: EncHook | None = None,
) -> AsyncGenerator[Emitter]:
    """Emit from this process to who is connected to others.

    None is the backplane that GATEWRIGHT_BACKPLANE names. With `gateways` only their namespaces
    and what they emit is accepted; without, every event anywhere. `settings` are those of the
    servers: whoever emits lets go of what is too old. Where no node lives the beginning takes 2.5
    seconds. Raises `StartupError`, and `BackplaneError` where it cannot be reached.
    """
    async with opened(
        backplane, gateways=gateways, settings=settings, dec_hook=dec_hook, enc_hook=enc_hook
    ) as emitter:
        yield emitter


@asynccontextmanager
async def opened(
    backplane: Backplane | None,
    *,
    gateways: Sequence[type] | None = None,
    settings: Settings | None = None,
    dec_hook: DecHook | None = None,
    enc_hook: EncHook | None = None,
    meet: bool = True,
) -> AsyncGenerator[Emitter]:
    """The same; who only appends to sequences need not `meet` the nodes that live."""
    node = Node(
        settings or Settings(),
        _shared(choose(None) if backplane is None else backplane),
        _codecs(dec_hook, enc_hook),
        _templates(gateways),
        MsgpackCodec(dec_hook, enc_hook),
    )
    await node.start()
    emitter = Emitter(node)
    try:
        if meet:
            await _meet(node)
        yield emitter
    finally:
        emitter.attach(None)
        await node.stop()


def _shared(backplane: Backplane) -> Backplane:
    if not backplane.shared:
        raise StartupError(
            "emitting(backplane)",
            expected="a backplane that the servers share, such as Redis(url)",
            got=f"{backplane.address}, with which nobody else would hear it",
            fix=f"Name the one of the servers here, or in {BACKPLANE}.",
        )
    return backplane


def _templates(gateways: Sequence[type] | None) -> Mapping[str, Template]:
    return Anywhere() if gateways is None else templates(gateways)


def _codecs(dec_hook: DecHook | None, enc_hook: EncHook | None) -> list[Codec]:
    """Every format: what cannot be encoded in one fails here, and answers come in any."""
    mark = new_mark()
    return [
        JsonCodec(dec_hook, enc_hook),
        MsgpackCodec(dec_hook, enc_hook),
        SessionJsonCodec(dec_hook, enc_hook, mark),
        SessionMsgpackCodec(dec_hook, enc_hook, mark),
        SocketIOCodec(dec_hook, enc_hook),
        SocketIOMsgpackCodec(dec_hook, enc_hook),
    ]


async def _meet(node: Node) -> None:
    """Wait until somebody has answered, who knows all others; or until it is sure there is none."""
    met = asyncio.Event()
    node.remote.watch(lambda _, lives: met.set() if lives else None)
    if not node.remote.nodes:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ACQUAINTANCE):
                await met.wait()
