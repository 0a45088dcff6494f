"""`gatewright emit`: one event from a shell, to whoever is connected anywhere."""

import asyncio
import sys
from typing import Any, Final

import click
import msgspec

from gatewright.backplane import Backplane, connect
from gatewright.backplane.urls import BACKPLANE
from gatewright.emitter import Named, Target
from gatewright.emitting.opening import opened
from gatewright.errors import BackplaneError, EmitError, StartupError

__all__ = ["command"]

HELP: Final = """Send EVENT to who is connected in NAMESPACE, and print its sequence number.

DATA is JSON; left out or - it is read from standard input. Without --to and --to-user everyone gets
it. NAMESPACE has the values of its parameters in it, as a URL would: /lab/7.

\b
  gatewright emit /chat said '{"author": "cron", "text": "Good morning"}' --to lobby
"""


def _emit(
    namespace: str,
    event: str,
    data: str | None,
    backplane: str | None,
    to: tuple[str, ...],
    to_user: tuple[str, ...],
    except_: tuple[str, ...],
    *,
    volatile: bool,
    key: str | None,
) -> None:
    if key is not None and not volatile:
        raise click.UsageError("--key is for volatile events: add --volatile.")
    if not backplane:
        raise click.UsageError(
            "Missing option '--backplane', the URL of the servers' Redis or NATS "
            f"(or set {BACKPLANE})."
        )
    value = _decoded(data)
    try:
        shared = connect(backplane)
    except StartupError as error:
        raise click.BadParameter(_said(error), param_hint="'--backplane'") from None

    async def send() -> int | None:
        async with opened(shared, meet=volatile) as emitter:
            target: Target = emitter.of(namespace)
            if to:
                target = target.to(*to)
            if to_user:
                target = target.to_user(*to_user)
            target = target.except_(*except_)
            if volatile:
                await target.emit(Named(event, value), volatile=True, key=key)
                return None
            return await target.emit(Named(event, value))

    try:
        seq = asyncio.run(send())
    except EmitError as error:
        raise click.UsageError(str(error)) from None
    except StartupError as error:
        raise _unusable(shared, error) from None
    except BackplaneError as error:
        raise click.ClickException(f"{shared.address}: {error}") from None
    if seq is not None:
        click.echo(seq)


def _decoded(data: str | None) -> Any:
    if data is None and sys.stdin.isatty():
        raise click.UsageError(
            "Missing argument 'DATA': JSON, such as '{\"text\": \"hi\"}' or null."
        )
    text = sys.stdin.read() if data in (None, "-") else data
    assert text is not None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        shown = text if len(text) <= 60 else f"{text[:59]}…"
        got = repr(shown) if shown.strip() else "nothing"
        raise click.BadParameter(
            f"expected JSON, a text in double quotes, got {got}: {error}", param_hint="'DATA'"
        ) from None


def _said(error: StartupError) -> str:
    return f"expected {error.expected}, got {error.got}. {error.fix}"


def _unusable(backplane: Backplane, error: StartupError) -> click.ClickException:
    """What cannot be a backplane for this is a usage error; what fails to start is not."""
    if not backplane.shared:
        return click.BadParameter(_said(error), param_hint="'--backplane'")
    return click.ClickException(str(error))


command: click.Command = click.Command(
    "emit",
    callback=_emit,
    help=HELP,
    params=[
        click.Argument(["namespace"]),
        click.Argument(["event"]),
        click.Argument(["data"], required=False),
        click.Option(["--to"], multiple=True, metavar="ROOM", help="A room, or a connection's id."),
        click.Option(["--to-user"], multiple=True, metavar="USER", help="All that a user has."),
        click.Option(
            ["--except", "except_"], multiple=True, metavar="ROOM", help="Leave its members out."
        ),
        click.Option(
            ["--volatile"], is_flag=True, help="Without a number, and lost where a socket is slow."
        ),
        click.Option(
            ["--key"], help="The newest volatile event replaces those of its key that wait."
        ),
        click.Option(
            ["--backplane"], envvar=BACKPLANE, show_envvar=True, metavar="URL", help="Where to."
        ),
    ],
)
