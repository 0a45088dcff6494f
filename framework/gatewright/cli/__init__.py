"""The command line: `gatewright run main:app`, `gatewright emit /chat said '{"text": "hi"}'`."""

import sys

__all__ = ["main"]

_NEEDED = ("click", "uvicorn", "websockets")


def main() -> None:
    """Run the command that the process's arguments name; exits with its code."""
    try:
        from gatewright.cli.commands import gatewright  # noqa: PLC0415 - needs an extra

        gatewright()
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        sys.stderr.write(
            f"The command line needs the package {error.name!r}, which is not installed: "
            "pip install 'gatewright[server]'\n"
        )
        sys.exit(1)
