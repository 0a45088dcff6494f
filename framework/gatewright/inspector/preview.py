"""Values as the page shows them: cut to a sane size, without secrets."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, cast

import msgspec
from msgspec import UNSET, Struct

from gatewright.redaction import REDACTED, is_secret, plain

__all__ = ["Preview"]

MAX_ITEMS: Final = 50
MAX_DEPTH: Final = 6
MAX_VALUES: Final = 500


class Preview:
    """One look at values; what is beyond its limits is only mentioned."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def of(self, value: object, depth: int = 0) -> Any:
        """What to show of a value: made of what JSON has."""
        self._left -= 1
        if self._left < 0:
            return "…"
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return plain(value)
        if isinstance(value, bytes | bytearray):
            return f"<{len(value)} bytes>"
        if depth >= MAX_DEPTH:
            return "…"
        if isinstance(value, Struct):
            return self._struct(value, depth)
        if isinstance(value, Mapping):
            mapping = cast(Mapping[object, object], value)
            return self._fields(mapping.items(), len(mapping), depth)
        if isinstance(value, list | tuple | set | frozenset):
            items = cast("list[object]", value)
            return self._items(items, len(items), depth)
        return self._other(value, depth)

    def _struct(self, value: Struct, depth: int) -> Any:
        config = value.__struct_config__
        found = [(name, getattr(value, name)) for name in value.__struct_fields__]
        if config.array_like:
            shown = [REDACTED if is_secret(name) else each for name, each in found]
            return self._items(shown, len(shown), depth)
        names = value.__struct_encode_fields__
        fields = [
            (name, each) for name, (_, each) in zip(names, found, strict=True) if each is not UNSET
        ]
        return self._fields(fields, len(fields), depth)

    def _fields(self, fields: Iterable[tuple[object, object]], count: int, depth: int) -> Any:
        shown: dict[str, Any] = {}
        for name, value in islice(fields, MAX_ITEMS):
            key = plain(str(name))
            shown[key] = REDACTED if is_secret(key) else self.of(value, depth + 1)
        if count > MAX_ITEMS:
            shown["…"] = f"{count - MAX_ITEMS} more"
        return shown

    def _items(self, items: Iterable[object], count: int, depth: int) -> Any:
        shown = [self.of(each, depth + 1) for each in islice(items, MAX_ITEMS)]
        if count > MAX_ITEMS:
            shown.append(f"… {count - MAX_ITEMS} more")
        return shown

    def _other(self, value: object, depth: int) -> Any:
        """Dates, enumerations, dataclasses: as msgspec would send them."""
        try:
            built = msgspec.to_builtins(value, str_keys=True)
        except Exception:
            # It may have a hook of the application's: its type says enough.
            return f"<{type(value).__name__}>"
        return self.of(built, depth)
