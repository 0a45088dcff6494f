"""Frames are found wherever the bytes are cut apart."""

import os

from hypothesis import given
from hypothesis import strategies as st

from tests._support.raw import masked
from tests.chaos.frames import FrameReader

HEAD = b"GET /chat HTTP/1.1\r\nUpgrade: WebSocket\r\n\r\n"


@given(
    st.lists(st.sampled_from([0, 1, 125, 126, 300, 65_535, 65_536, 70_000]), max_size=5),
    st.lists(st.integers(1, 70_000), max_size=20),
)
def test_frames_of_all_lengths_are_found_at_their_ends(sizes: list[int], cuts: list[int]) -> None:
    payloads = [os.urandom(size) for size in sizes]
    stream, expected = HEAD, []
    for payload in payloads:
        stream += masked(payload)
        expected.append(len(stream))
    reader, at, ends, found = FrameReader(), 0, [], []
    for cut in [*cuts, len(stream)]:
        piece = stream[at : at + cut]
        for end, frame in reader.feed(piece):
            ends.append(at + end)
            found.append(frame.payload)
        at += len(piece)
    assert (ends, found) == (expected, payloads)


def test_control_frames_are_no_data() -> None:
    reader = FrameReader()
    stream = HEAD + masked(b"", 0x9) + masked("text") + masked(b"\x03\xe8", 0x8)
    assert [frame.is_data for _, frame in reader.feed(stream)] == [False, True, False]


def test_what_is_no_websocket_has_no_frames() -> None:
    reader = FrameReader()
    assert reader.feed(b"GET / HTTP/1.1\r\n\r\n" + masked("text")) == []
    assert reader.feed(masked("text")) == []
