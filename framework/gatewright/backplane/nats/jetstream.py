"""What is asked of JetStream, with its answers decoded by type."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from gatewright.backplane.nats.connection import ANSWERED_WITHIN, ROOM_FOR_HEADERS, Connection
from gatewright.backplane.shared.log import Unreachable

__all__ = [
    "Ack",
    "Config",
    "Failed",
    "Info",
    "JetStream",
    "Kept",
    "Missing",
    "Republish",
    "State",
    "WrongLast",
    "nanoseconds",
]

API: Final = "$JS.API"

NO_STREAM: Final = 10059
NO_MESSAGE: Final = 10037
NO_SEQUENCE: Final = 10043
NAME_IN_USE: Final = 10058
WRONG_LAST: Final = frozenset({10071, 10164})
"""Codes of JetStream's own (`err_code`), which do not change from version to version."""

NO_MORE: Final = frozenset({"404", "408"})
TOO_LARGE: Final = "409"
"""Statuses that end a page: there is no more, or no more fits."""

T = TypeVar("T")


class Failed(Unreachable):
    """JetStream has answered that it does not do it, and why."""

    def __init__(self, subject: str, code: int, description: str) -> None:
        super().__init__(f"{subject}: {description} (JetStream error {code})")
        self.code = code
        self.description = description


class Missing(Failed):
    """There is no such stream."""


class WrongLast(Failed):
    """Another message is the last one of its subject than was expected."""


class _Error(Struct):
    err_code: int = 0
    code: int = 0
    description: str = ""


class Republish(Struct, omit_defaults=True):
    """Where what a stream has stored is told."""

    src: str = ""
    dest: str = ""
    headers_only: bool = False


class Config(Struct, kw_only=True):
    """A stream's configuration, as far as it matters here; times in nanoseconds."""

    name: str
    subjects: list[str] | None = None
    retention: str = "limits"
    discard: str = "old"
    storage: str = "file"
    num_replicas: int = 1
    max_age: int = 0
    max_bytes: int = -1
    max_msgs: int = -1
    max_msg_size: int = -1
    max_msgs_per_subject: int = -1
    max_consumers: int = -1
    duplicate_window: int = 0
    republish: Republish | None = None
    no_ack: bool = False
    sealed: bool = False
    deny_delete: bool = False
    deny_purge: bool = False


class State(Struct, frozen=True):
    """What is in a stream; `num_deleted` are missing between the first and the last."""

    messages: int = 0
    first_seq: int = 0
    last_seq: int = 0
    last_ts: str = ""
    num_deleted: int = 0
    consumer_count: int = 0


class Info(Struct):
    """A stream as it is; it has a `cluster` where its server has one."""

    config: Config
    created: str = ""
    state: State = State()
    cluster: Mapping[str, Any] | None = None


class _InfoAnswer(Struct):
    error: _Error | None = None
    config: Config | None = None
    created: str = ""
    state: State = State()
    cluster: dict[str, Any] | None = None


class Limits(Struct, frozen=True):
    """What an account may have; -1 is no limit."""

    max_memory: int = -1
    max_storage: int = -1
    max_streams: int = -1
    max_bytes_required: bool = False


class _AccountAnswer(Struct):
    error: _Error | None = None
    limits: Limits = Limits()


class Ack(Struct):
    """Where a message stands in its stream."""

    error: _Error | None = None
    seq: int = 0
    duplicate: bool = False


class Kept(Struct):
    """A message of a stream."""

    subject: str = ""
    seq: int = 0
    data: bytes = b""
    hdrs: bytes = b""

    @property
    def id(self) -> str:
        """Its `Nats-Msg-Id`, empty if it has none."""
        for line in self.hdrs.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name == b"Nats-Msg-Id":
                return value.strip().decode()
        return ""


class _KeptAnswer(Struct):
    error: _Error | None = None
    message: Kept | None = None


class _ConsumerAnswer(Struct):
    error: _Error | None = None
    name: str = ""
    config: dict[str, Any] = {}


class _Page(Struct):
    total: int = 0
    offset: int = 0
    streams: list[_InfoAnswer] | None = None


class _Answer(Struct):
    error: _Error | None = None


