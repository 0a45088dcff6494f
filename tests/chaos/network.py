"""Network namespaces: a server behind a cable that can be pulled, which no end is told.

A proxy acknowledges what it swallows and a killed process sends resets; behind a pulled cable there
is nobody at all, and what was sent before it is plugged in again still arrives.
"""

import contextlib
import os
import random
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import pytest

from tests._support.needs import need
from tests._support.server import Launched, launch
from tests.chaos.processes import command

__all__ = ["Cable", "cable", "served_behind"]


class Cable:
    """Two addresses and what is between them."""

    def __init__(self, ip: str, number: int) -> None:
        # 198.18.0.0/15 is for tests of network devices (RFC 2544): no real network has it.
        block = f"198.18.{number // 64}"
        last = number % 64 * 4
        self.network = f"{block}.{last}/30"
        self.client_host = f"{block}.{last + 1}"
        """The address on this side."""
        self.server_host = f"{block}.{last + 2}"
        """The address in the namespace."""
        self.namespace = f"gatewright-{number}"
        self._near = f"gw{number}a"
        self._far = f"gw{number}b"
        self._ip = ip

    def pull(self) -> None:
        """From now on nothing arrives on either side, and neither is told."""
        # The far end: the near one's route stays, and so nothing ever looks for another way.
        self._inside("link", "set", self._far, "down")

    def plug(self) -> None:
        """Mend it."""
        self._inside("link", "set", self._far, "up")

    def inside(self, program: Sequence[str]) -> list[str]:
        """The command that runs `program` in the namespace."""
        return [self._ip, "netns", "exec", self.namespace, *program]

    def lay(self) -> None:
        self._run("netns", "add", self.namespace)
        # Should the cable's own route be missing, what is sent to it must not find another.
        self._run("route", "add", "blackhole", self.network, "metric", "4096")
        peer = ("type", "veth", "peer", "name", self._far, "netns", self.namespace)
        self._run("link", "add", self._near, *peer)
        self._run("addr", "add", f"{self.client_host}/30", "dev", self._near)
        self._run("link", "set", self._near, "up")
        self._inside("addr", "add", f"{self.server_host}/30", "dev", self._far)
        self._inside("link", "set", "lo", "up")
        self._inside("link", "set", self._far, "up")

    def remove(self) -> None:
        """Take away what there is of it."""
        for arguments in (
            ("link", "del", self._near),
            ("route", "del", "blackhole", self.network, "metric", "4096"),
            ("netns", "del", self.namespace),
        ):
            with contextlib.suppress(_Refused):
                self._run(*arguments)

    def _inside(self, *arguments: str) -> None:
        self._run("-n", self.namespace, *arguments)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [self._ip, *arguments], check=False, capture_output=True, text=True, timeout=10
        )
        if done.returncode:
            raise _Refused(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class _Refused(Exception):
    """The system does not let us."""


@contextmanager
def cable() -> Generator[Cable]:
    """A namespace and the cable to it, removed at the end.

    Skips the test without root or where the system allows no namespaces, which nobody can install.
    """
    if os.geteuid() != 0:
        pytest.skip("this test needs root, to make a network namespace")
    ip = need("ip", package="iproute2")
    laid = Cable(ip, random.randrange(64 * 256))
    try:
        try:
            laid.lay()
        except _Refused as refused:
            pytest.skip(f"this test needs a network namespace, which is refused here: {refused}")
        yield laid
    finally:
        laid.remove()


@contextmanager
def served_behind(laid: Cable, *options: str, timeout: float = 20) -> Generator[Launched]:
    """Run `tests.chaos.app` inside the namespace of a cable."""
    program = [*command(0, laid.server_host), *options]
    with launch(laid.inside(program), timeout=timeout) as launched:
        yield launched
