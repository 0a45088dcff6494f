"""Servers of Node and one of ours in a cluster; the scenarios are in tests/bridges/js."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests._support.redises import redis_server
from tests._support.server import launch_uvicorn
from tests.interop.node import JS as CLIENTS
from tests.interop.node import Report, Scenarios, Variant, install, run_scenarios, scenarios_of

JS = Path(__file__).parent / "js"

FILES = ["rooms.js", "acks.js", "sockets.js", "servers.js", "emitters.js"]
WEBSOCKET = {"transports": ["websocket"]}

# The setting of Node's servers `publishOnSpecificResponseChannel`, both ways.
VARIANTS = [Variant("shared answers", FILES, WEBSOCKET), Variant("own answers", FILES, WEBSOCKET)]

Run = Callable[[Variant], Scenarios]


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs the scenarios of a variant once, those whose tests are selected."""
    install(CLIENTS)
    install(JS)
    selected: dict[str, list[str]] = {}
    for item in request.session.items:
        params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        if item.path == Path(__file__) and "scenario" in params:
            selected.setdefault(params["variant"].name, []).append(params["scenario"])
    done: dict[str, Scenarios] = {}
    output: list[str] = []

    def run_variant(variant: Variant) -> Scenarios:
        if variant.name not in done:
            failed = Report("", ok=False, detail="the run of this variant failed")
            names = selected[variant.name]
            done[variant.name] = dict.fromkeys(names, failed)
            with (
                redis_server() as redis,
                launch_uvicorn("tests.bridges.gateways:app", env={"REDIS_URL": redis.url}) as ours,
            ):
                more = {"redis": redis.url, "specific": variant.name == "own answers"}
                done[variant.name] = run_scenarios(variant, names, ours.url, _nothing, JS, **more)
                output.append(ours.output)
        return done[variant.name]

    yield run_variant
    for each in output:
        assert "Traceback" not in each, each
        assert "refused" not in each, each


def _nothing(what: str) -> None:
    raise AssertionError(f"{what!r} was asked of a server that all share")


@pytest.mark.parametrize(
    ("variant", "scenario"),
    [
        pytest.param(variant, name, id=f"{variant.name}: {name}")
        for variant in VARIANTS
        for name in scenarios_of(variant, JS)
    ],
)
def test_scenario(variant: Variant, scenario: str, run: Run) -> None:
    report = run(variant)[scenario]
    if not report.ok:
        pytest.fail(report.detail, pytrace=False)
