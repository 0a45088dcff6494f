"""The driver of the JavaScript clients reports what goes wrong: else no scenario could fail."""

from tests._support.server import Url
from tests.interop.node import Report, Variant, install, run_scenarios, scenarios_of

DRIVER = Variant("driver", ["driver.js"], {}, alone=True, patience=50)


def reports(*names: str) -> dict[str, Report]:
    install()
    return run_scenarios(DRIVER, names, Url("http://127.0.0.1:1"), lambda _: None)


def test_the_names_are_read_from_the_files() -> None:
    assert list(scenarios_of(DRIVER)) == ["passes", "fails", "hangs", "breaks the driver"]


def test_each_scenario_is_reported_by_itself() -> None:
    passes, fails, hangs = reports("passes", "fails", "hangs").values()
    assert passes == Report("passes", ok=True)
    assert not fails.ok
    assert "1 !== 2" in fails.detail
    assert not hangs.ok
    assert "not done; last: begun" in hangs.detail


def test_an_error_outside_of_a_scenario_fails_what_was_not_done() -> None:
    found = reports("passes", "breaks the driver", "fails")
    assert found["passes"].ok
    for name in ("breaks the driver", "fails"):
        assert not found[name].ok
        assert "outside of every scenario" in found[name].detail


def test_a_name_without_a_scenario_fails() -> None:
    assert not reports("of nothing")["of nothing"].ok
