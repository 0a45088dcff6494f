"""socket.io-client from npm against our door; the scenarios are in tests/interop/js."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.doors import OURS, Server
from tests.interop.node import Report, Scenarios, Variant, install, run_scenarios, scenarios_of

COMMON = ["connecting.js", "events.js", "order.js", "binary.js", "rooms.js", "ending.js"]
WEBSOCKET = {"transports": ["websocket"]}
POLLING = {"transports": ["polling"]}

VARIANTS = [
    Variant("websocket", [*COMMON, "pings.js", "websocket.js"], WEBSOCKET),
    Variant("polling", [*COMMON, "pings.js", "polling.js"], POLLING),
    Variant("upgrade", [*COMMON, "pings.js", "upgrade.js"], {}),
    Variant("msgpack", COMMON, WEBSOCKET, door="/msgpack", msgpack=True),
    Variant("recovery, websocket", ["recovery.js"], WEBSOCKET, door="/recovery"),
    Variant("recovery, polling", ["recovery.js"], POLLING, door="/recovery"),
    Variant("recovery, upgrade", ["recovery.js"], {}, door="/recovery"),
    Variant(
        "recovery, msgpack", ["recovery.js"], WEBSOCKET, door="/recovery-msgpack", msgpack=True
    ),
    Variant("ours, websocket", [*COMMON, "pings.js", "websocket.js"], WEBSOCKET, ws=OURS),
    Variant("ours, upgrade", ["order.js", "binary.js", "upgrade.js"], {}, ws=OURS),
    Variant("ours, recovery", ["recovery.js"], WEBSOCKET, door="/recovery", ws=OURS),
    Variant("losing", ["losing.js"], {}, alone=True),
]

Run = Callable[[Variant], Scenarios]


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """Runs the scenarios of a variant once, those whose tests are selected."""
    install()
    selected: dict[str, list[str]] = {}
    for item in request.session.items:
        params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        if "scenario" in params:
            selected.setdefault(params["variant"].name, []).append(params["scenario"])
    done: dict[str, Scenarios] = {}

    def run_variant(variant: Variant) -> Scenarios:
        if variant.name not in done:
            # Failed until it is done: nobody waits twice for what does not end.
            failed = Report(
                "", ok=False, detail="the run of this variant failed; see its first test"
            )
            names = selected[variant.name]
            done[variant.name] = dict.fromkeys(names, failed)
            if variant.alone:
                with Server(variant.ws) as frail:
                    done[variant.name] = run_scenarios(variant, names, frail.url, frail.do)
                frail.check()
            else:
                fixture = "fast_server" if variant.ws == OURS else "server"
                server: Server = request.getfixturevalue(fixture)
                done[variant.name] = run_scenarios(variant, names, server.url, _refuse)
        return done[variant.name]

    return run_variant


def _refuse(what: str) -> None:
    raise AssertionError(f"{what!r} was asked of a server that all share")


@pytest.mark.parametrize(
    ("variant", "scenario"),
    [
        pytest.param(variant, name, id=f"{variant.name}: {name}")
        for variant in VARIANTS
        for name in scenarios_of(variant)
    ],
)
def test_scenario(variant: Variant, scenario: str, run: Run) -> None:
    report = run(variant)[scenario]
    if not report.ok:
        pytest.fail(report.detail, pytrace=False)


def test_the_servers_have_nothing_to_complain_about(
    run: Run, server: Server, fast_server: Server
) -> None:
    server.check()
    fast_server.check()
