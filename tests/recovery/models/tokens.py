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
    """What stays valid is the token that was shown, not only the one that `hello` brought last."""
    keep_unsettled: bool = True
    """And those between the two: an attempt that comes late shows one that is older."""
    forget: bool = True
    """With the first frame the tokens before it are void."""
    by_newest: bool = True
    """Only a frame on the newest socket says that the newest `hello` has arrived."""


class Scope(Struct, frozen=True, kw_only=True):
    cuts: int = 2
    thefts: int = 1


class Link(Struct):
    shown: int
    """The token that its `open` shows."""
    open: bool = True
    """Whether `open` is under way, and may get there although the client gave the socket up."""
    token: int = 0
    """The one that its `hello` brings."""
    hello: bool = False
    """Whether that is under way."""
    frames: int = 0
    """Frames under way to the server."""
    server: bool = True
    """Whether the server has it: it was not taken over by another."""


class State(Struct):
    left: dict[str, int]
    valid: list[int] = field(default_factory=lambda: [1])
    """The tokens that open the session, the newest last."""
    made: int = 1
    settled: int = 1
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
        for number, link in enumerate(s.links):
            if link.open and number != s.link:
                yield ("late open arrives on", number)

    def duties(self, s: State) -> Iterator[Action]:
        if s.link is None:
            yield ("connect",)
        for number, link in enumerate(s.links):
            if number == s.link and link.open:
                yield ("open arrives on", number)
            if number == s.link and link.hello:
                yield ("hello arrives",)
            if link.frames and (link.server or not self.rules.by_newest):
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
                if s.stolen in s.valid:
                    raise Violation("an older token that was stolen opens the session")
            case ("connect",):
                s.links.append(Link(s.token))
                s.link = len(s.links) - 1
            case ("open arrives on" | "late open arrives on", int(number)):
                self._open(s, number)
            case ("hello arrives",):
                assert s.link is not None
                link = s.links[s.link]
                link.hello = False
                link.frames += 1
                s.token = link.token
            case ("frame arrives on", int(number)):
                self._settle(s, s.links[number])
            case _:
                raise AssertionError(action)

    def _open(self, s: State, number: int) -> None:
        link, rules = s.links[number], self.rules
        link.open = False
        if link.shown not in s.valid:
            if number == s.link:
                raise Violation("the client's token is void, and it has no other")
            link.server = False
            return
        s.made += 1
        link.token = s.made
        kept = s.valid if rules.keep_unsettled else [link.shown]
        if not rules.keep_presented:
            kept = s.valid[-1:]
        s.valid = [*kept, s.made] if rules.until_first_frame else [s.made]
        link.hello = number == s.link
        for other, each in enumerate(s.links):
            if each is not link and not each.open:
                each.server = each.hello = False
                if other == s.link:
                    # It lost the session to an earlier attempt of its own, and tries again.
                    s.link = None

    def _settle(self, s: State, link: Link) -> None:
        link.frames -= 1
        s.settled = max(s.settled, link.token)
        if self.rules.forget:
            s.valid = s.valid[-1:]

    def judge(self, s: State) -> None:
        if s.token not in s.valid:
            raise Violation("the client's token is void, and it will have to begin anew")


TOKENS = Study(
    Tokens,
    Rules(),
    small={"tokens": Scope(cuts=2)},
    full={"tokens": Scope(cuts=4)},
    shown_by=dict.fromkeys(Rules.__struct_fields__, "tokens"),
)
