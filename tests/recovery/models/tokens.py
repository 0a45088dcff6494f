"""The secret of a session changes with each `hello`: nobody is stranded, no older one works."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import Struct, field

from tests.recovery.models.checker import Action, Model, Study, Violation

__all__ = ["TOKENS"]


class Rules(Struct, frozen=True):
    until_first_frame: bool = True
    """The token before a `hello` stays valid until the first frame that follows it."""
    keep_presented: bool = True
    """What stays valid is the token that was shown, not the one that `hello` had brought last."""
    forget: bool = True
    """With the first frame the token before it is void."""
    by_newest: bool = True
    """Only a frame on the newest socket says that the newest `hello` has arrived."""


class Scope(Struct, frozen=True, kw_only=True):
    cuts: int = 2
    thefts: int = 1


class Link(Struct):
    token: int
    """The one that its `hello` brings."""
    hello: bool = True
    """Whether that is still under way."""
    frames: int = 0
    """Frames under way to the server."""


class State(Struct):
    left: dict[str, int]
    current: int = 1
    """The newest token of the record, and the one before it that is still valid."""
    previous: int = 0
    made: int = 1
    settled: int = 0
    """The newest token that the client is known to have."""
    token: int = 1
    """The client's."""
    stolen: int = 0
    links: list[Link] = field(default_factory=list)
    link: int | None = None
    """The socket that the client uses."""


class Tokens(Model[State, Rules]):
    state: ClassVar[type[Struct]] = State

    def __init__(self, rules: Rules, scope: Scope) -> None:
        super().__init__(rules)
        self.scope = scope

    def initial(self) -> State:
        return State({"cuts": self.scope.cuts, "thefts": self.scope.thefts})

    def chances(self, s: State) -> Iterator[Action]:
        if s.left["cuts"] and s.link is not None:
            yield ("cut",)
        if s.left["thefts"]:
            yield ("token is stolen",)
        if 0 < s.stolen < s.settled:
            yield ("thief connects",)

    def duties(self, s: State) -> Iterator[Action]:
        if s.link is None:
            yield ("resume",)
        for number, link in enumerate(s.links):
            if link.hello and number == s.link:
                yield ("hello arrives",)
            if link.frames:
                yield ("frame arrives on", number)

    def do(self, s: State, action: Action) -> None:
        match action:
            case ("cut",):
                s.left["cuts"] -= 1
                assert s.link is not None
                s.links[s.link].hello = False
                s.link = None
            case ("token is stolen",):
                s.left["thefts"] -= 1
                s.stolen = s.token
            case ("thief connects",):
                if s.stolen in {s.current, s.previous}:
                    raise Violation("an older token that was stolen opens the session")
            case ("resume",):
                self._resume(s)
            case ("hello arrives",):
                assert s.link is not None
                link = s.links[s.link]
                link.hello = False
                link.frames += 1
                s.token = link.token
            case ("frame arrives on", int(number)):
                link = s.links[number]
                link.frames -= 1
                s.settled = max(s.settled, link.token)
                if self.rules.forget and (not self.rules.by_newest or link is s.links[-1]):
                    s.previous = 0
            case _:
                raise AssertionError(action)

    def _resume(self, s: State) -> None:
        if s.token not in {s.current, s.previous}:
            raise Violation("the client's token is void, and it has no other")
        s.previous = s.token if self.rules.keep_presented else s.current
        s.made += 1
        s.current = s.made
        if not self.rules.until_first_frame:
            s.previous = 0
        s.links.append(Link(s.current))
        s.link = len(s.links) - 1

    def judge(self, s: State) -> None:
        if s.token != s.current:
            raise Violation("the client does not have the newest token")


TOKENS = Study(
    Tokens,
    Rules(),
    small={"tokens": Scope(cuts=3)},
    full={"tokens": Scope(cuts=6, thefts=2)},
    shown_by=dict.fromkeys(Rules.__struct_fields__, "tokens"),
)
