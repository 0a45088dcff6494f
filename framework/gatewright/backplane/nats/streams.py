"""The streams there are, how each has to be, and what an existing one may differ in."""

from collections.abc import Callable
from secrets import token_hex
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from gatewright.backplane.base import Bounds
from gatewright.backplane.nats.jetstream import Config, Info, JetStream, Republish, nanoseconds
from gatewright.backplane.nats.names import token
from gatewright.backplane.shared.log import Unreachable
from gatewright.errors import StartupError

__all__ = ["DUPLICATES", "STORAGES", "Layout", "Storage", "life", "provide"]

Storage: TypeAlias = Literal["file", "memory"]
STORAGES: Final[tuple[Storage, ...]] = ("file", "memory")

DUPLICATES: Final = 120.0
"""Seconds for which a message that is sent again is known; it is sent again for 4."""

SLACK: Final = 120.0
"""Seconds more than a record may be without a change: it is written every minute."""


ATTEMPTS: Final = 5


class Layout(Struct, frozen=True):
    """Names of streams and subjects, and the streams' configurations.

    A lane's subjects have its *life* in them, which its stream was made with: what was meant for a
    stream that is not there any more cannot get into the next one.
    """

    prefix: str
    replicas: int
    storage: Storage

    @property
    def records(self) -> str:
        return f"{self.prefix}-records"

    @property
    def reminders(self) -> str:
        return f"{self.prefix}-reminders"

    def lane(self, namespace: str) -> str:
        return f"{self.prefix}-lane-{token(namespace)}"

    def appended(self, life: str) -> str:
        """Entries, and markers of nobody in particular."""
        return f"{self.prefix}.lane.{life}.b"

    def marked(self, life: str, member: str) -> str:
        return f"{self.prefix}.lane.{life}.m.{token(member)}"

    @property
    def lanes(self) -> str:
        return f"{self.prefix}.lane.>"

    def heard(self, life: str) -> str:
        """What a lane has stored, told on."""
        return f"{self.prefix}.heard.{life}.>"

    def cast(self, namespace: str) -> str:
        return self.cast_of(token(namespace))

    def cast_of(self, namespace: str) -> str:
        """Of a namespace that is a token already."""
        return f"{self.prefix}.cast.{namespace}"

    @property
    def nodes(self) -> str:
        return f"{self.prefix}.nodes"

    def node(self, name: str) -> str:
        return f"{self.prefix}.node.{token(name)}"

    def record(self, namespace: str, id: str) -> str:
        return f"{self.prefix}.record.{token(namespace)}.{token(id)}"

    def key(self, namespace: str, key: bytes) -> str:
        return f"{self.prefix}.key.{token(namespace)}.{key.hex()}"

    def reminder(self, namespace: str, id: str) -> str:
        return f"{self.prefix}.reminder.{token(namespace)}.{token(id)}"

    def new_lane(self, namespace: str, bounds: Bounds, life: str) -> Config:
        """A lane's stream; its size is bounded by whoever appends, which spares markers."""
        source = f"{self.prefix}.lane.{life}.>"
        return self._config(
            self.lane(namespace),
            [source],
            # A marker has to be there until it is in its member's record.
            max_age=nanoseconds(2 * max(bounds.age, bounds.grace) + SLACK),
            republish=Republish(source, self.heard(life)),
        )

    def newest_only(self, name: str, subjects: list[str], life: str = "") -> Config:
        """A stream that keeps the last message of each subject, for ever."""
        return self._config(name, subjects, max_msgs_per_subject=1)

    def _config(
        self,
        name: str,
        subjects: list[str],
        *,
        max_age: int = 0,
        max_msgs_per_subject: int = -1,
        republish: Republish | None = None,
    ) -> Config:
        return Config(
            name=name,
            subjects=subjects,
            storage=self.storage,
            num_replicas=self.replicas,
            max_age=max_age,
            max_msgs_per_subject=max_msgs_per_subject,
            duplicate_window=nanoseconds(DUPLICATES),
            republish=republish,
        )


def life(info: Info) -> str | None:
    """What a lane's subjects have in them; None for a stream that is no lane's."""
    tokens = "".join(info.config.subjects or ()).split(".")
    return tokens[2] if len(tokens) == 4 and tokens[1] == "lane" else None


async def provide(js: JetStream, name: str, make: Callable[[str], Config]) -> Info:
    """A stream of this kind, made if it is not there; raises `StartupError` for another kind.

    `make` is given the life of the one that is there, or a new one.
    """
    for _ in range(ATTEMPTS):
        info = await js.info(name) or await js.create(make(token_hex(5)))
        if info is not None:
            return await _fitting(js, info, make(life(info) or ""))
        # Another node was quicker.
    raise Unreachable(f"the stream {name} comes and goes")


async def _fitting(js: JetStream, info: Info, wanted: Config) -> Info:
    differences = _differences(info.config, wanted)
    if differences.keys() <= _AT_LEAST:
        if not differences:
            return info
        # Another node was told to keep it for a shorter time.
        longer = {field: want for field, (_, want) in differences.items()}
        return await js.update(msgspec.structs.replace(info.config, **longer))
    raise StartupError(
        f"the NATS stream {wanted.name}",
        expected=", ".join(f"{field} {want!r}" for field, (_, want) in differences.items()),
        got=", ".join(repr(got) for got, _ in differences.values()),
        fix="Where the server is too old for what was asked, take a newer one. Otherwise use "
        f"another prefix, or delete it by `nats stream rm {wanted.name}`: the sessions and what "
        "they have missed are lost with it.",
    )


_AT_LEAST: Final = frozenset({"max_age", "duplicate_window"})


def _differences(got: Config, wanted: Config) -> dict[str, tuple[object, object]]:
    """What an old server has ignored, or another program has chosen, by field."""
    found: dict[str, tuple[object, object]] = {}
    for field in wanted.__struct_fields__:
        has, want = getattr(got, field), getattr(wanted, field)
        # 0 is for ever, where it is an age.
        enough = field in _AT_LEAST and (has >= want or (field == "max_age" and not has))
        if has != want and not enough:
            found[field] = has, want
    return found
