"""The life of sessions over their sockets: who has one, what opens it, when it is over."""

from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from tests.recovery.sim.client import Client
from tests.recovery.sim.network import Closing, Socket
from tests.recovery.sim.simulation import Person, Simulation, simulated
from tests.recovery.sim.truth import Story
from tests.recovery.sim.watch import Watch


@pytest.fixture(params=["memory", "file"])
def sim(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Simulation]:
    """The server with its sessions in memory or in a file, and clients of either kind."""
    with simulated(tmp_path / "sessions" if request.param == "file" else None) as running:
        running.product = request.param == "file"
        yield running


@pytest.fixture
def durable(tmp_path: Path) -> Generator[Simulation]:
    with simulated(tmp_path / "sessions") as running:
        yield running


def somebody(sim: Simulation, user: str | None = "ana") -> Person:
    person = sim.arrive(user)
    sim.calm()
    return person


def story(person: Person) -> Story:
    assert person.watch.story is not None
    return person.watch.story


def present(person: Person) -> Socket:
    assert person.socket is not None
    return person.socket


def session(person: Person) -> str:
    assert person.client.hello is not None
    return person.client.hello.session


def tokens(person: Person) -> str:
    assert person.client.hello is not None
    return person.client.hello.token


def thief(sim: Simulation, victim: Person, token: str) -> Person:
    """Somebody who shows a token of somebody else, with all that is to be known about them."""
    client = victim.client
    watch = Watch(sim.truth, sim.settings, gaps=False)
    person = Person(Client(client.user), watch, victim.codec)
    assert client.hello is not None
    person.letter.hello = msgspec.structs.replace(client.hello, token=token)
    person.letter.epoch, person.letter.seq = client.epoch, client.seq
    return person


# Taking over


def test_who_returns_before_the_loss_was_noticed_takes_over(sim: Simulation) -> None:
    ana = somebody(sim)
    before, old = session(ana), present(ana)
    sim.cut(ana, half=True)
    sim.connect(ana)
    sim.server_hears(present(ana))
    assert old.closing
    sim.calm()
    assert session(ana) == before
    assert story(ana).hooks == ["connect", "disconnect", "resume"]


def test_the_older_socket_is_told_who_has_the_session(sim: Simulation) -> None:
    ana = somebody(sim)
    old = present(ana)
    sim.server_loses(ana)
    ana.socket = None
    ana.client.lost()
    sim.connect(ana)
    sim.server_hears(present(ana))
    sim.calm()
    assert not old.down, "it was lost before there was anything to tell"
    second = present(ana)
    # Its client still has this one, and opens another: a page that was duplicated.
    ana.socket = None
    ana.client.lost()
    sim.connect(ana)
    sim.server_hears(present(ana))
    (closing,) = second.down
    assert isinstance(closing, Closing)
    assert closing.code == 4009
    second.deliver_down()
    sim.calm()


def test_what_comes_late_over_an_older_socket_is_not_handled(sim: Simulation) -> None:
    ana = somebody(sim)
    told = sim.message(ana)
    called = sim.call(ana)
    sim.cut(ana, half=True)
    sim.connect(ana)
    sim.server_hears(present(ana))
    old = ana.strays[0]
    while old.up and not old.over:
        sim.server_hears(old)
    assert not sim.truth.effects[told]
    assert not sim.truth.effects[called.uid]
    sim.calm()
    assert called.end == {"id": called.id, "data": called.uid}
    assert not sim.truth.effects[told]


def test_the_late_end_of_an_older_socket_is_not_that_of_the_session(sim: Simulation) -> None:
    ana = somebody(sim)
    before = session(ana)
    for _ in range(3):
        sim.cut(ana, half=True)
        sim.calm()
    for _ in range(8):
        sim.pass_time(4)
        sim.calm()
    assert session(ana) == before
    assert story(ana).here


def test_an_attempt_that_was_given_up_comes_late_and_its_client_is_back(sim: Simulation) -> None:
    ana = somebody(sim)
    before = session(ana)
    sim.cut(ana)
    sim.connect(ana)
    sim.cut(ana, half=True)
    sim.connect(ana)
    sim.server_hears(present(ana))
    sim.client_hears(ana)
    sim.server_hears(ana.strays[0])
    sim.calm()
    assert session(ana) == before


# Tokens


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_hello_that_was_lost_strands_nobody(sim: Simulation, times: int) -> None:
    ana = somebody(sim)
    before = session(ana)
    for _ in range(times):
        sim.cut(ana)
        sim.connect(ana)
        sim.server_hears(present(ana))
    sim.cut(ana)
    sim.calm()
    assert session(ana) == before


