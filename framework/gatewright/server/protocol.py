"""A uvicorn WebSocket class that hands its connection to whichever app the socket ends up in."""

from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gatewright.transports.links import EXTENSION

__all__ = ["WebSocketProtocol"]


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own class, without compression, reachable through middleware and mounts.

    An application that uvicorn calls directly finds the protocol object by itself; inside a
    Starlette or FastAPI app `send` comes wrapped. With this class frames of one tick leave in one
    write and stalled sockets can be aborted there too.
    """

    def __init__(self, config: Config, *args: Any, **kwargs: Any) -> None:
        # A context per connection costs memory, and a broadcast would be compressed once for each
        # receiver instead of encoded once for all.
        config.ws_per_message_deflate = False
        super().__init__(config, *args, **kwargs)

    async def run_asgi(self) -> None:
        scope = cast(dict[str, Any], self.scope)
        scope["extensions"][EXTENSION] = self
        await super().run_asgi()
