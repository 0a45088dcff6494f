"""The measuring itself works."""

import pytest

from tests._support.redises import shared_server
from tests.backplane.redis_rate import rate

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("batch", [1, 100])
async def test_what_is_appended_is_counted_and_heard(batch: int) -> None:
    rate_, _, done, heard = await rate(shared_server().url, batch, 3, 0.05, lambda: 0.0)
    assert rate_ > 0
    assert heard == done > 0
