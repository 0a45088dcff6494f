"""Names as tokens of NATS, and the sizes by which a lane is trimmed."""

import re

from hypothesis import given
from hypothesis import strategies as st

from gatewright.backplane.nats.names import MOST, token
from gatewright.backplane.nats.sizes import OVERHEAD, Sizes

LEGAL = re.compile(r"[A-Za-z0-9_-]+")
names = st.text(st.characters(codec="utf-8"), max_size=300)


@given(names)
def test_any_name_is_one_legal_token(name: str) -> None:
    made = token(name)
    assert LEGAL.fullmatch(made)
    assert len(made) <= MOST


@given(names, names)
def test_another_name_is_another_token(one: str, other: str) -> None:
    assert (token(one) == token(other)) == (one == other)


def test_tokens_say_what_they_stand_for() -> None:
    assert token("lobby_1") == "lobby_1"
    assert token("/chat") == "-2fchat"
    assert token("") == "-"
    assert token("é.*>") == "-c3-a9-2e-2a-3e"
    long = token("a" * 300)
    assert long.startswith("aaaa")
    assert long != token("a" * 301)
    # What a name looks like whose encoding is as long as that of a long one.
    assert token(long) != long


@given(st.lists(st.integers(0, 5000), max_size=300), st.integers(1000, 50_000))
def test_as_much_is_kept_as_was_promised_and_not_much_more(sizes: list[int], limit: int) -> None:
    counted, below = Sizes(limit), 1
    for seq, size in enumerate(sizes, 1):
        counted.add(seq, size)
        counted.add(seq, size)
        told = counted.excess()
        kept = [each + OVERHEAD for each in sizes[below - 1 : seq]]
        if told is None:
            assert sum(kept) <= 1.25 * limit or len(kept) == 1
            continue
        assert below <= told <= seq
        # Whole steps are let go, of which none is more than one message and a part of the limit.
        largest = max(kept)
        below = told
        assert sum(each + OVERHEAD for each in sizes[below - 1 : seq]) > limit * 31 / 32 - largest
        assert counted.excess() is None or below == seq


def test_what_others_have_appended_is_guessed() -> None:
    sizes = Sizes(100_000)
    sizes.add(1, 1000 - OVERHEAD)
    # Of these this node knows the last.
    sizes.add(131, 1000 - OVERHEAD)
    below = sizes.excess()
    assert below is not None
    assert 25 <= below <= 131
    assert sizes.excess() is None
