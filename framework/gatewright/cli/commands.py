"""Each command is a module of its name, imported when it is asked for."""

import importlib
from typing import Final

import click

__all__ = ["gatewright"]

COMMANDS: Final = ("emit", "run")


class Commands(click.Group):
    """So that emitting needs no server, and no command waits for another one's imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"gatewright.cli.{cmd_name}").command
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gatewright", message="%(prog)s %(version)s")
def gatewright() -> None:
    """Realtime gateways: run them, and emit to who is connected."""
