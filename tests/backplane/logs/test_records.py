"""What every engine promises of records (`gatewright.backplane.shared.log`)."""

import asyncio

import pytest

from tests.backplane.logs.engines import Engine, key, node

pytestmark = pytest.mark.anyio


async def test_a_record_is_found_by_its_id_and_by_its_keys(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        head = await ana.append(b"before")
        created = await ana.log.create("/a", "~1", b"\0\xff", "v1", [key("one"), key("two")])
        assert created == head
        stored = await ben.log.load("/a", "~1")
        assert stored is not None
        assert (stored.id, stored.record, stored.version) == ("~1", b"\0\xff", "v1")
        assert not stored.marks
        assert await ben.log.find("/a", key("one")) == stored
        assert await ben.log.find("/a", key("two")) == stored
        assert await ben.log.find("/a", key("three")) is None
        assert await ben.log.load("/a", "~2") is None
        assert await ben.log.load("/b", "~1") is None
        assert await ben.log.find("/b", key("one")) is None


async def test_ids_and_keys_are_given_once(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        stored = await ana.create("~1", key("one"))
        assert await ben.log.create("/a", "~1", b"other", "v2", [key("two")]) is None
        assert await ben.log.create("/a", "~2", b"other", "v2", [key("one")]) is None
        assert await ben.log.create("/a", "~2", b"other", "v2", [key("two"), key("one")]) is None
        assert await ben.log.load("/a", "~2") is None
        assert await ben.log.find("/a", key("two")) is None, "refused as a whole"
        assert await ben.load("~1") == stored
        assert await ben.log.create("/b", "~1", b"other", "v2", [key("one")]) is not None


async def test_to_create_it_again_is_fine(engine: Engine) -> None:
    async with node(engine) as ana:
        head = await ana.log.create("/a", "~1", b"record", "v1", [key("one")])
        assert head is not None
        await ana.append(b"later", member="~1")
        stored = await ana.load("~1")
        assert await ana.log.create("/a", "~1", b"record", "v1", [key("one")]) is not None
        assert await ana.load("~1") == stored


async def test_of_several_who_create_one_does(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        created = await asyncio.gather(
            *(
                each.log.create("/a", "~1", name.encode(), name, [key(name), key("one")])
                for index in range(10)
                for each in (ana, ben)
                for name in [f"{each.name}-{index}"]
            )
        )
        assert len([each for each in created if each is not None]) == 1
        stored = await ana.load("~1")
        assert stored.record == stored.version.encode()
        assert await ben.log.find("/a", key("one")) == stored
        assert await ben.log.find("/a", key(stored.version)) == stored


async def test_a_record_is_replaced_by_who_knows_the_newest(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        old = await ana.create("~1", key("one"))
        head = await ana.append(b"before")
        replaced = await ben.log.replace("/a", old, b"second", "v2", folded=0)
        assert replaced is not None
        assert (replaced.version, replaced.head, list(replaced.marks)) == ("v2", head, [])
        assert await ana.log.replace("/a", old, b"third", "v3", folded=0) is None
        stored = await ana.load("~1")
        assert (stored.record, stored.version) == (b"second", "v2")
        assert await ana.log.replace("/a", stored, b"third", "v3", folded=0) is not None
        assert await ben.log.replace("/a", stored, b"fourth", "v4", folded=0) is None
        assert (await ben.load("~1")).record == b"third"


async def test_of_several_who_replace_one_does(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        stored = await ana.create("~1", key("one"))
        start = await ana.log.subscribe("/a")
        for turn in range(5):
            replaced = await asyncio.gather(
                *(
                    each.log.replace(
                        "/a", stored, name.encode(), name, folded=0, marker=name.encode()
                    )
                    for index in range(5)
                    for each in (ana, ben)
                    for name in [f"{turn}/{each.name}/{index}"]
                )
            )
            (done,) = [each for each in replaced if each is not None]
            stored = await ana.load("~1")
            assert stored.version == done.version
            assert stored.record == done.version.encode()
            assert stored.marks[-1].body == stored.record
        assert len(await ana.read(start.n)) == 5, "who was too late has put nothing in the lane"


async def test_to_replace_it_again_is_fine(engine: Engine) -> None:
    async with node(engine) as ana:
        old = await ana.create("~1", key("one"))
        start = await ana.log.subscribe("/a")

        async def replace() -> object:
            return await ana.log.replace(
                "/a",
                old,
                b"second",
                "v2",
                folded=0,
                add=[key("two")],
                drop=[key("one")],
                marker=b"resumed",
            )

        replaced = await replace()
        assert replaced is not None
        await ana.append(b"later", member="~1")
        assert await replace() == replaced
        assert [each.body for each in await ana.read(start.n)] == [b"resumed", b"later"]
        stored = await ana.load("~1")
        assert stored.record == b"second"
        assert [each.body for each in stored.marks] == [b"resumed", b"later"]
        assert await ana.log.find("/a", key("one")) is None
        assert await ana.log.find("/a", key("two")) == stored


async def test_markers_of_a_member_are_kept_until_they_are_in_its_record(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        await ana.create("~1", key("one"))
        await ana.create("~2", key("two"))
        start = await ana.log.head("/a")
        await ana.append(b"entries", 3)
        joined = await ana.append(b"joined", 0, member="~1")
        await ben.append(b"of another", 0, member="~2")
        await ben.append(b"of nobody", 0)
        left = await ben.append(b"left", 0, member="~1")
        stored = await ana.load("~1")
        lane = {each.n: each for each in await ana.read(start.n)}
        assert list(stored.marks) == [lane[joined.n], lane[left.n]]
        assert await ben.log.find("/a", key("one")) == stored
        replaced = await ben.log.replace("/a", stored, b"joined", "v2", folded=joined.n)
        assert replaced is not None
        assert list(replaced.marks) == [lane[left.n]]
        assert list((await ana.load("~1")).marks) == [lane[left.n]]
        folded = await ana.load("~1")
        replaced = await ana.log.replace("/a", folded, b"left", "v3", folded=left.n)
        assert replaced is not None
        assert not replaced.marks
        assert not (await ana.load("~1")).marks
        assert [each.body for each in (await ana.load("~2")).marks] == [b"of another"]


async def test_who_replaces_puts_a_marker_in_the_lane(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        await ana.log.subscribe("/a")
        await ben.create("~1", key("one"))
        await ben.append(b"joined", 0, member="~1")
        stored = await ben.load("~1")
        replaced = await ben.log.replace("/a", stored, b"", "v2", folded=0, marker=b"resumed")
        assert replaced is not None
        joined, resumed = await ana.ears.first(2)
        assert (resumed.count, resumed.body, resumed.prev) == (0, b"resumed", joined.n)
        assert (resumed.n, resumed.seq) == (replaced.head.n, replaced.head.seq)
        assert list(replaced.marks) == [joined, resumed]
        assert await ben.log.head("/a") == replaced.head
        assert list((await ben.load("~1")).marks) == [joined, resumed]


async def test_a_repeated_marker_is_kept_once(engine: Engine) -> None:
    async with node(engine) as ana:
        await ana.create("~1", key("one"))
        for _ in range(2):
            await ana.log.append("/a", b"joined", 0, 5, "~1")
        assert [each.body for each in (await ana.load("~1")).marks] == [b"joined"]


async def test_who_has_no_record_gets_none_by_a_marker(engine: Engine) -> None:
    async with node(engine) as ana:
        await ana.append(b"joined", 0, member="~1")
        assert await ana.log.load("/a", "~1") is None
        stored = await ana.create("~1", key("one"))
        assert not stored.marks


async def test_keys_come_and_go_with_a_record(engine: Engine) -> None:
    async with node(engine) as ana:
        stored = await ana.create("~1", key("one"))
        other = await ana.create("~2", key("other"))
        replaced = await ana.log.replace(
            "/a", stored, b"2", "v2", folded=0, add=[key("two"), key("three")], drop=[key("one")]
        )
        assert replaced is not None
        stored = await ana.load("~1")
        assert await ana.log.find("/a", key("one")) is None
        assert await ana.log.find("/a", key("two")) == stored
        assert await ana.log.find("/a", key("three")) == stored
        assert await ana.log.find("/a", key("other")) == other
        assert await ana.log.create("/a", "~3", b"", "v1", [key("one")]) is not None


async def test_a_record_is_removed_once_with_its_keys_and_marks(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        await ana.log.subscribe("/a")
        old = await ana.create("~1", key("one"), key("two"))
        await ana.append(b"joined", 0, member="~1")
        replaced = await ana.log.replace("/a", old, b"", "v2", folded=0)
        assert replaced is not None
        assert not await ben.log.remove("/a", old, [key("one"), key("two")], b"too late")
        stored = await ana.load("~1")
        removed = await asyncio.gather(
            *(
                each.log.remove("/a", stored, [key("one"), key("two")], each.name.encode())
                for each in (ana, ben)
            )
        )
        assert sorted(removed) == [False, True]
        assert await ana.log.load("/a", "~1") is None
        assert await ana.log.find("/a", key("one")) is None
        assert await ana.log.find("/a", key("two")) is None
        assert await ana.log.replace("/a", stored, b"", "v3", folded=0) is None
        _, ended = await ana.ears.first(2)
        assert ended.body == (ana if removed[0] else ben).name.encode()
        assert ended.count == 0
        await ana.append(b"last")
        assert (await ana.ears.first(3))[-1].body == b"last"
        fresh = await ben.create("~1", key("one"))
        assert not fresh.marks


async def test_a_record_is_removed_without_a_word(engine: Engine) -> None:
    async with node(engine) as ana:
        stored = await ana.create("~1", key("one"))
        head = await ana.log.head("/a")
        assert await ana.log.remove("/a", stored, [key("one")])
        assert await ana.log.head("/a") == head
        assert await ana.log.load("/a", "~1") is None
