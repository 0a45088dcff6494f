"""A short run of the Socket.IO fuzzer, the same one each time; the long one is a command."""

import pytest

from tests.fuzz import socketio


def test_parsers_raise_only_what_is_documented() -> None:
    total = socketio.run(20_000, seed=11)
    assert total["packets"] == 20_000
    for name in ("socketio", "socketio.msgpack"):
        # Not all of it may be rubbish, nor all of it right.
        ends = ("no packet", "packet", "no arguments", "arguments")
        assert min(total[f"{name}: {end}"] for end in ends) > 500


def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert socketio.main(["--packets", "500", "--seed", "3"]) == 0
    assert "500 packets" in capsys.readouterr().out


def test_a_finding_names_the_messages(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: socketio.Reading, message: str | bytes) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(socketio.Reading, "take", broken)
    assert socketio.main(["--packets", "500", "--seed", "3"]) == 1
    told = capsys.readouterr().err
    assert "undocumented KeyError" in told
    assert "socketio, seed 3, packet 0: " in told
