"""The application, its clients and the network between them, one step at a time."""

import contextlib
from collections.abc import Generator
from typing import Any

from gatewright import CallTimeout, EventError
from tests.recovery.sim.client import Call, Client
from tests.recovery.sim.lab import PATH
from tests.recovery.sim.network import Closing, Codec, Socket
from tests.recovery.sim.person import Person
from tests.recovery.sim.product import ProductClient
from tests.recovery.sim.server import SETTINGS, Server
from tests.recovery.sim.watch import Watch

__all__ = ["SETTINGS", "Person", "Simulation", "simulated"]


class Simulation(Server):
    """Everything happens by a call of one of its methods, and is over when that returns."""

    # People and sockets

    product = False
    """Whether clients are the package's own; else they are by the letter."""

    def arrive(
        self, user: str | None = None, codec: Codec = "json", *, product: bool | None = None
    ) -> Person:
        """Somebody comes, and connects."""
        watch = Watch(self.truth, self.settings, gaps=self.gaps)
        own = self.product if product is None else product
        client = ProductClient(user, self.loop.time) if own else Client(user)
        person = Person(client, watch, codec)
        self.people.append(person)
        self.connect(person)
        return person

    def connect(self, person: Person) -> None:
        """Open a socket; its `open` is under way then."""
        assert person.socket is None
        person.client.connect()

        async def dial() -> Socket:
            return Socket(self.process.app, PATH, person.codec)

        person.socket = self.loop.run_until_complete(dial())
        person.watch.opens(person.client.up[0])
        person.heard = self.loop.time()
        self._send(person)
        self._settle()
        assert person.socket.accepted, f"refused: {person.socket.refused}"

    def _send(self, person: Person) -> None:
        """What the client wants to send gets under way."""
        frames, person.client.up[:] = list(person.client.up), []
        assert person.socket is not None or not frames
        for frame in frames:
            if "event" in frame and "id" in frame:
                by_id = {call.id: call for call in person.client.calls if call.end is None}
                person.watch.sends(by_id[frame["id"]])
            if person.socket is not None and person.socket.server:
                person.socket.up.append(frame)

    def server_hears(self, socket: Socket) -> None:
        """The server gets the next frame that is under way on a socket."""
        speaks = not socket.closing
        frame = socket.deliver_up()
        if frame.get("op") == "open" and (asked := frame.get("resume")) is not None:
            self.truth.stories[asked["session"]].opened(asked["sent"])
        if "event" in frame and "id" in frame and speaks and socket.session is not None:
            self.truth.stories[socket.session].takes(frame["id"])
        self._settle()

    def client_hears(self, person: Person) -> None:
        """The client gets the next frame that is under way."""
        socket = person.socket
        assert socket is not None
        frame = socket.deliver_down()
        self._judging = True
        person.heard = self.loop.time()
        if isinstance(frame, Closing):
            person.socket = None
            person.client.lost(frame.code)
            self._judging = False
            self._settle()
            return
        person.watch.sees(frame, self.loop.time(), socket.last)
        person.client.receive(frame)
        where = person.client.epoch, person.client.seq
        # One that has said goodbye need not look any more.
        assert person.client.gone or where == (person.watch.epoch, person.watch.seq)
        self._judging = False
        self._send(person)
        self._settle()

    def cut(self, person: Person, *, half: bool = False) -> None:
        """The client loses its socket; if only `half`, what it has sent may still get through."""
        socket = person.socket
        assert socket is not None
        person.socket = None
        person.client.lost()
        socket.lose_client()
        if half and socket.server:
            person.strays.append(socket)
        else:
            socket.tell_server()
        self._settle()

    def server_loses(self, person: Person) -> None:
        """The server learns that a socket is lost, its client does not."""
        assert person.socket is not None
        person.socket.tell_server()
        self._settle()

    def notice(self, person: Person, socket: Socket) -> None:
        """The server learns at last that a socket is lost that the client gave up."""
        person.strays.remove(socket)
        socket.tell_server()
        self._settle()

    # What clients do

    def call(
        self,
        person: Person,
        event: str = "work",
        *,
        hold: bool = False,
        room: str = "",
        value: int = 0,
    ) -> Call:
        uid = self._uid(event)
        data = {"uid": uid, "hold": hold, "room": room, "value": value}
        call = Call(uid=uid, event=event, data=data, stream=event == "count")
        person.client.call(call)
        self._send(person)
        return call

    def message(self, person: Person) -> int:
        """One without an id, which may be lost but never comes twice."""
        uid = self._uid("tell")
        if person.client.message("tell", {"uid": uid}):
            self._send(person)
        return uid

    def leave(self, person: Person) -> None:
        """Say goodbye, and go."""
        assert person.socket is not None
        person.client.bye()
        self._send(person)

    def pass_time(self, seconds: int) -> None:
        """Time passes, a second at a time; clients give up a server that is silent."""
        silence = self.settings.ping_interval + self.settings.ping_timeout
        for _ in range(seconds):
            self.loop.advance(1)
            self._settle()
            for person in self.people:
                if person.socket is not None and self.loop.time() - person.heard > silence:
                    self.cut(person, half=True)

    # Ends

    def calm(self, *, finish: bool = True) -> None:
        """Let everybody come back and everything get through; then nothing may be missing."""
        for _ in range(1000):
            if not self._something(finish=finish):
                break
        else:
            raise AssertionError("it never comes to rest")
        for person in self.people:
            if person.client.gone:
                continue
            person.watch.at_rest()
            for call in person.client.calls:
                done = call.end is not None or not finish
                assert done or call.uid in self.process.held, f"{call} never ended"

    def _something(self, *, finish: bool) -> bool:
        """One thing that is bound to happen; False if there is none."""
        for person in self.people:
            for stray in list(person.strays):
                if stray.up and stray.server and not stray.over:
                    self.server_hears(stray)
                else:
                    self.notice(person, stray)
                return True
            socket = person.socket
            if socket is None:
                if not person.client.gone:
                    self.connect(person)
                    return True
            elif socket.down:
                self.client_hears(person)
                return True
            elif socket.up:
                self.server_hears(socket)
                return True
            elif not socket.server or socket.over:
                self.cut(person)
                return True
        if finish and self.process.held:
            self.release(next(iter(self.process.held)))
            return True
        return False

    def finish(self) -> None:
        """All comes to an end, and nothing may be left."""
        if self._judging:
            self.abandon()
            return
        try:
            self.calm()
            for uid, task in self.questions.items():
                self._judge(uid, task)
            self.process.stop()
            self._stop_clients()
        except BaseException:
            self.abandon()
            raise
        self._end()
        self.loop.close()
        self.check()

    def abandon(self) -> None:
        """Something went wrong: end without a look at what is left."""
        self.process.stop()
        for task in self.questions.values():
            task.cancel()
        self._end()
        with contextlib.suppress(AssertionError):
            self.loop.close()

    def _end(self) -> None:
        for person in self.people:
            for socket in person.all_sockets:
                socket.tell_server()
        for _ in range(90):
            self.loop.settle()
            if self.process.running.done():
                break
            self.loop.advance(1)

    def _stop_clients(self) -> None:
        self.loop.settle()
        for person in self.people:
            while person.socket is not None and person.socket.down:
                self.client_hears(person)

    def _judge(self, uid: int, task: Any) -> None:
        """What has become of a call of the server."""
        if not task.done():
            self.pass_time(int(self.settings.call_timeout) + 1)
        try:
            answers = task.result()
        except CallTimeout:
            return
        except EventError:
            return
        for answer in answers:
            assert answer == uid
            assert any(uid in person.client.asked for person in self.people)


@contextlib.contextmanager
def simulated(*args: Any, **options: Any) -> Generator[Simulation]:
    """A simulation, to whose end everything has to have come right."""
    sim = Simulation(*args, **options)
    try:
        yield sim
    except BaseException:
        sim.abandon()
        raise
    sim.finish()
