"""Calls that a server makes to this client: each is run once, however often it is sent."""

from collections import OrderedDict

from msgspec import Raw

from gatewright.protocol.frames import ErrorBody
from gatewright.protocol.sessions.client.frames import SessionAnswer, SessionFailure
from gatewright.protocol.sessions.frames import WINDOW

__all__ = ["Question", "Questions"]


class Question:
    """One call of the server, as it came."""

    __slots__ = ("data", "event", "id")

    def __init__(self, id: int | str, event: str, data: Raw) -> None:
        self.id: int | str = id
        self.event: str = event
        self.data: Raw = data

    def __repr__(self) -> str:
        return f"<Question {self.id} {self.event!r}>"


class Questions:
    """The calls that are running here, and the answers to the last that were."""

    def __init__(self) -> None:
        self._running: dict[int | str, Question] = {}
        self._answers: OrderedDict[int | str, SessionAnswer | SessionFailure] = OrderedDict()

    def ask(
        self, id: int | str, event: str, data: Raw
    ) -> Question | SessionAnswer | SessionFailure | None:
        """A new question to be run; the answer to one that is known; None while it is running."""
        if id in self._running:
            return None
        if (answer := self._answers.get(id)) is not None:
            return answer
        question = self._running[id] = Question(id, event, data)
        return question

    def answer(
        self, question: Question, result: Raw | ErrorBody
    ) -> SessionAnswer | SessionFailure | None:
        """Keep an answer; None if nobody waits for it: the session is another by now."""
        if self._running.get(question.id) is not question:
            return None
        del self._running[question.id]
        answer = (
            SessionFailure(question.id, result)
            if isinstance(result, ErrorBody)
            else SessionAnswer(question.id, result)
        )
        self._answers[question.id] = answer
        if len(self._answers) > WINDOW:
            self._answers.popitem(last=False)
        return answer

    def clear(self) -> None:
        """Forget all: in a new session the ids are new."""
        self._running.clear()
        self._answers.clear()
