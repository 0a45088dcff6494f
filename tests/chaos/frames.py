"""Follows the WebSocket frames in one direction of a TCP connection, from its first byte."""

from typing import Final

from msgspec import Struct

__all__ = ["Frame", "FrameReader"]

HEAD_END = b"\r\n\r\n"
LONGEST_HEAD = 64 * 1024


class Frame(Struct, frozen=True):
    """One whole frame; the payload is unmasked."""

    opcode: int
    payload: bytes

    @property
    def is_data(self) -> bool:
        """Whether it is (a part of) a message, not a ping, a pong or a close."""
        return self.opcode < 0x8


class FrameReader:
    """Finds where frames end in what passes; on a connection that is no WebSocket, nowhere."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._upgraded = False
        self._blind = False

    @property
    def begun(self) -> int:
        """How many of the last bytes belong to a frame that has not ended."""
        return len(self._buffer) if self._upgraded else 0

    def feed(self, data: bytes) -> list[tuple[int, Frame]]:
        """The frames that end in `data`, each with the offset in `data` just behind it."""
        if self._blind:
            return []
        before = len(self._buffer)
        self._buffer += data
        taken = 0
        if not self._upgraded:
            taken = self._skip_head()
            if not self._upgraded:
                return []
        found: list[tuple[int, Frame]] = []
        while (parsed := self._parse(taken)) is not None:
            frame, taken = parsed
            found.append((taken - before, frame))
        del self._buffer[:taken]
        return found

    def _skip_head(self) -> int:
        end = self._buffer.find(HEAD_END)
        if end < 0:
            self._blind = len(self._buffer) > LONGEST_HEAD
        else:
            self._upgraded = b"upgrade: websocket" in self._buffer[:end].lower()
            self._blind = not self._upgraded
        if self._blind:
            self._buffer.clear()
        return end + len(HEAD_END)

    def _parse(self, start: int) -> tuple[Frame, int] | None:
        buffer = self._buffer
        if len(buffer) < start + 2:
            return None
        size = buffer[start + 1] & 0x7F
        extended = _EXTENDED.get(size, 0)
        at = start + 2 + extended
        if extended:
            if len(buffer) < at:
                return None
            size = int.from_bytes(buffer[start + 2 : at], "big")
        masked = buffer[start + 1] & 0x80
        payload = at + (4 if masked else 0)
        end = payload + size
        if len(buffer) < end:
            return None
        data = bytes(buffer[payload:end])
        if masked:
            data = _unmask(data, bytes(buffer[at:payload]))
        return Frame(buffer[start] & 0x0F, data), end


_EXTENDED: Final = {126: 2, 127: 8}


def _unmask(data: bytes, key: bytes) -> bytes:
    mask = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(data), "big")
