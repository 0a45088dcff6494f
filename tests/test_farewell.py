from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.farewell import spread


@given(count=st.integers(0, 500), window=st.floats(0.001, 3600))
def test_every_client_has_a_part_of_the_window_for_itself(count: int, window: float) -> None:
    delays = sorted(spread(count, window))
    assert len(delays) == count
    for place, delay in enumerate(delays):
        share = 4 / 3 * (delay / window - 1 / 4) * count
        assert place - 0.001 <= share <= place + 1.001


def test_nobody_comes_back_before_the_next_process_can_be_there() -> None:
    assert 2.5 <= min(spread(3000, 10.0)) < 2.6


def test_no_tenth_of_a_second_gets_more_than_three_percent_of_3000_clients() -> None:
    counts = Counter(int(delay * 10) for delay in spread(3000, 10.0))
    assert len(counts) == 75
    assert max(counts.values()) <= 90


def test_who_came_first_is_not_who_comes_back_first() -> None:
    delays = spread(1000, 10.0)
    assert delays != sorted(delays)
    # Of the older half of the clients, about half come back among the first.
    early = sum(delay < 6.25 for delay in delays[:500])
    assert early == pytest.approx(250, abs=150)
