"""Names as NATS takes them: any text is one token of a subject, and part of a stream's name."""

import hashlib
from typing import Final

__all__ = ["MOST", "token"]

MOST: Final = 120
"""Bytes of a token: a stream's name, which becomes that of a folder, may have 255."""

_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def token(name: str) -> str:
    """A name as one token, another one for every other name.

    Letters, digits and underscores stay, any other byte is `-` and its two digits. Of one that is
    too long there is the beginning, and a SHA-256.
    """
    encoded = name.encode()
    text = "".join(chr(byte) if byte in _PLAIN else f"-{byte:02x}" for byte in encoded) or "-"
    if len(text) > MOST:
        # No other token has `--` in it.
        return f"{text[: MOST - 42]}--{hashlib.sha256(encoded).hexdigest()[:40]}"
    return text
