"""What a page talks to. It decides who hears what; the rules are in the services."""

from gatewright import (
    Connection,
    Context,
    Emitter,
    EventError,
    Presence,
    Principal,
    State,
    catch,
    gateway,
    on,
    on_end,
    on_resume,
    on_start,
)
from sample_app.miaou.errors import AlreadyRegistered, MiaouError
from sample_app.miaou.events import (
    HistoryQuery,
    Id,
    Left,
    NewRoom,
    Read,
    Registration,
    RoomOpened,
    Said,
    Say,
    Seat,
    Typing,
    Welcome,
)
from sample_app.miaou.identity import registered
from sample_app.miaou.models import Message, Page, Person, Place, Room, ToRoom
from sample_app.miaou.services import Chat, People, by_nickname

__all__ = ["MiaouGateway"]


@gateway("/miaou", emits=[Said, Typing, Left, RoomOpened])
class MiaouGateway:
    """The chat. A connection is nobody until it has registered."""

    def __init__(self, emitter: Emitter, presence: Presence, people: People, chat: Chat) -> None:
        self.emitter = emitter
        self.presence = presence
        self.people = people
        self.chat = chat

    # Coming and going

    @on("register")
    async def register(self, connection: Connection, registration: Registration) -> Welcome:
        """The first call of a page, in all its rooms from then on."""
        if (known := self.people.who(connection.id)) is not None:
            raise AlreadyRegistered(known.nickname)
        person = await self.people.register(
            connection.id, registration.nickname, registration.secret
        )
        await connection.authenticate(person)
        await connection.save(Seat(registration.nickname, registration.secret))
        rooms = await self.chat.rooms(person)
        await connection.join(*(channel_of(view.room.id) for view in rooms if view.joined))
        # From here on the page hears who is in its rooms, and is one of them.
        await connection.track(person)
        return Welcome(person, rooms, await self.people.talks(person))

    @on_resume
    async def back(self, connection: Connection, seat: State[Seat]) -> None:
        """After a restart `people` is new, and only the session knows who sits there."""
        person = self.people.who(connection.id)
        if person is None and seat.nickname:
            try:
                await self.people.register(connection.id, seat.nickname, seat.secret)
            except MiaouError:
                # The nickname was given away meanwhile: the page is asked for another one.
                await connection.untrack()
                await connection.leave(*connection.rooms)
                await connection.save(Seat())

    @on_end
    async def goodbye(self, connection: Connection) -> None:
        """Now the nickname is free."""
        self.people.release(connection.id)

    # Rooms

    @on("create", guards=[registered])
    async def create(self, connection: Connection, me: Principal[Person], new: NewRoom) -> Room:
        room = await self.chat.open_room(me, new.name)
        await connection.join(channel_of(room.id))
        await self.emitter.emit(RoomOpened(room))
        return room

    @on("join", guards=[registered])
    async def join(self, connection: Connection, me: Principal[Person], room: Id) -> list[Person]:
        """Join a room, or look at one joined before; returns who is here."""
        await self.chat.join(me, room)
        await connection.join(channel_of(room))
        here = self.presence.of(channel_of(room), Person)
        return by_nickname(each.meta[-1] for each in here)

    @on("leave", guards=[registered])
    async def leave(self, me: Principal[Person], room: Id) -> None:
        """Leave a room with all pages: being a member is the person's, not the page's."""
        await self.chat.leave(me, room)
        await self.emitter.to_user(str(me.id)).leave(channel_of(room))
        await self.emitter.to_user(str(me.id)).emit(Left(room))

    # Talking

    @on("say", guards=[registered], idempotent=True)
    async def say(self, me: Principal[Person], say: Say) -> Message:
        """Say something in a room or to a person. The same `key` again is the same message.

        So it may be executed again when a restart has taken the answer with it.
        """
        message, untold = await self.chat.say(me, say.to, say.text, say.key)
        if untold:
            await self.tell(message)
        return message

    @on_start
    async def catch_up(self) -> None:
        """Tell what a process kept before it was killed, and had no time to tell."""
        for message in await self.chat.untold():
            await self.tell(message)

    async def tell(self, message: Message) -> None:
        """Emit a message. After a crash perhaps once more: a page knows messages by their ids."""
        to, sender = message.to, message.sender
        if isinstance(to, ToRoom):
            listeners = self.emitter.to(channel_of(to.id))
        else:
            listeners = self.emitter.to_user(str(to.id), str(sender.id))
        await listeners.emit(Said(message))
        await self.chat.told(message)

    @on("typing", guards=[registered])
    async def typing(self, connection: Connection, me: Principal[Person], to: Place) -> None:
        """Tell the others in a place. Worth nothing a moment later, so it may be lost."""
        if isinstance(to, ToRoom):
            if channel_of(to.id) not in connection.rooms:
                return
            others = self.emitter.to(channel_of(to.id))
        else:
            others = self.emitter.to_user(str(to.id))
        others = others.except_(connection.id)
        await others.emit(Typing(to, me), volatile=True, key=f"typing {me.id}")

    @on("history", guards=[registered])
    async def history(self, me: Principal[Person], query: HistoryQuery) -> Page:
        return await self.chat.history(me, query.to, query.before, query.after)

    @on("read", guards=[registered])
    async def read(self, me: Principal[Person], read: Read) -> None:
        await self.chat.mark_read(me, read.to, read.message)

    @catch(MiaouError)
    async def refused(self, error: MiaouError, _: Context) -> EventError:
        return EventError(error.code, str(error))


def channel_of(room: int) -> str:
    """The name of a room for the emitter. A prefix: a connection's id is a room's name, too."""
    return f"room {room}"
