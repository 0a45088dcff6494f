"""The types of the client: they pass `tsc --strict`, and it finds every misuse."""

import pytest

from tests.client_js.building import CLIENT, run

TSC = "node_modules/typescript/bin/tsc"
MISUSES = CLIENT / "tests" / "types" / "chat.ts"


@pytest.mark.parametrize(
    "project",
    [
        "tsconfig.json",
        "tests/tsconfig.json",
        # What is shipped, as a page's program sees it, and one for Node.
        "tests/types/tsconfig.json",
        "tests/types/tsconfig.node.json",
    ],
)
def test_the_types_are_right(project: str) -> None:
    done = run(TSC, "--project", project)
    assert done.returncode == 0, done.stdout


def test_every_misuse_is_expected_to_be_one() -> None:
    assert MISUSES.read_text(encoding="utf-8").count("// @ts-expect-error") >= 18
