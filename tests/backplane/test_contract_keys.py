"""What every backplane promises of a session's keys: a renewed one strands nobody."""

import pytest

from gatewright.backplane import Backplane
from gatewright.backplane.base import Bounds, Resumption
from tests.backplane.conftest import Elapse
from tests.backplane.lanes import Client, heard, key, started

pytestmark = pytest.mark.anyio


async def resume(backplane: Backplane, used: str, renewed: str | None = None) -> Resumption | None:
    new = None if renewed is None else key(renewed)
    return await backplane.resume("/a", key(used), None, renewed=new)


async def known(backplane: Backplane, *names: str) -> list[str]:
    """Those of the names whose key finds the one session there is."""
    found = [(name, await backplane.find("/a", key(name))) for name in names]
    assert len({record.id for _, record in found if record is not None}) <= 1
    return [name for name, record in found if record is not None]


async def test_the_renewed_key_and_the_one_that_was_used_are_both_good(
    backplane: Backplane,
) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        resumption = await resume(backplane, ana.id, "second")
        assert resumption is not None
        assert resumption.record.keys == (key(ana.id), key("second"))
        assert await ana.record() == resumption.record
        assert await known(backplane, ana.id, "second") == [ana.id, "second"]
        await ana.say("missed", rooms=("lobby",))
        for used in (ana.id, "second"):
            resumption = await resume(backplane, used)
            assert resumption is not None
            assert heard(resumption) == ["missed"]
            assert resumption.record.keys == (key(ana.id), key("second"))


async def test_keys_older_than_the_one_that_was_used_end(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        await resume(backplane, ana.id, "first")
        # A late attempt with the old key, after which the client still knows "first".
        await resume(backplane, ana.id, "second")
        assert len(await known(backplane, ana.id, "first", "second")) == 3
        await resume(backplane, "first", "third")
        assert await known(backplane, ana.id, "first", "second", "third") == [
            "first",
            "second",
            "third",
        ]
        assert await resume(backplane, ana.id) is None


async def test_keys_that_nobody_confirms_do_not_pile_up(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        for n in range(20):
            await resume(backplane, ana.id, f"lost {n}")
        record = await ana.record()
        assert record.keys == (key(ana.id), *(key(f"lost {n}") for n in range(15, 20)))
        assert await resume(backplane, "lost 3") is None


async def test_settling_leaves_the_newest_key(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        await backplane.settle("/a", ana.id, 1)
        assert await known(backplane, ana.id) == [ana.id]
        await resume(backplane, ana.id, "second")
        for _ in range(2):
            await backplane.settle("/a", ana.id, 2)
            assert await known(backplane, ana.id, "second") == ["second"]
        resumption = await resume(backplane, "second", "third")
        assert resumption is not None
        assert resumption.record.keys == (key("second"), key("third"))
        # A key that has ended is free.
        await backplane.open("/a", "~bob-1", key(ana.id), None)


async def test_only_the_socket_that_has_a_session_settles_its_keys(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        await resume(backplane, ana.id, "second")
        for other in (0, 1, 3):
            await backplane.settle("/a", ana.id, other)
        await backplane.settle("/a", "~bob-1", 2)
        await backplane.settle("/b", ana.id, 2)
        assert await known(backplane, ana.id, "second") == [ana.id, "second"]


async def test_without_a_renewed_key_a_session_keeps_its_own(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        for _ in range(3):
            assert (await ana.resume()).record.keys == (key(ana.id),)


async def test_the_same_key_again_is_no_second_one(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        resumption = await resume(backplane, ana.id, ana.id)
        assert resumption is not None
        assert resumption.record.keys == (key(ana.id),)
        await resume(backplane, ana.id, "second")
        resumption = await resume(backplane, ana.id, "second")
        assert resumption is not None
        assert resumption.record.keys == (key(ana.id), key("second"))
        resumption = await resume(backplane, "second", ana.id)
        assert resumption is not None
        assert resumption.record.keys == (key("second"), key(ana.id))


async def test_the_key_of_another_session_is_refused_and_nothing_changes(
    backplane: Backplane,
) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        bob = await Client.open(backplane, id="~bob-1")
        await resume(backplane, bob.id, "second")
        before = await ana.record()
        for taken in (bob.id, "second"):
            with pytest.raises(ValueError, match="expected a new id and a new key"):
                await backplane.resume("/a", key(ana.id), None, ["lobby"], renewed=key(taken))
        assert await ana.record() == before
        assert (await bob.record()).id == bob.id


async def test_every_key_goes_with_its_session(backplane: Backplane, elapse: Elapse) -> None:
    async with started(backplane, Bounds(grace=0.3)):
        for way in ("end", "expire"):
            ana = await Client.open(backplane)
            await resume(backplane, ana.id, "second")
            if way == "end":
                assert await backplane.end("/a", ana.id, 2)
            else:
                assert await backplane.release("/a", ana.id, 2)
                await elapse(0.4)
                assert await known(backplane, ana.id, "second") == []
                (record,) = await backplane.expired()
                assert record.keys == (key(ana.id), key("second"))
            assert await known(backplane, ana.id, "second") == []
            for name in (ana.id, "second"):
                await backplane.open("/a", name, key(name), None)
                assert await backplane.end("/a", name, 1)
