"""A task board for each bench of a laboratory; whoever moves an old version is told so."""

from typing import assert_type

from msgspec import Struct

from gatewright import (
    Connection,
    Context,
    Emitter,
    Event,
    EventError,
    Gatewright,
    catch,
    gateway,
    on,
    on_connect,
)


class Conflict(Exception):
    def __init__(self, version: int) -> None:
        super().__init__(f"the task is at version {version}")
        self.version = version


class Moved(Event, event="moved", frozen=True):
    task: int
    column: str
    version: int


class Move(Struct):
    task: int
    column: str
    version: int


class Boards:
    """The versions of all tasks, by bench."""

    def __init__(self) -> None:
        self.versions: dict[tuple[int, int], int] = {}

    def move(self, bench: int, move: Move) -> int:
        have = self.versions.get((bench, move.task), 0)
        if have != move.version:
            raise Conflict(have)
        self.versions[bench, move.task] = have + 1
        return have + 1


@gateway("/lab/{bench}", emits=[Moved])
class LabGateway:
    def __init__(self) -> None:
        self.boards = Boards()

    @on_connect
    async def arrive(self, connection: Connection, bench: int) -> None:
        await connection.join("board" if bench else "visitors")

    @on("move")
    async def move(self, bench: int, move: Move, emitter: Emitter) -> int:
        version = self.boards.move(bench, move)
        return await emitter.to("board").emit(Moved(move.task, move.column, version))

    @on("reserve")
    async def reserve(self, bench: int, hours: int) -> str:
        if hours > 24:
            raise ValueError(f"{hours} hours are more than a day")
        return f"bench {bench}: {hours} h"

    @catch(Conflict)
    async def conflict(self, error: Conflict, context: Context) -> EventError:
        assert_type(error, Conflict)
        return EventError("conflict", "someone moved it first", {"version": error.version})


@catch(ValueError)
async def on_value(error: ValueError, context: Context) -> EventError:
    return EventError("value", f"{context.event} on {context.path['bench']}: {error}")


app = Gatewright(gateways=[LabGateway], errors=[on_value])
