"""Runs the tests of one mutant in a process of their own."""

import os
import re
import subprocess
import sys

from msgspec import Struct

from tests._support.server import ROOT
from tests.recovery.mutations.mutant import Mutant

__all__ = ["Verdict", "run"]

_FAILED = re.compile(r"^FAILED (\S+)(?: - (.*))?$", re.MULTILINE)

TESTS_FAILED = 1
"""pytest's exit code."""


class Verdict(Struct, frozen=True):
    """Whether a test has noticed a mutant, and which, or what was said instead."""

    killed: bool
    told: str


def run(mutant: Mutant, profile: str = "mutation") -> Verdict:
    """Run a mutant's tests up to the first that fails."""
    plugin = "tests.recovery.mutations.applying"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--tb=no", "-p", plugin]
    command += ["-p", "no:cacheprovider", "--no-showlocals", *mutant.tests]
    # The models know nothing of the implementation, and this command's own tests would run it.
    command += ["--ignore=tests/recovery/test_models.py", "--ignore=tests/recovery/test_checker.py"]
    command += ["--ignore=tests/recovery/test_mutations.py"]
    environment = {
        **os.environ,
        "GATEWRIGHT_MUTANT": mutant.name,
        "HYPOTHESIS_PROFILE": profile,
        "COLUMNS": "200",
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    failed = _FAILED.search(done.stdout)
    if done.returncode == TESTS_FAILED and failed is not None:
        return Verdict(killed=True, told=failed[1])
    return Verdict(killed=False, told=(done.stdout + done.stderr).strip()[-2000:])
