"""Each rule of recovery that one node has to keep, and how to break it in the implementation."""

from msgspec import Struct

from tests._support.server import ROOT

__all__ = ["MUTANTS", "Mutant", "mutated", "source_of"]


class Mutant(Struct, frozen=True, kw_only=True):
    """One change of one module, in which `old` stands exactly once."""

    rule: str
    name: str
    module: str
    old: str
    new: str
    tests: tuple[str, ...] = ("tests/recovery",)
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


SEQUENCES = "gatewright.backplane.sequences"
SESSIONS = "gatewright.backplane.sessions"
MISSED = "gatewright.backplane.missed"
STAYS = "gatewright.backplane.stays"
HISTORY = "gatewright.backplane.history"
ROOMS = "gatewright.rooms"
WINDOW = "gatewright.protocol.sessions.window"
CONVERSATION = "gatewright.transports.sessions.conversation"
SESSION = "gatewright.session"

MACHINE = ("tests/recovery/test_session_machine.py",)

MUTANTS: tuple[Mutant, ...] = (
    # R1: batches are delivered in the order of their numbers, each once.
    Mutant(
        rule="R1",
        name="numbers-stand-still",
        module=ROOMS,
        old="position = Position(passing.epoch, seq)",
        new="position = Position(passing.epoch, passing.first)",
        tests=("tests/recovery", "tests/test_rooms.py"),
    ),
    # R3: joins and leaves have a number of their own.
    Mutant(
        rule="R3",
        name="entitled-before-the-join",
        module=SEQUENCES,
        old="            session.join(rooms, sequence.seq)\n        else:",
        new="            session.join(rooms, session.start)\n        else:",
        tests=MACHINE,
    ),
    Mutant(
        rule="R3",
        name="not-entitled-up-to-the-leave",
        module=SEQUENCES,
        old="            session.leave(rooms, sequence.seq)",
        new="            session.leave(rooms, session.start)",
        tests=MACHINE,
    ),
    # R4: memberships that have ended; revoked ones; who is left out.
    Mutant(
        rule="R4",
        name="ended-stays-forgotten",
        module=STAYS,
        old="if max(last.since, confirmed) < seq:",
        new="if seq < 0:",
        tests=MACHINE,
    ),
    Mutant(
        rule="R4",
        name="revoked-stays-entitle",
        module=MISSED,
        old="and not stay.revoked",
        new="and True",
        tests=MACHINE,
    ),
    Mutant(
        rule="R4",
        name="excluded-by-present-rooms",
        module=MISSED,
        old="session.rooms.at(room, seq)",
        new="session.rooms.lasts(room)",
        tests=MACHINE,
    ),
    Mutant(
        rule="R4",
        name="excluded-ones-get-the-replay",
        module=MISSED,
        old="if _excluded(session, entry, seq):",
        new="if False:",
        tests=MACHINE,
    ),
    # R5: one step, a generation, hold-back, floor, epoch, S > H.
    Mutant(
        rule="R5",
        name="generation-stands-still",
        module=SEQUENCES,
        old="session.generation += 1",
        new="session.generation += 0",
        tests=(*MACHINE, "tests/backplane/test_recovery_machine.py"),
    ),
    Mutant(
        rule="R5",
        name="no-hold",
        module=ROOMS,
        old="                held.append(passing)",
        new="                pass",
        tests=MACHINE,
    ),
    Mutant(
        rule="R5",
        name="no-floor",
        module=ROOMS,
        old="if seq > floor.seq and any(",
        new="if any(",
        tests=MACHINE,
    ),
    Mutant(
        rule="R5",
        name="older-socket-not-fenced",
        module="gatewright.absences",
        old="await self._end_session(session, TAKEN_OVER)",
        new="pass",
        tests=MACHINE,
    ),
    Mutant(
        rule="R5",
        name="epoch-ignored",
        module=MISSED,
        old="after.epoch == head.epoch and after.seq",
        new="after.seq",
        tests=("tests/recovery", "tests/backplane/test_recovery_machine.py"),
    ),
    Mutant(
        rule="R5",
        name="beyond-the-head-ignored",
        module=MISSED,
        old="and after.seq <= head.seq:",
        new=":",
        tests=("tests/recovery", "tests/backplane/test_recovery_machine.py"),
    ),
    # R12
    Mutant(
        rule="R12",
        name="no-dedup",
        module=WINDOW,
        old="        if id > self._top:",
        new="        if True:",
        tests=MACHINE,
    ),
    Mutant(
        rule="R12",
        name="ends-not-kept",
        module=WINDOW,
        old="        self._ends[id] = frame\n",
        new="        return\n",
        tests=MACHINE,
    ),
)
