"""The backplane of nodes that share NATS JetStream."""

from collections.abc import Callable, Sequence
from typing import Any

from typing_extensions import override

from gatewright.backplane.nats.log import NatsLog
from gatewright.backplane.nats.options import Options
from gatewright.backplane.nats.streams import Storage
from gatewright.backplane.shared.backplane import Shared
from gatewright.backplane.shared.log import Log

__all__ = ["Nats"]


class Nats(Shared):
    """Connects nodes by a nats-server 2.9 or later with JetStream, or by a cluster of them.

    `url` is `nats://host:4222`, or `tls://`, with all servers of a cluster separated by commas or
    as a list. All streams and subjects begin with `prefix`: applications that share NATS have each
    its own. In a cluster each stream has as many `replicas`, 3 or 5. With `storage="memory"`
    nothing outlives a restart of a server that stands alone. Prefix, replicas and storage may also
    stand in the URL's query. Further options are those of `nats.connect` that say who connects, as
    `user`, `password`, `token`, `user_credentials`, `tls`. See `docs/backplanes.md`.

    Raises `StartupError` for an option that cannot be right. `clock` gives seconds of Unix time.
    """

    def __init__(
        self,
        url: str | Sequence[str] = "nats://127.0.0.1:4222",
        *,
        prefix: str | None = None,
        replicas: int | None = None,
        storage: Storage | None = None,
        clock: Callable[[], float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(clock=clock)
        self._options = Options.of(url, prefix, replicas, storage, options)

    @property
    @override
    def address(self) -> str:
        return self._options.address

    @override
    def _engine(self) -> Log:
        options = self._options
        return NatsLog(options.servers, options.layout, options.arguments)
