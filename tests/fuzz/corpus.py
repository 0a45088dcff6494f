"""Frames that are right, what to do to them, and what comes of it."""

import random
from typing import Any

import msgspec

Rng = random.Random

NUMBERS: list[Any] = [
    0,
    -1,
    1,
    127,
    128,
    2**31,
    2**53 - 1,
    2**53,
    2**63,
    2**64 - 1,
    -(2**63),
    0.5,
    -0.0,
    1e308,
    5e-324,
]
TEXTS = [
    "",
    "a",
    "say",
    "join",
    "__init__",
    "constructor",
    "exception",
    "\x00",
    "\u2028",
    "\ufeff",
    "\U0001f388" * 3,
    "é" * 40,
    "x" * 300,
    "../../etc",
    "2026-11-23T10:00:00Z",
    "12345678-1234-5678-1234-567812345678",
    "AP8=",
    "1e3",
    "null",
    "%s%n{0}",
]
SAMPLES: list[Any] = [
    "lobby",
    7,
    {"room": "lobby", "text": "hello"},
    {"type": "moved", "at": "2026-11-23T10:00:00+01:00", "by": "PT1.5S"},
    {"type": "added", "task": {"title": "a", "done": True}, "price": "10.50"},
    [1, "two", [[3, 4], [5]]],
    {"value": 1, "children": [{"value": 2}, {"value": 3, "children": []}]},
    {"title": "wash", "done": False},
    {"loud": True, "colour": "red"},
    {"a": 1, "b": ["c", "d"]},
    {"12345678-1234-5678-1234-567812345678": "2026-11-23"},
    [1, "a", 0.5, 2.5],
    [[1, 2], [3]],
    {"code": "busy", "message": "later", "details": {"after": 3}},
    "QUJD",
]
EVENTS = ["say", "join", "add", "move", "count", "leave", "ping", "type", "echo"]

JSON_TOKENS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'"',
    b"null",
    b"true",
    b"NaN",
    b"Infinity",
    b"-0",
    b"1e999",
    b"-1e-999",
    b"9" * 400,
    b"0x10",
    b"01",
    b"1.",
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\\ud83c\\udf88"',
    b'"\\u0000"',
    b'"\\x"',
    b"\xed\xa0\x80",
    b"\xff",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\x1f",
    b"/**/",
    b'"event":"say",',
    b'"id":1,',
    b'"data":[],',
    b'"op":"cancel",',
]
MSGPACK_TOKENS = [
    b"\xc0",
    b"\xc1",
    b"\xc2",
    b"\xc4\x00",
    b"\xc4\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xc7\x0c\xff" + b"\xff" * 12,
    b"\xc7\x00\x05",
    b"\xc9\xff\xff\xff\xff\x01",
    b"\xca\x7f\xc0\x00\x00",
    b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
    b"\xcf" + b"\xff" * 8,
    b"\xd3\x80" + b"\x00" * 7,
    b"\xd6\xff" + b"\xff" * 4,
    b"\xd7\xff" + b"\xff" * 8,
    b"\xd9\x03\xed\xa0\x80",
    b"\xdb\xff\xff\xff\xff",
    b"\xdc\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xde\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\x81",
    b"\x91",
    b"\x8f",
    b"\x9f",
    b"\xbf",
    b"\xa5event",
    b"\xa2id",
    b"\xa4data",
]


