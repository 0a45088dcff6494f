"""What every engine promises of reminders (`gatewright.backplane.shared.log`)."""

import asyncio

import pytest

from tests.backplane.logs.engines import Engine, node

pytestmark = pytest.mark.anyio


async def test_nothing_is_due_before_its_time(engine: Engine) -> None:
    async with node(engine) as ana:
        await ana.log.remind("/a", "~1", 1000.5)
        assert list(await ana.log.due(1000.0, 10)) == []
        assert list(await ana.log.due(1000.5, 10)) == [("/a", "~1")]


async def test_what_is_due_is_told_to_one_node(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        names = [(f"/{index % 3}", f"~{index}") for index in range(20)]
        for namespace, id in names:
            await ana.log.remind(namespace, id, 1000.0)
        told = await asyncio.gather(*(each.log.due(1001.0, 10) for each in (ana, ben)))
        assert sorted([*told[0], *told[1]]) == sorted(names)
        assert list(await ana.log.due(1002.0, 10)) == []


async def test_it_is_told_again_after_a_minute(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        await ana.log.remind("/a", "~1", 1000.0)
        await ana.log.remind("/a", "~2", 1000.0)
        assert len(await ana.log.due(1000.0, 10)) == 2
        await ana.log.forget("/a", "~1")
        assert list(await ben.log.due(1059.0, 10)) == []
        assert list(await ben.log.due(1061.0, 10)) == [("/a", "~2")]


async def test_a_reminder_is_moved(engine: Engine) -> None:
    async with node(engine) as ana:
        await ana.log.remind("/a", "~1", 1000.0)
        await ana.log.remind("/a", "~1", 1100.0)
        assert list(await ana.log.due(1050.0, 10)) == []
        await ana.log.remind("/a", "~1", 1010.0)
        assert list(await ana.log.due(1050.0, 10)) == [("/a", "~1")]
        await ana.log.remind("/a", "~1", 1500.0)
        assert list(await ana.log.due(1499.0, 10)) == []
        assert list(await ana.log.due(1500.0, 10)) == [("/a", "~1")]


async def test_no_more_is_told_than_was_asked_for(engine: Engine) -> None:
    async with node(engine) as ana:
        for index in (3, 1, 2):
            await ana.log.remind("/a", f"~{index}", 1000.0 + index)
        told = [*await ana.log.due(1010.0, 2), *await ana.log.due(1010.0, 2)]
        assert sorted(told) == [("/a", "~1"), ("/a", "~2"), ("/a", "~3")]


async def test_who_is_forgotten_is_not_told(engine: Engine) -> None:
    async with node(engine) as ana:
        await ana.log.remind("/a", "~1", 1000.0)
        await ana.log.remind("/b", "~1", 1000.0)
        await ana.log.forget("/a", "~1")
        await ana.log.forget("/a", "~unknown")
        assert list(await ana.log.due(1000.0, 10)) == [("/b", "~1")]


async def test_names_may_be_anything(engine: Engine) -> None:
    names = [("/é {x}", "~✓\n"), ("/a b", "~"), ("", ""), ("/*", "~>.")]
    async with node(engine) as ana:
        for namespace, id in names:
            await ana.log.remind(namespace, id, 1000.0)
        assert sorted(await ana.log.due(1000.0, 10)) == sorted(names)
