"""How sessions end: left, refused, expired, pushed out; and which losses may be made good."""

import gc

import pytest

from gatewright import Settings
from gatewright.outbox import Outbox
from gatewright.transports.sessions.conversation import Conversation
from gatewright.types import Frame
from tests.behaviours.chat import Door
from tests.sessions.chat import House, Witness, running, until
from tests.sessions.client import Client, Format, Resume

pytestmark = pytest.mark.anyio


async def returns(house: House, ticket: Resume, user: str | None = None) -> bool:
    auth = None if user is None else {"user": user}
    async with Client.opened(house.url, resume=ticket, auth=auth) as back:
        resumed: bool = back.hello["resumed"]
        await back.send({"op": "bye"})
        await back.closed()
        return resumed


async def test_bye_ends_the_session(door: Door, wire: Format) -> None:
    async with running(door=door) as house:
        async with Client.opened(house.url, wire=wire, compression=door.compression) as ana:
            await ana.call("join", "attic")
            await ana.send({"op": "bye"})
            await ana.send({"event": "work", "data": "after it"})
            assert (await ana.closed())[0] == 1000
        await house.empty()
        witness = house.witness
        assert witness.seen == ["connect", "disconnect", "end"]
        assert (witness.reasons[0].code, witness.reasons[0].resumable) == (1000, False)
        assert witness.rooms == [["attic", "lobby"]]
        assert witness.done == []
        assert not await returns(house, ana.ticket)


async def test_bye_without_waiting_for_the_close_ends_it_too(door: Door) -> None:
    async with running(door=door) as house:
        async with Client.opened(house.url, compression=door.compression) as ana:
            await ana.send({"op": "bye"})
            ana.cut()
        await until(lambda: "end" in house.witness.seen)
        assert not await returns(house, ana.ticket)


@pytest.mark.parametrize("code", [1000, 1001, 1005, 3000, 4000, 4500, 4009])
async def test_a_socket_that_is_closed_without_it_may_be_resumed(door: Door, code: int) -> None:
    async with running(door=door) as house:
        async with Client.opened(house.url, compression=door.compression) as ana:
            await ana.call("join", "attic")
            if code == 1005:
                await ana.socket.close()
            else:
                await ana.socket.close(code)
        await house.gone()
        assert house.witness.reasons[0].resumable
        assert "end" not in house.witness.seen
        assert await returns(house, ana.ticket)


async def test_what_was_called_before_bye_is_still_handled() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "one")
            await ana.start("work", "two")
            await until(lambda: witness.done)
            await ana.send({"op": "bye"})
            witness.gate.set()
            assert (await ana.closed())[0] == 1000
        await house.empty()
        assert witness.done == ["one", "two"]
        assert "end" in witness.seen


async def test_who_is_disconnected_for_good_does_not_return(door: Door) -> None:
    async with running(door=door) as house:
        async with Client.opened(house.url, compression=door.compression) as ana:
            await ana.start("quit")
            assert await ana.closed() == (4500, "goodbye")
        await house.empty()
        assert [reason.resumable for reason in house.witness.reasons] == [False]
        assert not await returns(house, ana.ticket)


async def test_the_end_comes_when_the_grace_has_passed() -> None:
    async with running(settings=Settings(grace=0.2)) as house:
        async with Client.opened(house.url) as ana:
            await ana.call("join", "attic")
            ana.cut()
        await house.gone()
        assert house.witness.seen == ["connect", "disconnect"]
        await until(lambda: "end" in house.witness.seen)
        assert house.witness.rooms == [["attic", "lobby"]]
        await house.empty()
        assert not await returns(house, ana.ticket)


async def test_of_too_many_who_are_away_the_oldest_end() -> None:
    async with running(settings=Settings(max_away=2)) as house:
        tickets = []
        for _ in range(4):
            async with Client.opened(house.url) as ana:
                tickets.append(ana.ticket)
                ana.cut()
            await house.gone()
        await until(lambda: house.witness.seen.count("end") == 2)
        assert len(house.absences) == 2
        assert [await returns(house, each) for each in tickets] == [False, False, True, True]


async def test_of_too_many_of_one_user_the_oldest_end() -> None:
    async with running(settings=Settings(max_away_per_user=2)) as house:
        tickets: list[tuple[Resume, str | None]] = []
        for user in ("ana", "ben", "ana", None, "ana", None, None):
            auth = None if user is None else {"user": user}
            async with Client.opened(house.url, auth=auth) as client:
                tickets.append((client.ticket, user))
                client.cut()
            await house.gone()
        await until(lambda: house.witness.seen.count("end") == 1)
        back = [await returns(house, ticket, user) for ticket, user in tickets]
        assert back == [False, True, True, True, True, True, True]
        await house.gone()


