"""Short runs of the commands about what must not pile up."""

import pytest

from tests._support.needs import CI
from tests.chaos import soak, stalled

pytestmark = pytest.mark.anyio


@pytest.mark.timeout(180)
async def test_stalled_readers_are_freed_and_hold_little() -> None:
    plan = stalled.Plan(readers=40, stalled=5, rounds=1, seconds=2)
    (only,) = await stalled.run(plan)
    assert only.each <= stalled.EACH


@pytest.mark.long(200)
@pytest.mark.no_cover
@pytest.mark.timeout(400)
async def test_a_soak() -> None:
    outcome = await soak.run(soak.Plan(minutes=3 if CI else 0.2, rate=50 if CI else 20, steady=20))
    assert (outcome.left, outcome.errors) == ({}, [])
    assert set(outcome.visits) == {
        "leave",
        "are cut and return",
        "vanish",
        "vanish from plain sockets",
    }
    if CI:
        # Of seconds it would be about what is made once.
        soak.judge_kept(outcome.kept)
