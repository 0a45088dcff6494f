"""One way to break a rule in the implementation."""

from msgspec import Struct

from tests._support.server import ROOT

__all__ = ["MACHINE", "SCENARIOS", "Mutant", "mutated", "source_of"]

SCENARIOS = (
    "tests/recovery/test_resuming.py",
    "tests/recovery/test_sessions.py",
    "tests/recovery/test_calls_over_sockets.py",
)
MACHINE = "tests/recovery/test_session_machine.py"


class Mutant(Struct, frozen=True, kw_only=True):
    """One change of one module, in which `old` stands exactly once."""

    rule: str
    name: str
    module: str
    old: str
    new: str
    tests: tuple[str, ...] = (*SCENARIOS, MACHINE)
    """Where it should be noticed."""


def source_of(mutant: Mutant) -> str:
    path = ROOT / "framework" / f"{mutant.module.replace('.', '/')}.py"
    return path.read_text(encoding="utf-8")


def mutated(mutant: Mutant, source: str) -> str:
    """The source with the change; `ValueError` where it does not fit any more."""
    count = source.count(mutant.old)
    if count != 1:
        raise ValueError(
            f"{mutant.name}: expected {mutant.old!r} once in {mutant.module}, found it {count} "
            "times; say anew how this rule is broken"
        )
    return source.replace(mutant.old, mutant.new)
