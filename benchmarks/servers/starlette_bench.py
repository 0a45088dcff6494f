"""The bare peer: a Starlette WebSocket endpoint that speaks the same frames with msgspec alone.

It has no guards, limits, heartbeats of its own or ordering: it is what a framework may cost
nothing more than.
"""

from __future__ import annotations

import msgspec
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket


class Echo(msgspec.Struct):
    text: str
    n: int


class Join(msgspec.Struct):
    room: str


class Say(msgspec.Struct):
    room: str
    text: str
    n: int


# A union tagged by "event" lets msgspec decode envelope and payload in one pass.
class EchoCall(msgspec.Struct, tag_field="event", tag="echo"):
    data: Echo
    id: int


class JoinCall(msgspec.Struct, tag_field="event", tag="join"):
    data: Join
    id: int


class Publish(msgspec.Struct, tag_field="event", tag="pub"):
    data: Say


class Reply(msgspec.Struct):
    id: int
    data: Echo | None = None


class Message(msgspec.Struct, tag_field="event", tag="msg"):
    data: Echo


decoder = msgspec.json.Decoder(EchoCall | JoinCall | Publish)
encoder = msgspec.json.Encoder()
rooms: dict[str, set[WebSocket]] = {}


async def bench(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        async for text in websocket.iter_text():
            frame = decoder.decode(text)
            if isinstance(frame, EchoCall):
                await websocket.send_text(encoder.encode(Reply(frame.id, frame.data)).decode())
            elif isinstance(frame, JoinCall):
                rooms.setdefault(frame.data.room, set()).add(websocket)
                await websocket.send_text(encoder.encode(Reply(frame.id)).decode())
            else:
                said = Echo(frame.data.text, frame.data.n)
                message = encoder.encode(Message(said)).decode()
                for member in list(rooms.get(frame.data.room, ())):
                    await member.send_text(message)
    finally:
        for members in rooms.values():
            members.discard(websocket)


app = Starlette(routes=[WebSocketRoute("/ws", bench)])
