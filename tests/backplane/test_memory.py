"""What the memory backplane keeps, and what it forgets."""

import pytest

from gatewright.backplane import Memory
from gatewright.backplane.base import Batch, Entry, Marker
from gatewright.errors import NotStartedError
from gatewright.protocol.outgoing import Outgoing

pytestmark = pytest.mark.anyio

ENTRY = Entry(Outgoing("said", None))


async def started(idle: int) -> tuple[Memory, list[Batch | Marker]]:
    memory, passed = Memory(idle=idle), list[Batch | Marker]()
    await memory.start(passed.append)
    return memory, passed


async def test_it_delivers_within_the_call_that_publishes() -> None:
    memory, passed = await started(10)
    await memory.publish("/a", [ENTRY])
    assert len(passed) == 1
    await memory.mark("/a", "join", "ana", ["lobby"])
    assert len(passed) == 2


async def test_namespaces_without_members_are_forgotten_the_least_recently_used_first() -> None:
    memory, passed = await started(2)
    for namespace in ("/a", "/b", "/a", "/c"):
        await memory.publish(namespace, [ENTRY])
    assert await memory.publish("/a", [ENTRY]) == 3
    assert await memory.publish("/b", [ENTRY]) == 1
    epochs = [each.epoch for each in passed if each.namespace == "/b" and isinstance(each, Batch)]
    assert len(set(epochs)) == 2


@pytest.mark.parametrize("idle", [0, 1])
async def test_a_namespace_with_a_member_is_kept(idle: int) -> None:
    memory, _ = await started(idle)
    await memory.mark("/a", "join", "ana", ["lobby", "attic"])
    await memory.publish("/a", [ENTRY])
    for index in range(5):
        await memory.publish(f"/other/{index}", [ENTRY])
    await memory.mark("/a", "join", "ana", ["lobby"])
    await memory.mark("/a", "leave", "ana", ["lobby", "cellar"])
    assert await memory.publish("/a", [ENTRY]) == 2


async def test_what_nobody_is_in_any_more_may_be_forgotten() -> None:
    memory, _ = await started(1)
    for action in ("join", "join", "leave"):
        await memory.mark("/a", action, "ana", ["lobby"])
    await memory.publish("/b", [ENTRY])
    await memory.publish("/c", [ENTRY])
    assert await memory.publish("/a", [ENTRY]) == 1
    assert len(memory._live) + len(memory._idle) == 1


async def test_what_is_refused_leaves_nothing_behind() -> None:
    memory = Memory()
    with pytest.raises(NotStartedError):
        await memory.publish("/a", [ENTRY])
    assert not memory._idle
    await memory.start(lambda _: None)
    await memory.publish("/a", [ENTRY])
    await memory.stop()
    assert not memory._idle
