"""uvicorn as gatewright likes it: `--ws gatewright.server:WebSocketProtocol`."""

from gatewright.server.protocol import WebSocketProtocol

__all__ = ["WebSocketProtocol"]