def test_an_older_token_is_void_with_the_first_frame(sim: Simulation) -> None:
    ana = somebody(sim)
    stolen, before = tokens(ana), session(ana)
    sim.cut(ana)
    sim.calm()
    sim.message(ana)
    sim.calm()
    assert tokens(ana) != stolen
    eve = thief(sim, ana, stolen)
    sim.connect(eve)
    sim.server_hears(present(eve))
    assert eve.socket is not None
    assert eve.socket.session != before
    assert story(ana).here
    sim.cut(eve)
    assert session(ana) == before


def test_a_late_frame_of_an_older_socket_voids_no_token(sim: Simulation) -> None:
    ana = somebody(sim)
    before = session(ana)
    sim.cut(ana)
    sim.calm()
    sim.message(ana)
    sim.cut(ana, half=True)
    sim.connect(ana)
    sim.server_hears(present(ana))
    if not ana.strays[0].over:
        sim.server_hears(ana.strays[0])
    sim.cut(ana)
    sim.calm()
    assert session(ana) == before


def test_an_invented_token_opens_nothing(sim: Simulation) -> None:
    ana = somebody(sim)
    eve = thief(sim, ana, "x" * 22)
    sim.connect(eve)
    sim.server_hears(present(eve))
    assert present(eve).session != session(ana)
    assert story(ana).here
    sim.cut(eve)


def test_the_session_of_another_user_is_not_resumed(sim: Simulation) -> None:
    ana = somebody(sim)
    before = session(ana)
    sim.cut(ana)
    eve = thief(sim, ana, tokens(ana))
    eve.client.user = "eve"
    sim.connect(eve)
    sim.server_hears(present(eve))
    assert present(eve).session not in {None, before}
    sim.cut(eve)
    sim.calm()
    assert session(ana) == before


# Ends


def test_after_its_grace_a_session_is_over_and_the_hooks_are_told_once(sim: Simulation) -> None:
    ana = somebody(sim)
    old = story(ana)
    sim.cut(ana)
    sim.pass_time(19)
    assert not old.over
    sim.pass_time(8)
    assert old.hooks == ["connect", "disconnect", "end"]
    sim.calm()
    assert story(ana) is not old


def test_within_its_grace_it_is_not(sim: Simulation) -> None:
    ana = somebody(sim)
    before = session(ana)
    for _ in range(3):
        sim.cut(ana)
        sim.pass_time(18)
        sim.calm()
    assert session(ana) == before


def test_who_says_goodbye_is_gone_at_once(sim: Simulation) -> None:
    ana = somebody(sim)
    old = story(ana)
    sim.leave(ana)
    sim.calm()
    assert old.hooks == ["connect", "disconnect", "end"]
    ana.client.again()
    sim.calm()
    assert story(ana) is not old


def test_the_state_is_what_was_saved_last(sim: Simulation) -> None:
    ana = somebody(sim)
    for value in (1, 2):
        sim.call(ana, "save", value=value)
        sim.calm()
        sim.cut(ana)
        sim.calm()
    assert story(ana).saved == 2


# Another process


@pytest.mark.parametrize("killed", [False, True])
def test_a_session_outlives_its_process(durable: Simulation, *, killed: bool) -> None:
    ana = somebody(durable)
    before = session(ana)
    durable.call(ana, "join", room="A")
    durable.call(ana, "save", value=3)
    durable.calm()
    durable.emit(("A",))
    durable.restart(killed=killed)
    durable.emit(("A",))
    durable.calm()
    assert session(ana) == before
    assert [each.seq for each in ana.client.shown] == [1, 2]
    assert story(ana).rooms == {"A"}


@pytest.mark.parametrize("killed", [False, True])
def test_a_session_that_nobody_fetches_ends_in_another_process(
    durable: Simulation, *, killed: bool
) -> None:
    ana = somebody(durable)
    old = story(ana)
    durable.restart(killed=killed)
    ana.socket = None
    ana.client.lost()
    durable.pass_time(18)
    assert not old.over
    durable.pass_time(10)
    assert old.hooks[-1] == "end"


def test_without_a_file_a_restart_is_the_end(tmp_path: Path) -> None:
    with simulated() as sim:
        ana = somebody(sim)
        old = story(ana)
        called = sim.call(ana, hold=True)
        sim.server_hears(present(ana))
        sim.restart()
        assert old.hooks == ["connect", "disconnect", "end"]
        sim.calm()
        assert story(ana) is not old
        assert called.end is not None
