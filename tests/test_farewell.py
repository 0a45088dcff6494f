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
        assert place * window / count <= delay <= (place + 1) * window / count


def test_no_tenth_of_a_second_gets_more_than_three_percent_of_3000_clients() -> None:
    counts = Counter(int(delay * 10) for delay in spread(3000, 10.0))
    assert len(counts) == 100
    assert max(counts.values()) <= 90


def test_who_came_first_is_not_who_comes_back_first() -> None:
    delays = spread(1000, 10.0)
    assert delays != sorted(delays)
    # Of the older half of the clients, about half come back in the earlier half of the window.
    early = sum(delay < 5 for delay in delays[:500])
    assert early == pytest.approx(250, abs=150)
