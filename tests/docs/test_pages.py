from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks, pages
from tests.docs.running import Page

pytestmark = [pytest.mark.anyio, pytest.mark.long(30)]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
async def test_every_block_of_a_page_does_what_the_page_says(page: Path, tmp_path: Path) -> None:
    await Page(blocks(page), tmp_path).run()
