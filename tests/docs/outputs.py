"""Compares what was printed with what a page says."""

import re

__all__ = ["check_output"]


def check_output(expected: str, got: str, where: str) -> None:
    """Fail unless both are the same text; `…` in the expected one stands for anything."""
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("…"))
    assert re.fullmatch(pattern, got.strip(), re.DOTALL), (
        f"{where}: the page says\n{expected}\nbut it was\n{got}"
    )
