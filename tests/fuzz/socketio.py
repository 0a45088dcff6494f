"""Mutated packets and payloads into the parsers of Socket.IO: only what is documented comes out.

    python -m tests.fuzz.socketio --packets 1000000

Exits with 1, and says with which messages, when anything else is raised.
"""

import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
from msgspec import UNSET

from gatewright.protocol.codecs import decode_errors, describe
from gatewright.protocol.engineio import SEPARATOR, PayloadError, decode_packet, decode_payload
from gatewright.protocol.frames import ErrorBody
from gatewright.protocol.socketio.codec import SocketIOCodec
from gatewright.protocol.socketio.msgpack import MsgpackDecoder, SocketIOMsgpackCodec
from gatewright.protocol.socketio.packets import Decoder, JsonDecoder, Packet, PacketError
from tests.fuzz.codec import KINDS, dec_hook
from tests.fuzz.commands import command
from tests.fuzz.corpus import EVENTS, SAMPLES, TEXTS, Mutator, Rng, reshaped, value

__all__ = ["main", "run"]

RESERVED = ["connect", "disconnect", "newListener"]
NAMESPACES = ["", "", "", "/chat,", "/lab/7,", "/a?b=c,", "/", "/chat", "//,", "/\x00,", "/é,"]
TOKENS = [*"0123456/,-[]{}\"'\\", "\x1e", "_placeholder", '"num":', "9" * 30, "\ud800", "٣", "\n"]
ESCAPES = [r"\ud800", r"\udc00\ud800", r"\\ud800", '{"_placeholder":true,"num":0}']
HEADS = [b"\xa4type", b"\xa3nsp", b"\xa4data", b"\xa2id", b"\x82", b"\x84", b"\xd4\0\0", b"\xd7\0"]


class Making:
    """Makes the messages of one packet, always the same ones for a seed."""

    def __init__(self, seed: int, *, binary: bool) -> None:
        self.binary = binary
        self.mutator = Mutator(seed, binary=binary)
        self.rng: Rng = self.mutator.rng

    def messages(self) -> list[str | bytes]:
        rng = self.rng
        if rng.random() < 0.05:
            return [self.mutator.message()]
        made = self._packed() if self.binary else self._text()
        if rng.random() < 0.03:
            others: list[str | bytes] = ["", "2", b"", b"x", "51-[]"]
            made.insert(rng.randrange(len(made) + 1), rng.choice(others))
        return made

    def arguments(self) -> list[Any]:
        rng = self.rng
        kind = rng.random()
        name: Any = rng.choice(EVENTS) if kind < 0.9 else rng.choice([*TEXTS, *RESERVED, 7, None])
        if kind > 0.98:
            return []
        samples = [rng.choice(SAMPLES) for _ in range(rng.randrange(4))]
        return [name, *(each if rng.random() < 0.5 else reshaped(rng, each) for each in samples)]

    def _text(self) -> list[str | bytes]:
        rng = self.rng
        kind = rng.choice("2222223000145566")
        namespace = rng.choice(NAMESPACES)
        id = "" if rng.random() < 0.5 else str(rng.choice([0, 7, 8, 9, 2**53 - 1, 2**53, 10**30]))
        count = rng.choice([0, 1, 2, 2, 3, 10, 11])
        data: Any = self.arguments() if kind in "2356" else value(rng, 2)
        if kind in "56":
            data.append([{"_placeholder": True, "num": n} for n in range(count)])
        body = msgspec.json.encode(data).decode() if rng.random() < 0.95 else ""
        head = f"{kind}{count}-" if kind in "56" else kind
        attachments = [rng.randbytes(rng.randrange(4)) for _ in range(count if kind in "56" else 0)]
        return [self._mutated(f"{head}{namespace}{id}{body}"), *attachments]

    def _mutated(self, text: str) -> str:
        rng = self.rng
        for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 5])):
            at = rng.randrange(len(text) + 1)
            end = min(len(text), at + rng.choice([0, 0, 1, 3, 20]))
            token = rng.choice(rng.choice([TOKENS, ESCAPES]))
            put = rng.choice(["", token, chr(rng.randrange(0x250)), text[at:end] * 2])
            text = text[:at] + put + text[end:]
        if rng.random() < 0.002:
            text = '2["say",' + rng.choice(["[", '{"a":', '["a",{"b":']) * 20_000
        return text

    def _packed(self) -> list[str | bytes]:
        rng = self.rng
        packet: dict[str, Any] = {"type": rng.choice([*[2] * 20, 3, 3, 3, 0, 1, 4, 5, -1, "2"])}
        if rng.random() < 0.95:
            packet["nsp"] = rng.choice(["/", "/", "/chat", "/chat", "/chat", "", "chat", 7])
        if rng.random() < 0.9:
            packet["data"] = self.arguments() if rng.random() < 0.8 else value(rng, 2)
        if rng.random() < 0.5:
            right = rng.random() < 0.8
            wrong = [2**53, 2**64 - 1, -1, "7", 1.5]
            packet["id"] = rng.choice([0, 7, 2**53 - 1, None] if right else wrong)
        data = bytearray(msgspec.msgpack.encode(packet))
        for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
            if rng.random() < 0.2:
                at = rng.randrange(len(data) + 1)
                data[at:at] = rng.choice(HEADS)
            else:
                self.mutator._mutate(data)
        return [bytes(data)]