def value(rng: Rng, depth: int = 3) -> Any:
    """Anything that can be sent, nested at most `depth` deep."""
    kind = rng.randrange(8 if depth else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind in (1, 2):
        return rng.choice(NUMBERS)
    if kind in (3, 4):
        return rng.choice(TEXTS)
    if kind == 5:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(TEXTS): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def frame(rng: Rng) -> dict[str, Any]:
    """A frame of the protocol; often one that a handler would take."""
    kind = rng.randrange(10)
    if kind == 0:
        return {"op": rng.choice(["cancel", "open", "ping", ""]), "id": rng.choice(NUMBERS)}
    if kind == 1:
        return {"id": rng.choice(NUMBERS), "data": value(rng)}
    if kind == 2:
        return {"id": rng.choice(NUMBERS), "error": value(rng)}
    data = rng.choice(SAMPLES) if rng.random() < 0.6 else value(rng)
    made: dict[str, Any] = {"event": rng.choice(EVENTS), "data": data}
    if rng.random() < 0.6:
        made["id"] = rng.randrange(1000)
    if rng.random() < 0.2:
        made[rng.choice(TEXTS)] = value(rng, 1)
    return made


def wrong(rng: Rng) -> Any:
    """Something with keys of the protocol and values of any type."""
    keys = ["event", "data", "id", "op", "error", *TEXTS[:3]]
    made = {key: value(rng, 2) for key in rng.sample(keys, rng.randrange(1, 5))}
    return made if rng.random() < 0.9 else value(rng)


def reshaped(rng: Rng, whole: Any) -> Any:
    """The same with parts of it of another type, missing or twice."""
    if rng.random() < 0.15:
        return value(rng, 2)
    if isinstance(whole, dict):
        items = [(key, reshaped(rng, each)) for key, each in whole.items() if rng.random() < 0.95]
        return dict(items)
    if isinstance(whole, list):
        several = [
            reshaped(rng, each) for each in whole for _ in range(rng.choice([0, 1, 1, 1, 2]))
        ]
        return several if rng.random() < 0.95 else {"0": several}
    return whole


def corpus(rng: Rng, size: int, *, binary: bool) -> list[bytes]:
    encode = msgspec.msgpack.encode if binary else msgspec.json.encode
    return [encode(frame(rng)) for _ in range(size)]


def nested(rng: Rng, depth: int, *, binary: bool) -> bytes:
    """A frame whose data, or whose unknown key, is nested so deep."""
    key = rng.choice(["data", "more", "error"])
    if binary:
        head = b"\x82\xa5event\xa3say" + msgspec.msgpack.encode(key)
        return head + rng.choice([b"\x91", b"\x81\xa1a", b"\xdc\x00\x01"]) * depth + b"\xc0"
    opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    head = b'{"event":"say","' + key.encode() + b'":'
    return head + opening * depth + b"1" + closing * rng.choice([0, depth]) + b"}"


def doubled(rng: Rng, *, binary: bool) -> bytes:
    """A map with a key that comes twice, which no library would encode."""
    pairs = list(frame(rng).items())
    pairs.append((rng.choice(pairs)[0], value(rng, 1)))
    rng.shuffle(pairs)
    if binary:
        encode = msgspec.msgpack.encode
        return bytes([0x80 | len(pairs)]) + b"".join(encode(k) + encode(v) for k, v in pairs)
    text = msgspec.json.encode
    return b"{" + b",".join(text(k) + b":" + text(v) for k, v in pairs) + b"}"


class Mutator:
    """Makes hostile frames, always the same ones for a seed."""

    def __init__(self, seed: int, *, binary: bool) -> None:
        self.rng = random.Random(f"{seed}/{binary}")
        self.binary = binary
        self._encode = msgspec.msgpack.encode if binary else msgspec.json.encode
        self._tokens = MSGPACK_TOKENS if binary else JSON_TOKENS
        self._corpus = corpus(self.rng, 2000, binary=binary)

    def next(self, max_depth: int = 20_000) -> bytes:
        """The next frame, as bytes."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.1:
            return self._encode(wrong(rng))
        if kind < 0.15:
            return doubled(rng, binary=self.binary)
        if kind < 0.155:
            return nested(rng, rng.choice([10, 100, 900, 1100, max_depth]), binary=self.binary)
        if kind < 0.45:
            whole = {**frame(rng), "data": reshaped(rng, rng.choice(SAMPLES))}
            return self._encode(whole)
        if kind < 0.7:
            return self._with_mutated_data()
        return self._mutated(rng.choice(self._corpus))

    def _with_mutated_data(self) -> bytes:
        """An envelope that can be read, around data that perhaps cannot."""
        rng, encode = self.rng, self._encode
        data = self._mutated(encode(rng.choice(SAMPLES) if rng.random() < 0.8 else value(rng)))
        event, call_id = encode(rng.choice(EVENTS)), encode(rng.randrange(1000))
        if self.binary:
            return b"\x83\xa5event" + event + b"\xa2id" + call_id + b"\xa4data" + data
        return b'{"event":' + event + b',"id":' + call_id + b',"data":' + data + b"}"

    def _mutated(self, whole: bytes) -> bytes:
        data = bytearray(whole)
        for _ in range(self.rng.choice([0, 1, 1, 1, 2, 4])):
            self._mutate(data)
        return bytes(data)

    def _mutate(self, data: bytearray) -> None:
        rng = self.rng
        kind = rng.randrange(7)
        at = rng.randrange(len(data) + 1)
        if kind == 0 and data:
            for _ in range(rng.choice([1, 1, 2, 8])):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            other = rng.choice(self._corpus)
            data[at:] = other[rng.randrange(len(other)) :]
        elif kind == 3:
            token = rng.choice(self._tokens)
            data[at : at + rng.choice([0, 1, len(token)])] = token
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.choice([1, 2, 8]))
        elif kind == 5:
            end = min(len(data), at + rng.randrange(12))
            data[at:at] = data[at:end] * rng.choice([1, 2, 30])
        else:
            end = min(len(data), at + rng.choice([1, 3, 20]))
            del data[at:end]

    def message(self, max_depth: int = 20_000) -> str | bytes:
        """The next frame as a server hands it over: a text may have come with surrogates."""
        data = self.next(max_depth)
        return data if self.binary else data.decode("utf-8", "surrogateescape")
