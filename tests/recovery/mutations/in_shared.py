"""The backplane that nodes share, without one rule at a time."""

from functools import partial

from tests.recovery.mutations.mutant import Mutant

__all__ = ["IN_SHARED"]

SHARED = "gatewright.backplane.shared"

_mutant = partial(Mutant, tests=("tests/backplane/shared",))

IN_SHARED: tuple[Mutant, ...] = (
    _mutant(
        rule="R1",
        name="shared-hole-passes",
        module=f"{SHARED}.following",
        old="message.epoch == head.epoch and message.prev == head.n",
        new="message.epoch == head.epoch and message.n > head.n",
    ),
    _mutant(
        rule="R2",
        name="shared-goes-on-after-a-break",
        module=f"{SHARED}.running",
        old="                follower.broken()\n",
        new="                follower._subscribed = False\n",
    ),
    _mutant(
        rule="R2",
        name="shared-no-look-at-the-tail",
        module=f"{SHARED}.running",
        old="follower.compare(head)",
        new="pass",
    ),
    _mutant(
        rule="R2",
        name="shared-no-break-when-late",
        module=f"{SHARED}.following",
        old="told = True\n                    self._lane(Break(self._namespace))",
        new="told = True",
    ),
    _mutant(
        rule="R2",
        name="shared-trimmed-is-no-break",
        module=f"{SHARED}.following",
        old="page.head.epoch != head.epoch or page.since > head.n",
        new="page.head.epoch != head.epoch",
    ),
    _mutant(
        rule="R3",
        name="shared-marks-are-not-folded",
        module=f"{SHARED}.records",
        old="bodies.fold(session, marks, folded)",
        new="pass",
        tests=("tests/backplane/test_contract_resume.py",),
    ),
    _mutant(
        rule="R5",
        name="shared-no-fencing",
        module=f"{SHARED}.records",
        old="session.generation += 1",
        new="session.generation += 0",
    ),
    _mutant(
        rule="R5",
        name="shared-replays-before-it-has-heard",
        module=f"{SHARED}.running",
        old="await follower.until(taken.head)",
        new="pass",
    ),
    _mutant(
        rule="R5",
        name="shared-replays-beyond-the-head",
        module="gatewright.backplane.missed",
        old="seq > head.seq or ",
        new="",
    ),
    _mutant(
        rule="R8",
        name="shared-forgets-what-the-log-has-lost",
        module=f"{SHARED}.windows",
        old="history.floor = since",
        new="history.floor = 0",
    ),
    _mutant(
        rule="R9",
        name="shared-another-epoch-is-no-break",
        module=f"{SHARED}.following",
        old="page.head.epoch != head.epoch or page.since > head.n",
        new="page.since > head.n",
    ),
    _mutant(
        rule="R10",
        name="shared-sent-again-under-another-number",
        module=f"{SHARED}.publishing",
        old="return await self._log.append(self._namespace, body, count, number, member)",
        new=(
            "return await self._log.append(\n"
            "                    self._namespace, body, count, next(self._numbers), member\n"
            "                )"
        ),
    ),
    _mutant(
        rule="R10",
        name="shared-batches-without-bounds",
        module=f"{SHARED}.publishing",
        old="if count > MOST_ENTRIES or size > MOST_BYTES:",
        new="if False:",
    ),
)
