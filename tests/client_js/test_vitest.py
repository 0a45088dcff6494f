"""The client's own tests, by file: each is a run of vitest."""

import pytest

from tests.client_js.building import CLIENT, run

FILES = sorted(file.relative_to(CLIENT).as_posix() for file in CLIENT.glob("tests/**/*.test.ts"))


def test_there_are_some() -> None:
    assert len(FILES) > 5


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_tests_passes(file: str) -> None:
    done = run("node_modules/vitest/vitest.mjs", "run", file)
    assert done.returncode == 0, done.stdout
    assert "Tests " in done.stdout
