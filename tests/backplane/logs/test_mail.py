"""What every engine promises of what is told outside a lane (`gatewright.backplane.shared.log`)."""

import pytest

from tests.backplane.logs.engines import Engine, node

pytestmark = pytest.mark.anyio


async def test_a_node_gets_its_own_mail(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        for index in range(10):
            await ana.log.send(str(index).encode(), ben.name)
        await ben.ears.until(lambda: len(ben.ears.mails) == 10)
        assert ben.ears.mails == [str(index).encode() for index in range(10)]
        assert not ana.ears.mails
        await ana.log.send(b"to nobody", "who-is-not-there")


async def test_mail_to_all_reaches_all(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        await ana.log.send(b"to all")
        await ana.log.send(b"\0\xff", ana.name)
        await ana.ears.until(lambda: len(ana.ears.mails) == 2)
        await ben.ears.until(lambda: len(ben.ears.mails) == 1)
        assert ana.ears.mails == [b"to all", b"\0\xff"]
        assert ben.ears.mails == [b"to all"]


async def test_a_cast_reaches_who_subscribes(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben, node(engine) as eve:
        head = await ana.log.subscribe("/a")
        await ben.log.subscribe("/b")
        await eve.log.subscribe("/a")
        for index in range(10):
            await eve.log.cast("/a", str(index).encode())
        expected = [("/a", str(index).encode()) for index in range(10)]
        await ana.ears.until(lambda: len(ana.ears.casts) == 10)
        await eve.ears.until(lambda: len(eve.ears.casts) == 10)
        assert ana.ears.casts == eve.ears.casts == expected
        assert not ben.ears.casts
        assert await ana.log.head("/a") == head, "it is outside the lane"
        assert not ana.ears.messages


async def test_a_node_that_has_stopped_hears_nothing(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        await ben.log.subscribe("/a")
        await ben.log.stop()
        await ana.append(b"entry")
        await ana.log.cast("/a", b"cast")
        await ana.log.send(b"mail")
        await ana.ears.until(lambda: ana.ears.mails == [b"mail"])
        assert [*ben.ears.messages, *ben.ears.casts, *ben.ears.mails] == []
        assert not ben.ears.breaks, "it was no accident"
