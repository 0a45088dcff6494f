"""Passwords as bcrypt hashes them."""

import re
from functools import partial
from typing import Final

import anyio.to_thread

try:
    import bcrypt
except ImportError as _error:
    raise ImportError(
        "gatewright.inspector needs the package bcrypt; install the extra: "
        "pip install 'gatewright[admin]'"
    ) from _error

__all__ = ["hash_password", "is_hash", "matches"]

_HASH: Final = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")

LONGEST: Final = 72
"""Bytes of a password that bcrypt looks at."""


def hash_password(password: str) -> str:
    """The hash of a password, for `Admin(password_hash=…)`; raises `ValueError` if it is too long.

    Made to be slow: about a quarter of a second.
    """
    given = password.encode()
    if not 0 < len(given) <= LONGEST:
        raise ValueError(
            f"expected a password of 1 to {LONGEST} bytes of UTF-8, got one of {len(given)}: "
            "bcrypt looks at no more"
        )
    return bcrypt.hashpw(given, bcrypt.gensalt()).decode()


def is_hash(text: object) -> bool:
    """Whether it is what `hash_password` makes."""
    return isinstance(text, str) and _HASH.fullmatch(text) is not None


async def matches(password: str, hashed: str) -> bool:
    """Whether a password is the one that was hashed; worked out in a thread."""
    given = password.encode("utf-8", "surrogatepass")
    if not 0 < len(given) <= LONGEST:
        return False
    check = partial(bcrypt.checkpw, given, hashed.encode())
    return await anyio.to_thread.run_sync(check, abandon_on_cancel=True)
