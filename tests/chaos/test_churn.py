"""A short run of the churn; the long one is a command of its own."""

import pytest

from tests.chaos import churn, sessions

pytestmark = [pytest.mark.anyio, pytest.mark.long(30)]


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
async def test_nothing_is_left_of_connections_that_vanish(ws: str) -> None:
    done, met = await churn.run(50, 3, ws=ws)
    assert (len(done), met) == (3, 150)
    # The first round fills what is made once; after that every round makes and frees the same.
    assert done[2].objects - done[1].objects < 50


@pytest.mark.parametrize("ws", ["gatewright.server:WebSocketProtocol", "wsproto"])
async def test_nothing_is_left_of_sessions_that_vanish_and_return(ws: str) -> None:
    assert len(await sessions.run(20, 2, ws=ws)) == 2


def test_memory_that_grows_is_a_finding() -> None:
    steady = [churn.Round(1.0, 100 * 2**20, 1000)] * 5
    assert "+0.0 KiB a round" in churn.check([*steady, *steady])
    with pytest.raises(churn.Short, match="memory grows"):
        churn.check([*steady, churn.Round(1.0, 120 * 2**20, 1000)])
    with pytest.raises(churn.Short, match="memory grows"):
        churn.check([*steady, churn.Round(1.0, 100 * 2**20, 2000)])
