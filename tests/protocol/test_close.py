"""Reasons that fit in a close frame."""

from hypothesis import given
from hypothesis import strategies as st

from gatewright.protocol.close import MAX_REASON, CloseCode, clip_reason

# Surrogates included: the text of an exception may have them.
anything = st.text(alphabet=st.characters(exclude_categories=[]), max_size=400)


@given(anything)
def test_a_reason_fits_and_is_encodable(reason: str) -> None:
    assert len(clip_reason(reason).encode()) <= MAX_REASON


@given(st.text(max_size=400))
def test_a_reason_is_cut_between_characters_and_no_earlier_than_needed(reason: str) -> None:
    clipped = clip_reason(reason)
    assert reason.startswith(clipped)
    if clipped != reason:
        following = reason[len(clipped)]
        assert len((clipped + following).encode()) > MAX_REASON


def test_characters_of_four_bytes_are_not_split() -> None:
    assert clip_reason("🎈" * 40) == "🎈" * 30
    assert clip_reason("x" + "🎈" * 40) == "x" + "🎈" * 30
    assert clip_reason("xyz" + "🎈" * 40) == "xyz" + "🎈" * 30
    assert clip_reason("wxyz" + "🎈" * 40) == "wxyz" + "🎈" * 29


def test_lone_surrogates_become_question_marks() -> None:
    assert clip_reason("a\ud83ca") == "a?a"


def test_what_fits_stays_as_it_is() -> None:
    assert clip_reason("") == ""
    assert clip_reason("é" * 61 + "x") == "é" * 61 + "x"


def test_a_code_says_whether_to_come_back() -> None:
    again = {code for code in CloseCode if code.reconnect}
    assert CloseCode.SLOW_CONSUMER in again
    assert CloseCode.RESTART in again
    assert not again & {CloseCode.NORMAL, CloseCode.POLICY, CloseCode.FORBIDDEN}
    assert {code for code in CloseCode if code >= 4500} & again == set()