async def test_a_take_over_pushes_nobody_out() -> None:
    async with running(settings=Settings(max_away=1, max_away_per_user=1)) as house:
        auth = {"user": "ana"}
        async with Client.opened(house.url, auth=auth) as away:
            away.cut()
        await house.gone()
        async with (
            Client.opened(house.url, auth=auth) as here,
            Client.opened(house.url, resume=here.ticket, auth=auth) as back,
        ):
            assert back.hello["resumed"]
            assert "end" not in house.witness.seen
            assert await returns(house, away.ticket, "ana")


async def test_who_has_another_name_while_away_is_counted_by_the_one_it_left_with() -> None:
    witness = Witness()
    settings = Settings(finish_timeout=0.05, grace=0.5)
    async with running(witness, settings=settings) as house:
        async with Client.opened(house.url, auth={"user": "ben"}) as ana:
            # The handler makes it ana.
            await ana.start("slow", "renew 60")
            await until(lambda: witness.done)
            ana.cut()
        await house.gone()
        witness.gate.set()
        await until(lambda: witness.ended)
        await until(lambda: "end" in witness.seen)
        await house.empty()


async def test_a_slow_last_hook_keeps_no_other_from_its_end() -> None:
    witness = Witness()
    witness.end_gate.clear()
    settings = Settings(grace=0.1, finish_timeout=60)
    async with running(witness, settings=settings) as house:
        for _ in range(3):
            async with Client.opened(house.url) as ana:
                ana.cut()
        await until(lambda: not len(house.absences))
        witness.end_gate.set()
        await until(lambda: witness.seen.count("end") == 3)


async def test_nothing_is_kept_of_those_who_have_ended() -> None:
    async with running(settings=Settings(grace=0.2, finish_timeout=0.1)) as house:
        for number in range(12):
            async with Client.opened(house.url, auth={"user": str(number % 3)}) as ana:
                await ana.call("join", "attic")
                await ana.call("work", number)
                await ana.start("slow", "never")
                if number % 2:
                    ana.cut()
        await house.empty()
        assert house.witness.seen.count("end") == 12
        assert house.witness.seen.count("close thing") == house.witness.seen.count("open thing")


def parts_of_sockets() -> list[object]:
    """All that are in this process, those that other tests have left for instance."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, Outbox | Conversation)]


async def test_who_is_away_keeps_nothing_of_the_socket() -> None:
    before = parts_of_sockets()
    async with running(settings=Settings(stall=0.1)) as house:
        async with Client.opened(house.url) as ana:
            await ana.call("work", 1)
            ana.cut()
        await house.gone()
        flusher = house.dispatcher.node.flusher
        await until(lambda: not house.dispatcher._tasks and not flusher._watched)
        # Its protocol, its transport and its compressor, for as long as the grace lasts.
        assert [each for each in parts_of_sockets() if not any(each is one for one in before)] == []
        (absence,) = house.absences._away.values()
        connection = absence.place.connection
        assert await house.main.to(connection.id).count() == 0
        connection.outbox.push(Frame(b"to nobody"))
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert await back.call("work", 1, id=1) == 1


async def test_the_grace_begins_when_the_resources_are_closed() -> None:
    witness = Witness()
    witness.thing_gate.clear()
    settings = Settings(grace=0.1)
    async with running(witness, settings=settings) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "one")
            witness.gate.set()
            await ana.end(1)
            ana.cut()
        await until(lambda: "disconnect" in witness.seen)
        async with Client.opened(house.url) as other:
            # Its grace passes meanwhile, and the sweeps with it.
            other.cut()
        await until(lambda: witness.seen.count("end") == 1)
        witness.thing_gate.set()
        await house.empty()
        assert witness.seen.count("end") == 2


@pytest.mark.parametrize("when", ["away", "its socket is lost", "it is taken over"])
async def test_who_is_disconnected_without_a_socket_does_not_return_either(when: str) -> None:
    witness = Witness()
    settings = Settings(finish_timeout=0.05 if when == "away" else 10)
    async with running(witness, settings=settings) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "disconnect banned")
            await until(lambda: witness.done)
            if when == "it is taken over":
                witness.disconnect_gate.clear()
                async with Client.connect(house.url) as back:
                    await back.ask(ana.ticket)
                    await until(lambda: "disconnect" in witness.seen)
                    witness.gate.set()
                    await until(lambda: witness.ended)
                    witness.disconnect_gate.set()
                    hello = await back.receive()
                    assert (hello["op"], hello["resumed"]) == ("hello", False)
                    assert hello["session"] != ana.id
                    await back.send({"op": "bye"})
                    await back.closed()
            ana.cut()
        if when == "away":
            await house.gone()
        await until(lambda: witness.connections[0].outbox.closing)
        witness.gate.set()
        await until(lambda: "end" in witness.seen)
        assert not await returns(house, ana.ticket)
        await house.empty()
        assert witness.seen.count("end") == witness.seen.count("connect")
