"""The backplane of nodes that share a Redis."""

from collections.abc import Callable
from functools import partial
from typing import Any

from typing_extensions import override

from gatewright.backplane.redis.log import RedisLog
from gatewright.backplane.redis.options import DEFAULT_PREFIX, Options
from gatewright.backplane.shared.backplane import Shared
from gatewright.backplane.shared.log import Log

__all__ = ["Redis"]


class Redis(Shared):
    """Connects nodes by one Redis 7.0 or later, or by a cluster of them; see `docs/backplanes.md`.

    `url` is `redis://host:6379/0`, `rediss://` (TLS), `unix:///path`, or `redis+cluster://` and
    `rediss+cluster://` with one or more servers of a cluster, which `cluster=True` says as well.
    All keys and channels begin with `prefix`: applications that share a Redis have each its own.
    Further options are those of `redis.asyncio.Connection` (with TLS: `SSLConnection`), as
    `username`, `password`, `credential_provider`, `ssl_ca_certs`; the URL's query takes them too.

    Raises `StartupError` for an option that cannot be right. `clock` gives seconds of Unix time.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = DEFAULT_PREFIX,
        cluster: bool = False,
        clock: Callable[[], float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(clock=clock)
        self._options = Options.of(url, prefix, options, cluster=cluster)
        self._log = partial(RedisLog, url, prefix=prefix, cluster=cluster, **options)

    @property
    @override
    def address(self) -> str:
        return self._options.address

    @override
    def _engine(self) -> Log:
        return self._log()
