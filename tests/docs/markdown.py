"""Finds the code blocks of a Markdown page."""

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["ROOT", "Block", "blocks", "pages"]

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r'( *)```(?:(\w+)(?: title="([^"]+)")?)?')


class Block(NamedTuple):
    """One fenced block; `line` is the page's line on which its code begins, counted from 1."""

    language: str
    title: str | None
    code: str
    page: Path
    line: int

    def __str__(self) -> str:
        inside = self.page.is_relative_to(ROOT)
        page = self.page.relative_to(ROOT) if inside else self.page.name
        return f"{page}, line {self.line}"


def pages() -> list[Path]:
    """README.md and every page under docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page; raises ValueError for a fence that is not understood."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    numbers = iter(range(len(lines)))
    for opening in numbers:
        if "```" not in lines[opening]:
            continue
        where = f"{page}, line {opening + 1}"
        match = _FENCE.fullmatch(lines[opening])
        if match is None or match[2] is None:
            raise ValueError(f'{where}: expected ```language or ```language title="name"')
        code: list[str] = []
        for number in numbers:
            if lines[number].strip() == "```":
                break
            code.append(lines[number].removeprefix(match[1]))
        else:
            raise ValueError(f"{where}: expected a closing fence before the page's end")
        found.append(Block(match[2], match[3], "\n".join(code), page, opening + 2))
    return found
