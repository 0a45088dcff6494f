"""Programs that are not Python packages: found, or the test is skipped saying what to install."""

import os
import shutil
from typing import NoReturn

import pytest

__all__ = ["CI", "missing", "nats_server", "need", "redis_server"]

CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def need(*programs: str, package: str) -> str:
    """Return the path of the first of `programs` that is installed.

    Without any of them the test is skipped with the sentence that helps; under `CI=true` it fails,
    since a test that CI silently leaves out protects nobody. `package` is Debian's name.
    """
    # Debian keeps servers where only root's path looks.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    for program in programs:
        if found := shutil.which(program, path=path):
            return found
    return missing(
        f"needs {' or '.join(programs)}, which is not installed: run `make system-packages` as "
        f"root on Debian or Ubuntu, or install the package {package!r} in your system's own way"
    )


def redis_server() -> str:
    """The path of a `redis-server`, which a test starts on a port of its own."""
    return need("redis-server", package="redis-server")


def nats_server() -> str:
    """The path of a `nats-server`, likewise."""
    return need("nats-server", package="nats-server")


def missing(reason: str) -> NoReturn:
    """Skip the running test for `reason`, or fail it under `CI=true`."""
    if CI:
        pytest.fail(f"CI must not skip this test, but it {reason}", pytrace=False)
    pytest.skip(f"this test {reason}")