class JetStream:
    """Streams and their messages, over whatever connection there is."""

    def __init__(self, reach: Callable[[], Awaitable[Connection]]) -> None:
        self._reach = reach

    async def account(self) -> Limits:
        return (await self._ask("INFO", None, _AccountAnswer)).limits

    # Streams

    async def info(self, stream: str) -> Info | None:
        try:
            answer = await self._ask(f"STREAM.INFO.{stream}", None, _InfoAnswer)
        except Missing:
            return None
        return _info(answer)

    async def create(self, config: Config) -> Info | None:
        """Make a stream; None where there is another one of this name."""
        try:
            answer = await self._ask(f"STREAM.CREATE.{config.name}", config, _InfoAnswer)
        except Failed as error:
            if error.code == NAME_IN_USE:
                return None
            raise
        return _info(answer)

    async def update(self, config: Config) -> Info:
        return _info(await self._ask(f"STREAM.UPDATE.{config.name}", config, _InfoAnswer))

    async def delete(self, stream: str) -> None:
        with contextlib.suppress(Missing):
            await self._ask(f"STREAM.DELETE.{stream}", None, _Answer)

    async def streams(self, subject: str) -> list[Info]:
        """All streams that take what is published to a subject."""
        found: list[Info] = []
        while True:
            asked = {"subject": subject, "offset": len(found)}
            page = await self._ask("STREAM.LIST", asked, _Page)
            found += [_info(each) for each in page.streams or ()]
            if not page.streams or len(found) >= page.total:
                return found

    async def purge(self, stream: str, subject: str, below: int) -> None:
        """Forget the messages of a subject that stand below a sequence number."""
        await self._ask(f"STREAM.PURGE.{stream}", {"filter": subject, "seq": below}, _Answer)

    # Messages

    async def publish(
        self, subject: str, payload: bytes, *, id: str | None = None, last: int | None = None
    ) -> Ack:
        """Put a message in the stream that takes its subject.

        One with the same `id` is not put there again within the stream's duplicate window.
        `WrongLast`: `last` is not the sequence number of its subject's last message, 0 for none.
        """
        headers: dict[str, str] = {}
        if id is not None:
            headers["Nats-Msg-Id"] = id
        if last is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(last)
        connection = await self._reach()
        return _read(subject, await connection.request(subject, payload, headers), Ack)

    async def last(self, stream: str, subject: str) -> Kept | None:
        """The last message of a subject."""
        return await self._get(stream, {"last_by_subj": subject})

    async def next(self, stream: str, subject: str, start: int) -> Kept | None:
        """The first message of a subject from a sequence number on."""
        return await self._get(stream, {"seq": max(1, start), "next_by_subj": subject})

    async def at(self, stream: str, seq: int) -> Kept | None:
        return await self._get(stream, {"seq": seq})

    async def _get(self, stream: str, what: dict[str, Any]) -> Kept | None:
        try:
            answer = await self._ask(f"STREAM.MSG.GET.{stream}", what, _KeptAnswer)
        except Failed as error:
            if error.code == NO_MESSAGE:
                return None
            raise
        return answer.message

    async def take_away(self, stream: str, seq: int) -> None:
        """Delete one message; it need not be there."""
        try:
            what = {"seq": seq, "no_erase": True}
            await self._ask(f"STREAM.MSG.DELETE.{stream}", what, _Answer)
        except Failed as error:
            if error.code not in {NO_SEQUENCE, NO_MESSAGE, NO_STREAM}:
                raise

    async def read(self, stream: str, start: int, count: int, size: int) -> list[Kept]:
        """Messages from a sequence number on, at most so many and about so many bytes."""
        asked = {
            "stream_name": stream,
            "config": {
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": max(1, start),
                "ack_policy": "none",
                "replay_policy": "instant",
                "inactive_threshold": nanoseconds(5),
                "num_replicas": 1,
                "mem_storage": True,
            },
        }
        consumer = await self._ask(f"CONSUMER.CREATE.{stream}", asked, _ConsumerAnswer)
        try:
            return await self._pull(stream, consumer.name, count, size)
        finally:
            with contextlib.suppress(Unreachable):
                # It goes away by itself too.
                await self._ask(f"CONSUMER.DELETE.{stream}.{consumer.name}", None, _Answer)

    async def _pull(self, stream: str, consumer: str, count: int, size: int) -> list[Kept]:
        connection = await self._reach()
        queue: asyncio.Queue[Msg] = asyncio.Queue()

        async def heard(message: Msg) -> None:
            queue.put_nowait(message)

        async with connection.inbox(heard) as inbox:
            # Where the next message alone is larger, none would be sent.
            size = max(size, connection.largest + ROOM_FOR_HEADERS)
            what = {"batch": count, "max_bytes": size, "no_wait": True}
            subject = f"{API}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
            await connection.publish(subject, msgspec.json.encode(what), reply=inbox)
            found: list[Kept] = []
            while len(found) < count:
                try:
                    async with asyncio.timeout(ANSWERED_WITHIN):
                        message = await queue.get()
                except TimeoutError:
                    raise Unreachable(f"NATS did not send all of {stream}") from None
                if not message.reply.startswith("$JS.ACK."):
                    status = (message.headers or {}).get("Status")
                    if status in NO_MORE or (status == TOO_LARGE and found):
                        break
                    raise Unreachable(f"NATS did not send all of {stream}: status {status}")
                seq, number, pending = _place(message.reply)
                if number != len(found) + 1:
                    raise Unreachable(f"NATS did not send all of {stream}")
                found.append(Kept(message.subject, seq, message.data))
                if not pending:
                    break
            return found

    async def _ask(self, call: str, what: object, answer: type[T]) -> T:
        connection = await self._reach()
        payload = b"" if what is None else msgspec.json.encode(what)
        return _read(call, await connection.request(f"{API}.{call}", payload), answer)


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _read(subject: str, message: Msg, kind: type[T]) -> T:
    try:
        answer = msgspec.json.decode(message.data, type=kind)
    except msgspec.MsgspecError as error:
        raise Unreachable(f"{subject}: expected an answer of JetStream, got {error}") from error
    failed: _Error | None = getattr(answer, "error", None)
    if failed is None:
        return answer
    code = failed.err_code or failed.code
    if code == NO_STREAM:
        raise Missing(subject, code, failed.description)
    if code in WRONG_LAST:
        raise WrongLast(subject, code, failed.description)
    raise Failed(subject, code, failed.description)


def _info(answer: _InfoAnswer) -> Info:
    if answer.config is None:
        raise Unreachable("expected a stream's configuration from JetStream, got none")
    return Info(answer.config, answer.created, answer.state, answer.cluster)


def _place(reply: str) -> tuple[int, int, int]:
    """Stream sequence, consumer sequence and what is pending, of `$JS.ACK.…`.

    With a domain and an account there are two tokens more, and a random one behind.
    """
    tokens = reply.split(".")
    first = 5 if len(tokens) == 9 else 7
    return int(tokens[first]), int(tokens[first + 1]), int(tokens[first + 3])
