"""Token buckets under a clock of ours."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gatewright.protocol.rates import TokenBucket
from gatewright.settings import Rate

# Whole milliseconds and rates per second that are exact in binary: sums of them are, too.
waits = st.lists(st.integers(0, 64).map(lambda n: n / 64), max_size=60)
rates = st.builds(Rate, st.sampled_from([0.25, 1.0, 4.0, 64.0]), st.integers(1, 8))


@given(rates, waits)
def test_a_bucket_is_what_its_definition_says(rate: Rate, pauses: list[float]) -> None:
    now = 100.0
    bucket = TokenBucket(rate, now)
    tokens = Fraction(rate.burst)
    for pause in pauses:
        now += pause
        tokens = min(tokens + Fraction(pause) * Fraction(rate.per_second), Fraction(rate.burst))
        allowed = tokens >= 1
        assert bucket.take(now) == allowed
        if allowed:
            tokens -= 1


@given(rates, waits)
def test_no_span_lets_more_through_than_burst_and_rate(rate: Rate, pauses: list[float]) -> None:
    now = 0.0
    bucket = TokenBucket(rate, now)
    taken: list[float] = []
    for pause in pauses:
        now += pause
        if bucket.take(now):
            taken.append(now)
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            span = taken[last] - start
            assert last - first + 1 <= rate.burst + span * rate.per_second


def test_a_refusal_costs_nothing() -> None:
    bucket = TokenBucket(Rate(1, 1), 0)
    assert bucket.take(0)
    assert not any(bucket.take(now / 100) for now in range(1, 100))
    assert bucket.take(1)


def test_a_long_rest_fills_no_more_than_the_burst() -> None:
    bucket = TokenBucket(Rate(1, 3), 0)
    assert [bucket.take(10**9) for _ in range(4)] == [True, True, True, False]