class Reading:
    """Takes messages as a session does, and looks at what becomes of them."""

    def __init__(
        self, codec: SocketIOCodec | SocketIOMsgpackCodec, fresh: Callable[[], Decoder]
    ) -> None:
        self.codec = codec
        self.ends: Counter[str] = Counter()
        self._fresh = fresh
        self._decoder = fresh()
        self._kinds = [(codec.decoder(each), codec.decoder(each, several=True)) for each in KINDS]
        self._at = 0

    def take(self, message: str | bytes) -> None:
        """Read one message and its arguments as several types; raises only what is a finding."""
        try:
            packet = self._decoder.add(message)
        except PacketError as error:
            check_words(str(error))
            self.ends["no packet"] += 1
            # The client's session ends with it.
            self._decoder = self._fresh()
            return
        if packet is not None:
            self.ends["packet"] += 1
            self._check(packet)
            if packet.type in (2, 3):
                self._decode(cast(Sequence[Any], packet.data))

    def _check(self, packet: Packet) -> None:
        data = cast(Any, packet.data)
        assert packet.op is UNSET
        assert packet.id is UNSET or 0 <= packet.id < 2**53, packet.id
        assert isinstance(packet.namespace, str)
        if packet.type == 2:
            assert isinstance(packet.event, str)
            assert packet.event not in RESERVED, packet.event
            # Its name goes back in the error that tells of it.
            error = ErrorBody("unknown_event", packet.event)
            assert self.codec.failure("/", None, packet.event, error, None).data
        elif packet.type == 3:
            assert packet.event is UNSET
            assert isinstance(packet.id, int)
        elif packet.type == 0:
            assert data is None or isinstance(data, dict)
        elif packet.type == 1:
            assert data is None

    def _decode(self, arguments: Sequence[Any]) -> None:
        for _ in range(3):
            self._at = (self._at + 1) % len(self._kinds)
            one, several = self._kinds[self._at]
            for decode in (one, several) if arguments else (several,):
                try:
                    found = decode(arguments)
                except decode_errors as error:
                    check_words(describe(error))
                    self.ends["no arguments"] += 1
                else:
                    self.ends["arguments"] += 1
                    if KINDS[self._at] is Any:
                        self._answer(found)

    def _answer(self, found: Any) -> None:
        """What came in as anything goes out again."""
        try:
            self.codec.answer("/", 1, found)
        except RecursionError:
            self.ends["too deep to answer"] += 1


def run(packets: int, seed: int) -> Counter[str]:
    """Feed so many packets, half of them in each format; raises with the first finding."""
    total: Counter[str] = Counter()
    for binary in (False, True):
        codec = SocketIOMsgpackCodec(dec_hook) if binary else SocketIOCodec(dec_hook)
        reading = Reading(codec, MsgpackDecoder if binary else JsonDecoder)
        making = Making(seed, binary=binary)
        for number in range(packets // 2):
            messages = making.messages()
            try:
                for message in messages:
                    reading.take(message)
                poll(making.rng, messages)
            except BaseException as error:
                error.add_note(
                    f"{codec.name}, seed {seed}, packet {number}: {str(messages)[:2000]}"
                    f" (kind {KINDS[reading._at]})"
                )
                raise
        total.update({f"{codec.name}: {end}": n for end, n in reading.ends.items()})
        total["packets"] += packets // 2
    return total


def poll(rng: Rng, messages: list[str | bytes]) -> None:
    """The same as the body of a request, which may have suffered on its way."""
    parts = [
        b"4" + each.encode("utf-8", "surrogatepass")
        if isinstance(each, str)
        else b"b" + b64encode(each)
        for each in messages
    ]
    body = bytearray(SEPARATOR.encode().join(parts))
    if rng.random() < 0.3:
        at = rng.randrange(len(body) + 1)
        body[at : at + rng.randrange(3)] = rng.choice([b"", b"\xff", b"=", b"b", b"\x1e", b"\x1eb"])
    found = bytes(body)
    try:
        for packet in decode_payload(found):
            data = decode_packet(packet)
            assert data is None or isinstance(data, bytes)
    except PayloadError as error:
        check_words(str(error))


def check_words(text: str) -> None:
    assert text, "an error without words"


def main(arguments: list[str] | None = None) -> int:
    return command(__doc__, "packets", run, arguments)


if __name__ == "__main__":
    sys.exit(main())
