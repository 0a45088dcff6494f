"""What the nodes of an application ask and tell each other, over the mail of their backplane."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from itertools import count
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct

from gatewright.backplane.base import Backplane
from gatewright.errors import ErrorCode, EventError
from gatewright.remote.letters import Ask, Drop, End, Fail, Letter, Part, Tell, pack, unpack
from gatewright.remote.post import Post

__all__ = ["Asked", "Parts", "Question", "Remote"]

logger: logging.Logger = logging.getLogger("gatewright")

M = TypeVar("M", bound=Struct)
T = TypeVar("T")

Parts: TypeAlias = Callable[[Struct], None]
"""Sends the asker a part of an answer, before its end."""

Serve: TypeAlias = Callable[[str, M, Parts], Awaitable[object]]
"""Answers what another node asks; what it returns is the end of the answer."""

Hear: TypeAlias = Callable[[str, M], None]
"""Takes what another node tells; it neither waits nor raises."""


class Asked(Struct, Generic[T]):
    """What came of a question, by the nodes that were asked.

    `errors` has those that failed or died, `missing` those that said nothing in time.
    """

    answers: dict[str, T]
    errors: dict[str, EventError]
    missing: list[str]


class Question:
    """One that is open. `part` is given a node and what it says before its end, `end` its end.

    The end is bytes, or why there is none.
    """

    __slots__ = ("_close", "end", "part", "waiting")

    def __init__(
        self,
        nodes: Iterable[str],
        part: Callable[[str, Raw], None],
        end: Callable[[str, Raw | Exception], None],
        close: Callable[["Question"], None],
    ) -> None:
        self.waiting: set[str] = set(nodes)
        self.part: Callable[[str, Raw], None] = part
        self.end: Callable[[str, Raw | Exception], None] = end
        self._close = close

    def ended(self, node: str, answer: Raw | Exception) -> None:
        if node in self.waiting:
            self.waiting.discard(node)
            self.end(node, answer)

    def failed(self, error: Exception) -> None:
        for node in list(self.waiting):
            self.ended(node, error)

    def close(self) -> None:
        """Nobody waits any more: those that have not answered need not."""
        self._close(self)


class Remote:
    """The other nodes, as one that asks and tells sees them.

    Messages to one node arrive in the order in which they were said, or not at all. Of a node that
    dies nothing is waited for.
    """

    def __init__(self, backplane: Backplane) -> None:
        self._backplane = backplane
        self._ids = count(1)
        self._questions: dict[int, Question] = {}
        self._serve: dict[str, tuple[Callable[[Raw], Any], Serve[Any]]] = {}
        self._hear: dict[str, tuple[Callable[[Raw], Any], Hear[Any]]] = {}
        self._watch: list[Callable[[str, bool], None]] = []
        self._serving: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._post = Post(backplane)

    def __len__(self) -> int:
        """How many questions are open, on either side."""
        return len(self._questions) + len(self._serving)

    @property
    def name(self) -> str:
        """This node's own name."""
        return self._backplane.node

    @property
    def nodes(self) -> Collection[str]:
        """The others that live."""
        return self._backplane.nodes

    # What this node does for others

    def serve(self, kind: str, message: type[M], serve: Serve[M]) -> None:
        """Answer questions of a kind, each in a task of its own."""
        self._serve[kind] = msgspec.msgpack.Decoder(message).decode, serve

    def hear(self, kind: str, message: type[M], hear: Hear[M]) -> None:
        """Take what is told, at once and in its order."""
        self._hear[kind] = msgspec.msgpack.Decoder(message).decode, hear

    def watch(self, peers: Callable[[str, bool], None]) -> None:
        """Have it told when a node lives from now on, or does no longer."""
        self._watch.append(peers)

    # What it asks of them

    def tell(self, kind: str, message: Struct, node: str | None = None) -> None:
        """Tell one node, or all others; nobody knows whether it has arrived."""
        self._post.put(node, Tell(kind, Raw(pack(message))))

    async def cast(self, namespace: str, kind: str, message: Struct) -> None:
        """Tell those that follow a namespace; raises `BackplaneError`."""
        await self._backplane.cast(namespace, pack([Tell(kind, Raw(pack(message)))]))

    def question(
        self,
        kind: str,
        message: Struct,
        nodes: Collection[str] | None,
        *,
        part: Callable[[str, Raw], None],
        end: Callable[[str, Raw | Exception], None],
    ) -> Question:
        """Ask nodes, or all others; `close` it in the end, whatever has come."""
        id = next(self._ids)
        lives = self.nodes
        chosen = list(lives if nodes is None else nodes)

        def close(question: Question) -> None:
            if self._questions.pop(id, None) is not None:
                for node in question.waiting:
                    self._post.put(node, Drop(id))

        question = Question(chosen, part, end, close)
        self._questions[id] = question
        ask = Ask(id, kind, Raw(pack(message)))
        if nodes is None:
            self._post.put(None, ask, question.failed)
            return question
        for node in chosen:
            if node in lives:
                self._post.put(node, ask, partial(question.ended, node))
            else:
                question.ended(node, _gone(node))
        return question

    async def ask(
        self,
        kind: str,
        message: Struct,
        answer: type[T],
        *,
        timeout: float,
        nodes: Collection[str] | None = None,
        part: Callable[[str, Raw], None] = lambda _, __: None,
    ) -> Asked[T]:
        """Ask nodes, or all others, and wait for all of them, at most `timeout` seconds.

        Raises `BackplaneError` where they cannot be asked.
        """
        asked = Asked[T]({}, {}, [])
        if not (self.nodes if nodes is None else nodes):
            return asked
        decode = msgspec.msgpack.Decoder(answer).decode
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ended = 0

        def end(node: str, said: Raw | Exception) -> None:
            nonlocal ended
            ended += 1
            try:
                if isinstance(said, Exception):
                    raise said
                asked.answers[node] = decode(said)
            except EventError as error:
                asked.errors[node] = error
            except msgspec.MsgspecError as error:
                asked.errors[node] = EventError(ErrorCode.INVALID, f"{node}: {error}")
            except Exception as error:
                if not finished.done():
                    finished.set_exception(error)
            if ended == total and not finished.done():
                finished.set_result(None)

        total = len(self.nodes if nodes is None else nodes)
        question = self.question(kind, message, nodes, part=part, end=end)
        try:
            async with asyncio.timeout(timeout):
                await finished
        except TimeoutError:
            asked.missing = sorted(question.waiting)
        finally:
            question.close()
            if finished.done() and not finished.cancelled():
                # Looked at, so that nobody misses it who was cancelled meanwhile.
                finished.exception()
        return asked

    # The mail

    def mail(self, sender: str, message: bytes) -> None:
        """From the backplane: a message of another node."""
        try:
            letters = unpack(message)
        except msgspec.MsgspecError as error:
            logger.warning("a message of node %.80r is dropped: %s", sender, error)
            return
        for letter in letters:
            try:
                self._take(sender, letter)
            except Exception:
                logger.exception("a message of node %.80r failed", sender)

    def _take(self, sender: str, letter: Letter) -> None:
        match letter:
            case Tell():
                found = self._hear.get(letter.kind)
                if found is None:
                    logger.warning("node %.80r tells what nobody hears: %.80r", sender, letter.kind)
                    return
                decode, hear = found
                hear(sender, decode(letter.body))
            case Ask():
                task = asyncio.get_running_loop().create_task(self._answer(sender, letter))
                key = sender, letter.id
                self._serving[key] = task
                task.add_done_callback(partial(self._served, key))
            case Drop():
                task_of = self._serving.get((sender, letter.id))
                if task_of is not None:
                    task_of.cancel()
            case _:
                question = self._questions.get(letter.id)
                if question is None or sender not in question.waiting:
                    return
                if isinstance(letter, Part):
                    question.part(sender, letter.body)
                elif isinstance(letter, End):
                    question.ended(sender, letter.body)
                else:
                    error = EventError(letter.code, letter.message, letter.details)
                    question.ended(sender, error)

    def _served(self, key: tuple[str, int], task: asyncio.Task[None]) -> None:
        if self._serving.get(key) is task:
            del self._serving[key]

    async def _answer(self, sender: str, letter: Ask) -> None:
        id = letter.id
        try:
            found = self._serve.get(letter.kind)
            if found is None:
                # A node of another version, while one is replaced by the other.
                raise EventError(ErrorCode.UNKNOWN_EVENT, f"nobody answers {letter.kind[:64]!r}")
            decode, serve = found
            message = decode(letter.body)

            def part(said: Struct) -> None:
                self._post.put(sender, Part(id, Raw(pack(said))))

            body = pack(await serve(sender, message, part))
        except EventError as error:
            details = _plain(error.details)
            self._post.put(sender, Fail(id, error.code, error.message, details))
        except Exception:
            logger.exception("the question %.80r of node %.80r failed", letter.kind, sender)
            self._post.put(sender, Fail(id, ErrorCode.INTERNAL, "internal error", None))
        else:
            self._post.put(sender, End(id, Raw(body)))

    def peers(self, node: str, lives: bool) -> None:  # noqa: FBT001 - as the backplane calls it
        """From the backplane: another node lives, or does no longer."""
        if not lives:
            for question in list(self._questions.values()):
                question.ended(node, _gone(node))
            for (asker, _), task in list(self._serving.items()):
                if asker == node:
                    task.cancel()
        for watch in self._watch:
            watch(node, lives)

    async def stop(self) -> None:
        """Answer nobody any more, and send what was said."""
        tasks = set(self._serving.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._post.close()


def _gone(node: str) -> EventError:
    return EventError(ErrorCode.INTERRUPTED, f"the node {node} has gone")


def _plain(details: object) -> Any:
    """The details of an error, as far as they can travel."""
    try:
        return msgspec.to_builtins(details, builtin_types=(bytes,))
    except Exception:
        logger.exception("the details of an error cannot be encoded")
        return None
