"""Sequences, memberships and histories without one of their rules (R1, R3, R4, R8 to R10)."""

from tests.recovery.mutations.mutant import MACHINE, Mutant

__all__ = ["IN_SEQUENCES"]

HISTORY = "gatewright.backplane.history"
JOURNAL = "gatewright.backplane.journal"
MISSED = "gatewright.backplane.missed"
SEQUENCES = "gatewright.backplane.sequences"
SESSIONS = "gatewright.backplane.sessions"
STAYS = "gatewright.backplane.stays"
ROOMS = "gatewright.rooms"

CONTRACT = "tests/backplane"

IN_SEQUENCES: tuple[Mutant, ...] = (
    Mutant(
        rule="R1",
        name="one-number-for-a-batch",
        module=ROOMS,
        old="            position = Position(passing.epoch, seq)\n",
        new="            position = Position(passing.epoch, passing.first)\n",
        tests=("tests/recovery/test_rules.py",),
    ),
    Mutant(
        rule="R1",
        name="a-batch-backwards",
        module=SEQUENCES,
        old="        self._lane(Batch(namespace, sequence.epoch, first, entries))",
        new="        self._lane(Batch(namespace, sequence.epoch, first, entries[::-1]))",
        tests=(CONTRACT,),
    ),
    Mutant(
        rule="R1",
        name="numbers-stand-still",
        module=SEQUENCES,
        old="sequence.seq += len(entries)",
        new="sequence.seq += 1",
        tests=(CONTRACT,),
    ),
    Mutant(
        rule="R1",
        name="emits-overtake-each-other",
        module=JOURNAL,
        old="self._group.append(self._queue.popleft())",
        new="self._group.append(self._queue.pop())",
        tests=(CONTRACT,),
    ),
    Mutant(
        rule="R3",
        name="entitled-before-the-join",
        module=SEQUENCES,
        old="            session.join(rooms, sequence.seq)\n        else:",
        new="            session.join(rooms, session.start)\n        else:",
    ),
    Mutant(
        rule="R3",
        name="not-entitled-up-to-the-leave",
        module=SEQUENCES,
        old="            session.leave(rooms, sequence.seq)",
        new="            session.leave(rooms, session.start)",
    ),
    Mutant(
        rule="R3",
        name="a-leave-has-no-marker",
        module=SEQUENCES,
        old='            self._lane(Marker(namespace, sequence.seq, "leave", session.id, left))',
        new="            pass",
        tests=(CONTRACT,),
    ),
    Mutant(
        rule="R3",
        name="markers-are-passed-over",
        module=ROOMS,
        old="                namespace.apply(passing)\n                if self._observers",
        new="                if self._observers",
    ),
    Mutant(
        rule="R4",
        name="ended-stays-are-forgotten",
        module=STAYS,
        old="if max(last.since, confirmed) < seq:",
        new="if seq < 0:",
    ),
    Mutant(
        rule="R4",
        name="ended-stays-are-never-confirmed",
        module=SESSIONS,
        old="            self.rooms.confirm(seq)\n",
        new="",
        tests=(CONTRACT,),
    ),
    Mutant(
        rule="R4",
        name="ended-stays-entitle-for-ever",
        module=STAYS,
        old="    return stay if stay.until is None or seq <= stay.until else None",
        new="    return stay",
    ),
    Mutant(
        rule="R4",
        name="revoked-stays-entitle",
        module=MISSED,
        old="and not stay.revoked",
        new="and True",
    ),
    Mutant(
        rule="R4",
        name="excluded-by-present-rooms",
        module=MISSED,
        old="session.rooms.at(room, seq)",
        new="session.rooms.lasts(room)",
    ),
    Mutant(
        rule="R4",
        name="the-excluded-get-the-replay",
        module=MISSED,
        old="if _excluded(session, entry, seq):",
        new="if False:",
    ),
    Mutant(
        rule="R5",
        name="another-epoch-is-this-one",
        module=MISSED,
        old="after.epoch == head.epoch and after.seq",
        new="after.seq",
    ),
    Mutant(
        rule="R5",
        name="beyond-the-head-is-the-head",
        module=MISSED,
        old="and after.seq <= head.seq:",
        new=":",
    ),
    Mutant(
        rule="R6",
        name="a-replay-without-a-limit",
        module=MISSED,
        old="if len(replay) + len(more) > bounds.replay or size > space:",
        new="if False:",
    ),
    Mutant(
        rule="R6",
        name="the-smallest-become-gaps",
        module=MISSED,
        old="sorted(waiting, key=lambda each: each[0])",
        new="sorted(waiting, key=lambda each: -each[0])",
    ),
    Mutant(
        rule="R7",
        name="nothing-is-confirmed",
        module=MISSED,
        old="low = max(after.seq, session.confirmed)",
        new="low = after.seq",
    ),
    Mutant(
        rule="R7",
        name="confirmed-beyond-the-head",
        module=SEQUENCES,
        old="session.confirm(min(seq, sequence.seq))",
        new="session.confirm(seq)",
        tests=(CONTRACT,),
    ),
    Mutant(
        rule="R7",
        name="entitled-before-it-began",
        module=SESSIONS,
        old="self.start: int = start.seq\n        self.confirmed: int = start.seq\n",
        new="self.start: int = 0\n        self.confirmed: int = 0\n",
        tests=(CONTRACT,),
    ),
    Mutant(
        rule="R8",
        name="no-gaps",
        module=HISTORY,
        old="return max(self.trimmed(stream), self.floor) <= after",
        new="return True",
    ),
    Mutant(
        rule="R8",
        name="gaps-of-the-slowest-are-forgotten",
        module=SEQUENCES,
        old="history.forget(min(each.confirmed",
        new="history.forget(max(each.confirmed",
        tests=("tests/recovery/test_rules.py",),
    ),
    Mutant(
        rule="R8",
        name="a-history-ends-with-the-first-session",
        module=SEQUENCES,
        old="        if not sequence.sessions:\n            sequence.history = None",
        new="        if True:\n            sequence.history = None",
        tests=(MACHINE, CONTRACT),
    ),
    Mutant(
        rule="R9",
        name="lost-numbers-are-used-again",
        module="gatewright.backplane.database",
        old="            skip_numbers(connection)",
        new="            pass",
        tests=(CONTRACT,),
    ),
    Mutant(
        rule="R10",
        name="told-before-it-is-written",
        module=JOURNAL,
        old="self._changes, self._told)\n            await self._write()\n",
        new="self._changes, self._told)\n"
        "            for operation in group:\n"
        "                self._tell(operation)\n"
        "            await self._write()\n"
        "            return\n",
        tests=(CONTRACT,),
    ),
    Mutant(
        rule="R10",
        name="what-failed-is-carried-out-after-all",
        module=JOURNAL,
        old="if known and not again and not operation.durable:",
        new="if known and not again:",
        tests=(CONTRACT,),
    ),
)
