"""`gatewright run`: uvicorn, set up for gateways, with as many workers as the backplane allows."""

import contextlib
import copy
import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import uvicorn
from click.core import ParameterSource
from uvicorn.config import STARTUP_FAILURE
from uvicorn.main import main as uvicorn_command
from uvicorn.supervisors import ChangeReload

from gatewright.backplane.urls import BACKPLANE, WORKERS, connect
from gatewright.cli.loading import APP, FACTORY, application
from gatewright.cli.workers import Workers
from gatewright.errors import StartupError

__all__ = ["command"]

DEFAULTS: Final[Mapping[str, Any]] = {
    "ws": "gatewright.server:WebSocketProtocol",
    "ws_max_size": 1_000_000,
    "timeout_graceful_shutdown": 15,
    "lifespan": "on",
}
"""What uvicorn would do otherwise; `docs/plugging-in.md` says why."""

HELP: Final = """Serve APP, module:name, until it is told to stop.

NAME is an application (a Gatewright, or the Starlette or FastAPI app around it), or a function that
returns one. Where there are several workers they need a backplane that they share:

\b
  gatewright run main:app --workers 4 --backplane redis://localhost:6379

All options but --backplane are those of uvicorn, with defaults for gateways.
"""

# Gateways are ASGI 3 with a lifespan; a `--version` would be uvicorn's; the rest is ours below.
_LEFT_OUT = {"app", "interface", "lifespan", "version", "workers"}
_LISTS = ("reload_dirs", "reload_includes", "reload_excludes")


def _options() -> list[click.Parameter]:
    """Those of uvicorn, with our defaults: who knows the one command knows the other."""
    options: list[click.Parameter] = []
    for each in uvicorn_command.params:
        if each.name not in _LEFT_OUT:
            option = copy.copy(each)
            option.default = DEFAULTS.get(each.name or "", option.default)
            if each.name == "port":
                # A larger one would be taken, and be another one.
                option.type = click.IntRange(0, 65535)
            options.append(option)
    return options


def _run(app: str, backplane: str | None, workers: int, app_dir: str, **options: Any) -> None:
    context = click.get_current_context()
    if options["reload"] and workers > 1:
        if context.get_parameter_source("workers") is ParameterSource.COMMANDLINE:
            raise click.UsageError("--reload is for one worker, and --workers is more: choose one.")
        workers = 1
    if backplane:
        try:
            connect(backplane)
        except StartupError as error:
            reason = f"expected {error.expected}, got {error.got}. {error.fix}"
            raise click.BadParameter(reason, param_hint="'--backplane'") from None
        os.environ[BACKPLANE] = backplane
    os.environ |= {APP: app, WORKERS: str(workers), FACTORY: "1" if options["factory"] else ""}
    sys.path.insert(0, str(Path(app_dir).resolve()))
    sys.exit(_serve(_config(context, workers, options)))


def _config(context: click.Context, workers: int, options: dict[str, Any]) -> uvicorn.Config:
    known = inspect.signature(uvicorn.Config).parameters
    chosen: dict[str, Any] = {
        name: value
        for name, value in options.items()
        # What nobody has chosen is left to uvicorn itself.
        if name in known and context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    if "headers" in chosen:
        chosen["headers"] = [tuple(header.split(":", 1)) for header in chosen["headers"]]
    for name in _LISTS:
        if name in chosen:
            chosen[name] = list(chosen[name])
    chosen |= {"factory": True, "workers": workers}
    return uvicorn.Config(
        f"{application.__module__}:{application.__name__}", **{**DEFAULTS, **chosen}
    )


def _serve(config: uvicorn.Config) -> int:
    """Serve until the end; returns the exit code, as far as no signal is one."""
    server = uvicorn.Server(config)
    try:
        # Ctrl+C: the server has ended in good order by then.
        with contextlib.suppress(KeyboardInterrupt):
            if config.should_reload:
                ChangeReload(config, target=server.run, sockets=[config.bind_socket()]).run()
                return 0
            if config.workers > 1:
                supervisor = Workers(config, sockets=[config.bind_socket()])
                supervisor.run()
                return STARTUP_FAILURE if supervisor.failed else 0
            # Before there is a loop, as modules are imported elsewhere.
            config.load()
            server.run()
    finally:
        if config.uds:
            Path(config.uds).unlink(missing_ok=True)
    return 0 if server.started else STARTUP_FAILURE


command: click.Command = click.Command(
    "run",
    callback=_run,
    help=HELP,
    context_settings={"auto_envvar_prefix": "UVICORN", "show_default": True},
    params=[
        click.Argument(["app"], envvar=APP, metavar="APP"),
        click.Option(
            ["--backplane"],
            envvar=BACKPLANE,
            show_envvar=True,
            metavar="URL",
            help="What connects the workers, and nodes on other machines: redis://…, nats://…; "
            "for one process memory: or sqlite:///file.db.",
        ),
        click.Option(
            ["--workers"],
            type=click.IntRange(min=1),
            default=1,
            envvar=[WORKERS, "WEB_CONCURRENCY"],
            show_envvar=True,
            help="How many processes serve; several need a backplane that they share.",
        ),
        *_options(),
    ],
)
