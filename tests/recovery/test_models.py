"""With all rules on nothing goes wrong in any order; without any one of them something does."""

import pytest

from tests.recovery import model
from tests.recovery.models.studies import STUDIES

SCOPES = [(name, scope) for name, study in STUDIES.items() for scope in study.small]
RULES = [(name, rule) for name, study in STUDIES.items() for rule in study.rules.__struct_fields__]


@pytest.mark.parametrize(("name", "scope"), SCOPES)
def test_nothing_goes_wrong(name: str, scope: str) -> None:
    study = STUDIES[name]
    result = study.check(study.small[scope])
    assert not result.counterexample, str(result.counterexample)
    assert result.exhausted
    assert result.judged


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_every_rule_is_needed(name: str, rule: str) -> None:
    study = STUDIES[name]
    result = study.check(study.small[study.shown_by[rule]], off=rule)
    assert result.counterexample, f"nothing goes wrong without {rule}"
    print(result.counterexample)  # noqa: T201 — what pytest -rP shows


def test_the_command_tells_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert model.main(["tokens"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tokens, tokens, small: 1099 states, 1700 steps, ")
    assert lines[1].startswith("tokens, without until_first_frame: the client's token is void")
    assert lines[-1].endswith("no surprise")
