"""What of a client's headers, parameters and data is not to be shown to others."""

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["MAX_TEXT", "REDACTED", "is_secret", "plain", "redacted"]

REDACTED: Final = "[redacted]"

MAX_TEXT: Final = 1000

_SECRET: Final = re.compile(
    # An author is no secret, an authorization is.
    r"auth(?!or(?!i[sz]))|cookie|credential|jwt|passw|pwd|secret|session|signature|token"
    r"|apikey|[-_]key$|(?:^|[-_])(?:pin|otp|sid)$",
    re.IGNORECASE,
)


def is_secret(name: str) -> bool:
    """Whether a field, header or parameter of this name had better not be shown."""
    return _SECRET.search(name) is not None


def redacted(fields: Mapping[str, str]) -> dict[str, str]:
    """Headers or parameters without the values of those that are secret."""
    return {
        plain(name): REDACTED if is_secret(name) else plain(value) for name, value in fields.items()
    }


def plain(text: str) -> str:
    """A text, cut, that can be encoded: some hold lone surrogates."""
    cut = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode()
