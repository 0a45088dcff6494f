"""The scripts that Redis runs for us: each is one atomic step."""

import hashlib
from importlib import resources
from typing import Final

from msgspec import Struct

__all__ = ["APPEND", "CREATE", "DUE", "HEAD", "READ", "REMIND", "REMOVE", "REPLACE", "Script"]


class Script(Struct, frozen=True):
    """A script's source; Redis knows it by its SHA-1 once it has run."""

    name: str
    source: bytes
    sha: str


def _script(*names: str) -> Script:
    folder = resources.files("gatewright.backplane.redis") / "lua"
    source = b"\n".join((folder / f"{name}.lua").read_bytes() for name in names)
    sha = hashlib.sha1(source, usedforsecurity=False).hexdigest()
    return Script(names[-1], source, sha)


APPEND: Final = _script("lane", "append")
HEAD: Final = _script("lane", "head")
READ: Final = _script("lane", "read")
CREATE: Final = _script("lane", "records", "create")
REPLACE: Final = _script("lane", "records", "replace")
REMOVE: Final = _script("lane", "records", "remove")
REMIND: Final = _script("remind")
DUE: Final = _script("due")
