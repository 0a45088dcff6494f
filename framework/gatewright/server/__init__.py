"""uvicorn, as gatewright likes it: `uvicorn module:app --ws gatewright.server:WebSocketProtocol`."""

from gatewright.server.protocol import WebSocketProtocol

__all__ = ["WebSocketProtocol"]
