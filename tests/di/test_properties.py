"""For any tree of resources and any failures: what is entered is left once, in reverse order."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from injector import Module, ScopeDecorator

from gatewright.di import Container, app_scoped, connection_scoped, event_scoped, resource

SCOPES: list[ScopeDecorator] = [app_scoped, connection_scoped, event_scoped]
KEYS = [type(f"R{number}", (), {}) for number in range(6)]


class Spec(NamedTuple):
    depth: int
    needs: tuple[int, ...]
    opening: str
    closing: str


class Failure(Exception):
    pass


@st.composite
def trees(draw: st.DrawFn) -> list[Spec]:
    specs: list[Spec] = []
    for number in range(draw(st.integers(1, len(KEYS)))):
        depth = draw(st.integers(0, 2))
        allowed = [each for each in range(number) if specs[each].depth <= depth]
        needs = draw(st.lists(st.sampled_from(allowed), unique=True)) if allowed else []
        how = st.sampled_from(["quick", "quick", "slow", "fail", "slow fail"])
        specs.append(Spec(depth, tuple(needs), draw(how), draw(how)))
    return specs


def module_of(
    specs: list[Spec], log: list[tuple[str, int, int]], needed: list[tuple[int, int]]
) -> type[Module]:
    """One resource per spec; logs ("+" or "-", which spec, which instance of it).

    `needed` gets pairs of instances: one, and another that it was made of.
    """
    instances = iter(range(1_000_000))

    yielding: Any = AsyncIterator

    def make(number: int, spec: Spec) -> Any:
        async def provide(self: object, **needs: Any) -> AsyncIterator[Any]:
            if "slow" in spec.opening:
                await asyncio.sleep(0)
            if "fail" in spec.opening:
                raise Failure(f"open {number}")
            instance = next(instances)
            log.append(("+", number, instance))
            needed.extend((instance, each.instance) for each in needs.values())
            value: Any = KEYS[number]()
            value.instance = instance
            try:
                yield value
            finally:
                try:
                    for _ in range(3 if "slow" in spec.closing else 0):
                        await asyncio.sleep(0)
                finally:
                    log.append(("-", number, instance))
                if "fail" in spec.closing:
                    raise Failure(f"close {number}")

        source = ", ".join(["self", *(f"n{each}" for each in spec.needs)])
        arguments = ", ".join(f"n{each}=n{each}" for each in spec.needs)
        space: dict[str, Any] = {"provide": provide}
        exec(  # noqa: S102 - parameters must have names, as in code
            f"async def r{number}({source}):\n"
            f"    inner = provide(self, {arguments})\n"
            "    try:\n"
            "        value = await anext(inner)\n"
            "    except StopAsyncIteration:\n"
            "        return\n"
            "    error = None\n"
            "    try:\n"
            "        yield value\n"
            "    except BaseException as raised:\n"
            "        error = raised\n"
            "    try:\n"
            "        await (anext(inner) if error is None else inner.athrow(error))\n"
            "    except StopAsyncIteration:\n"
            "        pass\n",
            space,
        )
        function = space[f"r{number}"]
        function.__annotations__ = {
            **{f"n{each}": KEYS[each] for each in spec.needs},
            "return": yielding[KEYS[number]],
        }
        return SCOPES[spec.depth](resource(function))

    return type("Tree", (Module,), {f"r{n}": make(n, spec) for n, spec in enumerate(specs)})


def check(log: list[tuple[str, int, int]], needed: list[tuple[int, int]]) -> None:
    entered = [each for sign, *each in log if sign == "+"]
    left = [each for sign, *each in log if sign == "-"]
    assert sorted(entered) == sorted(left)
    when = {(sign, instance): place for place, (sign, _, instance) in enumerate(log)}
    # Events that overlap have stacks of their own: what holds for all is that no instance is left
    # before the one that was made of it.
    for outer, inner in needed:
        assert when["+", inner] < when["+", outer]
        assert when["-", outer] < when["-", inner]


@given(
    trees(),
    st.lists(st.lists(st.integers(0, len(KEYS) - 1), max_size=3), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), max_size=5),
)
def test_everything_entered_is_left_once_in_reverse(
    specs: list[Spec], asks: list[list[int]], cancels: list[tuple[int, int]]
) -> None:
    log: list[tuple[str, int, int]] = []
    needed: list[tuple[int, int]] = []
    asyncio.run(_live(len(specs), module_of(specs, log, needed), asks, cancels))
    check(log, needed)


async def _live(
    count: int, module: type[Module], asks: list[list[int]], cancels: list[tuple[int, int]]
) -> None:
    app = Container([module])
    connection = app.connection()

    async def event(wanted: list[int]) -> None:
        async with connection.event() as level:
            for number in wanted:
                await level.aget(KEYS[number % count])
                await asyncio.sleep(0)

    tasks = [asyncio.create_task(event(wanted)) for wanted in asks]
    for step in range(13):
        for which, when in cancels:
            if when == step:
                tasks[which % len(tasks)].cancel()
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for level in (connection, app):
        outcomes += await asyncio.gather(level.aclose(), return_exceptions=True)
    for outcome in outcomes:
        leaves = outcome.exceptions if isinstance(outcome, BaseExceptionGroup) else [outcome]
        assert all(
            each is None or isinstance(each, (Failure, asyncio.CancelledError)) for each in leaves
        )


@given(trees())
def test_one_event_is_one_stack(specs: list[Spec]) -> None:
    log: list[tuple[str, int, int]] = []

    async def live() -> None:
        app = Container([module_of(specs, log, [])])
        connection = app.connection()
        event = connection.event()
        for number in range(len(specs)):
            await asyncio.gather(event.aget(KEYS[number]), return_exceptions=True)
        for level in (event, connection, app):
            await asyncio.gather(level.aclose(), return_exceptions=True)

    anyio.run(live)
    for depth in range(3):
        own = [each for each in log if specs[each[1]].depth == depth]
        half = len(own) // 2
        assert [sign for sign, *_ in own] == ["+"] * half + ["-"] * half
        assert [each for _, *each in own[:half]] == [each for _, *each in own[half:]][::-1]


def test_the_property_itself_can_fail() -> None:
    needed = [(1, 0)]
    check([("+", 0, 0), ("+", 1, 1), ("-", 1, 1), ("-", 0, 0)], needed)
    for wrong in (
        [("+", 0, 0), ("+", 1, 1), ("-", 0, 0), ("-", 1, 1)],
        [("+", 0, 0), ("+", 1, 1), ("-", 1, 1)],
        [("+", 0, 0), ("-", 0, 0), ("-", 0, 0)],
    ):
        with pytest.raises(AssertionError):
            check(wrong, needed)
