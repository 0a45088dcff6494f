"""The python-socketio peer: its asynchronous server as an ASGI application, WebSocket only."""

from __future__ import annotations

import os
from typing import Any

import socketio

url = os.environ.get("REDIS_URL")
server = socketio.AsyncServer(
    async_mode="asgi",
    transports=["websocket"],
    client_manager=socketio.AsyncRedisManager(url) if url else None,
)
app = socketio.ASGIApp(server)


@server.event
async def echo(_sid: str, message: dict[str, Any]) -> dict[str, Any]:
    return message


@server.event
async def join(sid: str, join: dict[str, Any]) -> None:
    await server.enter_room(sid, join["room"])


@server.event
async def pub(_sid: str, message: dict[str, Any]) -> None:
    delivery = {"text": message["text"], "n": message["n"]}
    await server.emit("msg", delivery, room=message["room"])
