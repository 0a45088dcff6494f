"""The programs are run: what the type checkers believe is what happens."""

import asyncio
from typing import assert_type

import httpx2
import pytest

from gatewright import EventError
from gatewright.testing import Refused, TestClient, TestConnection
from tests._support.server import serve
from tests.behaviours.wire import opened
from tests.typing.programs import chat, counting, lab, ledger, members, prices, robot

pytestmark = pytest.mark.anyio


async def refusal(connection: TestConnection, event: str, *data: object) -> EventError:
    with pytest.raises(EventError) as caught:
        await connection.call(event, *data)
    return caught.value


async def test_chat() -> None:
    async with (
        TestClient(chat.app) as client,
        client.connect("/chat") as ana,
        client.connect("/chat") as ben,
    ):
        await ana.call("name", "ana")
        assert "lobby" in await ana.call("join", "lobby", reply=list[str])
        await ben.call("join", "lobby")
        assert await ana.call("say", chat.Say("lobby", "hi"), reply=int) == 1
        said = assert_type(await ben.expect(chat.Said), chat.Said)
        assert said == chat.Said("ana", "hi")
        await ben.call("typing", "lobby")
        assert await ana.expect(chat.Typing) == chat.Typing("somebody")
        assert (await refusal(ana, "join", "secret plans")).code == "forbidden"

        asking = asyncio.create_task(ana.call("poll", "lobby", "lunch?", reply=list[bool]))
        for each, answer in ((ana, True), (ben, False)):
            asked = await each.receive(lambda frame: frame.get("event") == "poll")
            assert asked["data"] == {"question": "lunch?"}
            await each.answer(asked, answer)
        assert sorted(await asking) == [False, True]

        ben.drop()
        assert (await ana.expect(chat.Left)).author == "somebody"


async def test_robot() -> None:
    async with serve(chat.app) as url:
        heard = await robot.robot(f"{url.ws}/chat", "one", "two")
        assert heard == ["one", "two", "[True]"]


async def test_lab() -> None:
    async with (
        TestClient(lab.app) as client,
        client.connect("/lab/7") as ana,
        client.connect("/lab/8") as other,
    ):
        assert await ana.call("move", lab.Move(1, "doing", 0), reply=int) == 1
        assert await ana.expect(lab.Moved) == lab.Moved(1, "doing", 1)
        conflict = await refusal(ana, "move", lab.Move(1, "done", 0))
        assert (conflict.code, conflict.details) == ("conflict", {"version": 1})
        value = await refusal(ana, "reserve", 25)
        assert (value.code, value.message) == (
            "value",
            "reserve on 7: 25 hours are more than a day",
        )
        assert await other.call("reserve", 2) == "bench 8: 2 h"
        assert other.received() == []
        with pytest.raises(Refused):
            async with client.connect("/lab/seven"):
                pytest.fail("it must not open")


async def test_members() -> None:
    async with TestClient(members.app) as client:
        async with client.connect("/members") as somebody:
            assert await somebody.call("whoami") == ["whoami", "nobody"]
            assert (await refusal(somebody, "secret")).code == "forbidden"
            await somebody.call("refresh", "a")
            assert await somebody.call("whoami") == ["whoami", "ana"]
            assert await somebody.call("secret", reply=list[str]) == ["admin"]
        with pytest.raises(Refused):
            async with client.connect("/members", query={"token": "unknown"}):
                pytest.fail("it must not open")
        with pytest.raises(Refused):
            async with client.connect("/admin", query={"token": "b"}):
                pytest.fail("it must not open")
        async with (
            client.connect("/admin", query={"token": "a"}) as ana,
            client.connect("/members", query={"token": "b"}) as ben,
        ):
            assert await ben.call("whoami") == ["whoami", "ben"]
            assert await ana.call("ban", "ben") == 1
            assert (await refusal(ben, "whoami")).code == "forbidden"


async def test_ledger() -> None:
    async with TestClient(ledger.app) as client, client.connect("/ledger") as ana:
        await ana.call("open", "ana", 10)
        await ana.call("open", "ben")
        await ana.call("transfer", ledger.Transfer("ana", "ben", 4))
        assert await ana.call("balances") == {"ana": 6, "ben": 4}
        # Half of it was done before the database refused; nothing of it remains.
        refused = await refusal(ana, "transfer", ledger.Transfer("ana", "ben", 7))
        assert refused.code == "refused"
        assert await ana.call("balances") == {"ana": 6, "ben": 4}
        assert await ana.call("total", reply=int) == 10
        # This one fails at the commit, after the handler has returned.
        assert (await refusal(ana, "open", "ana", 1)).code == "refused"


async def test_counting() -> None:
    counting.closings.streams.clear()
    counting.closings.changed.clear()
    async with TestClient(counting.app) as client, client.connect("/count") as ana:
        numbers = [assert_type(number, int) async for number in ana.stream("count", 3, item=int)]
        assert numbers == [0, 1, 2]
        with pytest.raises(EventError) as caught:
            _ = [number async for number in ana.stream("count", -1, item=int)]
        assert caught.value.code == "invalid"

        stream = ana.stream("forever", 2, item=int)
        async for number in stream:
            if number == 6:
                break
        assert counting.closings.streams == []
        await stream.aclose()
        await asyncio.wait_for(counting.closings.changed.wait(), 5)
        assert counting.closings.streams == ["forever"]

        progress = ana.stream("analyse", 5, 2, item=counting.Progress)
        assert await anext(progress) == counting.Progress(1, 5)
        assert await anext(progress) == counting.Progress(2, 5)
        with pytest.raises(EventError, match="broken: step 2 failed"):
            await anext(progress)


async def test_prices_mounted() -> None:
    app = prices.mounted()
    async with serve(app) as url, opened(f"{url.ws}/realtime/prices") as ana:
        app.state.prices.value = 2.5
        assert await ana.call("now") == 2.5
        async with httpx2.AsyncClient() as http:
            assert (await http.get(f"{url}/mounted-price")).json() == 2.5


async def test_prices_routed() -> None:
    async with serve(prices.routed()) as url, opened(f"{url.ws}/prices") as ana:
        assert await ana.call("now") == 1.0
        async with httpx2.AsyncClient() as http:
            assert (await http.post(f"{url}/price/3.5")).json() == 1
        assert await ana.receive() == {"event": "price", "data": {"value": 3.5}}
        assert await ana.call("now") == 3.5
