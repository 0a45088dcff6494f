"""Short runs of the fuzzers, the same ones each time; the long ones are commands of their own."""

import pytest

from tests.fuzz import codec, sessions, sockets


def test_codecs_raise_only_what_is_documented() -> None:
    total = codec.run(20_000, seed=11)
    assert total["frames"] == 20_000
    for name in ("json", "msgpack"):
        # Not all of it may be rubbish, nor all of it right.
        assert min(total[f"{name}: {end}"] for end in ("no frame", "no payload", "payload")) > 500


@pytest.mark.anyio
async def test_a_server_ends_every_call_once_and_keeps_nothing() -> None:
    sent, ends = await sockets.run(1_000, seed=11)
    assert sent >= 1_000
    assert {"data", "invalid", "bad_frame", "item", "cancelled"} <= set(ends)


@pytest.mark.anyio
async def test_so_does_one_whose_sessions_come_and_go() -> None:
    sent, ends = await sessions.run(1_000, seed=11)
    assert sent >= 1_000
    assert {"data", "invalid", "bad_frame", "hello", "pong", "auth", "refused"} <= set(ends)
    assert ends["sockets"] > ends["sessions"]


def test_the_commands_say_what_they_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert codec.main(["--frames", "500", "--seed", "3"]) == 0
    assert "500 frames" in capsys.readouterr().out


def test_a_finding_names_the_frame(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: codec.Fuzzer, message: str | bytes) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(codec.Fuzzer, "take", broken)
    assert codec.main(["--frames", "500", "--seed", "3"]) == 1
    told = capsys.readouterr().err
    assert "undocumented KeyError" in told
    assert "json, seed 3, frame 0: " in told
