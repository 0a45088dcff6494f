"""The python-socketio peer: its asynchronous server as an ASGI application, WebSocket only."""

from __future__ import annotations

from typing import Any

import socketio

server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])
app = socketio.ASGIApp(server)


@server.event
async def echo(_sid: str, message: dict[str, Any]) -> dict[str, Any]:
    return message


@server.event
async def join(sid: str, join: dict[str, Any]) -> None:
    await server.enter_room(sid, join["room"])


@server.event
async def pub(_sid: str, message: dict[str, Any]) -> None:
    await server.emit("msg", message, room="r")
