"""Miaou in a terminal, over Socket.IO: `python -m sample_app.miaou.terminal NICKNAME ROOM`.

Needs `python-socketio[client]`. What it shows: the gateway that the page talks to, unchanged.
"""

import argparse
import sys
import uuid
from typing import Any

import socketio  # type: ignore[import-untyped]
from socketio.exceptions import SocketIOError  # type: ignore[import-untyped]

__all__ = ["main"]

NAMESPACE = "/miaou"


class Refused(Exception):
    """What the server says to a call, for people."""


def main(arguments: list[str] | None = None) -> int:
    """Talk until the input ends; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sample_app.miaou.terminal")
    parser.add_argument("nickname")
    parser.add_argument("room", nargs="?", default="The sofa", help="(%(default)s)")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="(%(default)s)")
    chosen = parser.parse_args(arguments)
    miaou = socketio.Client(reconnection=False)
    try:
        # This client closes a WebSocket before its goodbye has left; then the server waits for it
        # to return, and keeps its nickname for that long.
        miaou.connect(chosen.url, namespaces=[NAMESPACE], transports=["polling"])
        talk(miaou, chosen.nickname, chosen.room)
    except (Refused, SocketIOError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        miaou.disconnect()
    return 0


def talk(miaou: Any, nickname: str, name: str) -> None:
    def ask(event: str, data: Any) -> Any:
        answer = miaou.call(event, data, namespace=NAMESPACE)
        if isinstance(answer, dict) and answer.get("status") == "error":
            raise Refused(answer["message"])
        return answer

    welcome = ask("register", {"nickname": nickname, "secret": uuid.uuid4().hex})
    rooms = {view["room"]["name"].casefold(): view["room"] for view in welcome["rooms"]}
    room = rooms.get(name.casefold()) or ask("create", {"name": name})
    place = {"kind": "room", "id": room["id"]}

    # `*_` in both: the server lets connections return, so an offset follows what an event says.
    def said(event: dict[str, Any], *_: str) -> None:
        message = event["message"]
        if message["to"] == place and message["sender"] != welcome["me"]:
            print(f"{message['sender']['nickname']}: {message['text']}", flush=True)

    def changed(event: dict[str, Any], *_: str) -> None:
        if event["room"] == f"room {room['id']}":
            for person in event["joined"]:
                print(f"* {person['meta'][-1]['nickname']} is here", flush=True)

    miaou.on("said", said, namespace=NAMESPACE)
    miaou.on("presence:diff", changed, namespace=NAMESPACE)
    here = ask("join", room["id"])
    print(f"{room['name']}: {', '.join(person['nickname'] for person in here)}", flush=True)
    for line in sys.stdin:
        if line.strip():
            ask("say", {"to": place, "text": line, "key": uuid.uuid4().hex})


if __name__ == "__main__":
    sys.exit(main())
