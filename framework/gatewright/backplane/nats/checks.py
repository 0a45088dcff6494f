"""What is found out before a node starts: whether all promises can be kept, and if not, why."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from gatewright.backplane.base import Bounds
from gatewright.backplane.nats.connection import place
from gatewright.backplane.nats.jetstream import JetStream, Limits, WrongLast
from gatewright.backplane.nats.lanes import Lanes
from gatewright.backplane.nats.streams import Layout
from gatewright.backplane.shared.log import Head, Message
from gatewright.errors import StartupError

__all__ = ["PROBED", "WHERE", "Probe", "check_account", "check_server", "probe", "refused"]

OLDEST: Final = (2, 9)
LEAST_PAYLOAD: Final = 512 * 1024
"""Bytes: a batch has up to 256 KiB of frames, and more than that as it is kept."""

PROBED: Final = " probe"
"""A namespace of nobody, in which nodes try what they need."""

HEARD_WITHIN: Final = 2.0
WHERE: Final = "Nats(url)"


def refused(expected: str, got: str, fix: str) -> StartupError:
    return StartupError(WHERE, expected=expected, got=got, fix=fix)


def check_server(info: Mapping[str, Any], servers: Sequence[str], layout: Layout) -> None:
    """Judge what a server tells of itself; raises `StartupError`."""
    version = str(info.get("version", "0"))
    if _numbers(version) < OLDEST:
        raise refused(
            "nats-server 2.9 or newer",
            version,
            "Older ones do not tell on what they have stored, with its number.",
        )
    if not info.get("jetstream"):
        raise refused(
            "a server with JetStream, which keeps sessions and what they have missed",
            f"{place(servers[0])} without it",
            "Start nats-server with -js, or with jetstream {} in its configuration. A leaf node "
            "that leaves JetStream to its hub would not tell when the hub has lost something.",
        )
    largest = int(info.get("max_payload", 0))
    if largest < LEAST_PAYLOAD:
        raise refused(
            f"messages of at least {LEAST_PAYLOAD} bytes: what is emitted at the same time is one",
            f"max_payload {largest}",
            "Raise max_payload in the configuration of nats-server.",
        )
    clustered = "cluster" in info
    if clustered and layout.replicas == 1:
        raise refused(
            "replicas of 3, or 5, in a cluster",
            "replicas=1",
            "With a single copy nobody could tell when the server that has it was restarted and "
            "has lost what was not on its disk yet.",
        )
    if not clustered and layout.replicas > 1:
        raise refused(
            f"a cluster of at least {layout.replicas} servers for replicas={layout.replicas}",
            f"{place(servers[0])}, which stands alone",
            "Leave replicas out, or name the servers of a cluster.",
        )
    if not clustered and len(servers) > 1:
        raise refused(
            "servers of one cluster",
            f"{len(servers)} servers, of which one at least stands alone",
            "Nodes at different servers would not hear of each other: name one, or make a cluster.",
        )


def check_account(limits: Limits, layout: Layout, bounds: Bounds) -> None:
    """Judge what this account may have; raises `StartupError`."""
    if limits.max_bytes_required:
        raise refused(
            "an account whose streams may be without max_bytes",
            "max_bytes_required",
            "A lane's bytes are counted without the markers in it, which must not be lost. Limit "
            "the account instead, by max_file_store or max_memory_store.",
        )
    most = limits.max_storage if layout.storage == "file" else limits.max_memory
    if 0 <= most < bounds.namespace_bytes:
        raise refused(
            f"room for {bounds.namespace_bytes} bytes (Bounds.namespace_bytes) in one namespace",
            f"an account that may have {most}",
            "Raise the account's limit, or lower namespace_bytes in the settings.",
        )
    if 0 <= limits.max_streams < 4:
        raise refused(
            "an account that may have two streams, and one more for each namespace",
            f"one that may have {limits.max_streams}",
            "Raise the account's max_streams.",
        )


class Probe:
    """Hears what comes back while a node tries what it needs."""

    def __init__(self) -> None:
        self.heads: asyncio.Queue[Head] = asyncio.Queue()

    def heard(self, namespace: str, message: Message) -> None:
        self.heads.put_nowait(Head(message.epoch, message.n, message.seq))

    def cast(self, namespace: str, body: bytes) -> None:
        pass

    def mail(self, body: bytes) -> None:
        pass

    def broken(self, namespaces: Collection[str] | None) -> None:
        pass


async def probe(js: JetStream, layout: Layout, lanes: Lanes, ears: Probe, node: str) -> None:
    """Do once what will be done all the time: whatever is ignored or refused shows itself here."""
    before = await lanes.subscribe(PROBED)
    first = await lanes.append(PROBED, b"", 0, f"{node}:probe", None)
    again = await lanes.append(PROBED, b"", 0, f"{node}:probe", None)
    if first != again:
        raise refused(
            "a message that is sent again to be stored once (Nats-Msg-Id)",
            f"the numbers {first.n} and {again.n} for it",
            "Take a server that keeps the stream's duplicate_window.",
        )
    try:
        async with asyncio.timeout(HEARD_WITHIN):
            while (await ears.heads.get()).n < first.n:
                pass
    except TimeoutError:
        raise refused(
            "what a stream has stored to be told on (republish)",
            f"nothing on {layout.heard('*')}",
            "Take a server that republishes, and let this user subscribe to that subject.",
        ) from None
    page = await lanes.read(PROBED, before.n)
    if not any(each.n == first.n for each in page.messages) and page.since < first.n:
        raise refused(
            "what a stream has stored to be readable",
            f"{len(page.messages)} messages without the one that was stored",
            "Take a server whose consumers begin where they are asked to.",
        )
    await lanes.unsubscribe(PROBED)
    subject = layout.key(PROBED, node.encode())
    ack = await js.publish(subject, b"", last=0)
    try:
        await js.publish(subject, b"", last=0)
    except WrongLast:
        await js.take_away(layout.records, ack.seq)
    else:
        raise refused(
            "a record to be replaced only by whoever knows the last one",
            "a server that ignores Nats-Expected-Last-Subject-Sequence",
            "Take another server.",
        )


def _numbers(version: str) -> tuple[int, ...]:
    numbers = version.partition("-")[0].split(".")
    return tuple(int(each) for each in numbers if each.isdecimal())
