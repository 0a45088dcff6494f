"""The measuring itself works."""

import pytest

from tests._support.natses import shared_server
from tests.backplane.nats_rate import rate

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("batch", [1, 100])
async def test_what_is_appended_is_counted_and_heard(batch: int) -> None:
    messages, each, done, heard = await rate(shared_server(), "file", batch, 3, 0.05)
    assert messages > 0
    assert each > 0
    assert heard == done > 0
