"""Short runs of the commands about what must not be lost."""

import msgspec
import pytest

from tests.chaos import calls, drain, storm
from tests.chaos.frames import Frame
from tests.chaos.verdicts import Verdict

pytestmark = pytest.mark.anyio


@pytest.mark.timeout(180)
async def test_a_recovery_storm() -> None:
    plan = storm.Plan(clients=10, publications=400, cuts=10, kills=2)
    verdict, happened = await storm.run(plan)
    assert verdict.good, f"{verdict}; {happened}"
    assert verdict.acknowledged == 401


@pytest.mark.timeout(180)
async def test_calls_over_connections_that_are_cut() -> None:
    outcome = await calls.run(calls.Plan(calls=300, cuts=12, between=6, clients=5))
    assert outcome == calls.Outcome(300, missing=0, repeated=0, wrong=0, cuts=12, between=6)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"id": 1, "data": None}, True),
        ({"id": 1, "error": {"code": "invalid"}}, False),
        ({"id": 1, "item": 1}, False),
        ({"event": "asked", "data": 1, "id": "7"}, False),
        ({"op": "ack", "id": 1}, False),
    ],
)
def test_a_reply_is_known_in_both_formats(fields: dict[str, object], expected: bool) -> None:  # noqa: FBT001
    assert calls.is_reply(Frame(1, msgspec.json.encode(fields))) is expected
    assert calls.is_reply(Frame(2, msgspec.msgpack.encode(fields))) is expected


@pytest.mark.timeout(180)
async def test_a_drain() -> None:
    outcome = await drain.run(drain.Plan(clients=60, window=2))
    assert outcome.verdict.good, str(outcome.verdict)
    assert outcome.returned == 60
    assert len(outcome.arrived) >= 60


def test_the_fullest_bucket() -> None:
    outcome = drain.Outcome(Verdict(1), 4, [0.05, 0.15, 0.19, 3.0], 0, 0)
    assert outcome.fullest == 0.5
