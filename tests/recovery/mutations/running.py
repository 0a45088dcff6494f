"""Runs the tests of one mutant in a process of their own."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from tests._support.server import ROOT
from tests.recovery.mutations.mutant import Mutant

__all__ = ["Verdict", "run", "sound"]

PLUGIN = "tests.recovery.mutations.applying"
VARIABLE = "GATEWRIGHT_MUTANT"
"""Tells the plugin which mutant, in JSON."""

_FAILED = re.compile(r"^FAILED (\S+)(?: - (.*))?$", re.MULTILINE)

TESTS_FAILED = 1
"""pytest's exit code."""


class Verdict(Struct, frozen=True):
    """Whether a test has noticed a mutant, and which, or what was said instead."""

    killed: bool
    told: str


def run(mutant: Mutant) -> Verdict:
    """Run a mutant's tests up to the first that fails."""
    done = _pytest(mutant.tests, {VARIABLE: msgspec.json.encode(mutant).decode()})
    failed = _FAILED.search(done.stdout)
    if done.returncode == TESTS_FAILED and failed is not None:
        return Verdict(killed=True, told=failed[1])
    return Verdict(killed=False, told=(done.stdout + done.stderr).strip()[-2000:])


def sound(mutants: Sequence[Mutant]) -> str | None:
    """Run their tests with nothing broken; returns what was said if one fails even so."""
    done = _pytest(sorted({test for each in mutants for test in each.tests}), {})
    return None if done.returncode == 0 else (done.stdout + done.stderr).strip()[-4000:]


def _pytest(tests: Sequence[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--tb=no"]
    command += ["-p", PLUGIN, "-p", "no:cacheprovider", "--no-showlocals", *tests]
    environment = {
        **{name: value for name, value in os.environ.items() if name != VARIABLE},
        **variables,
        "HYPOTHESIS_PROFILE": "mutation",
        "COLUMNS": "200",
    }
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
