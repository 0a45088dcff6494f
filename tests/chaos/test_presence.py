"""A short run of `make presence`."""

import pytest

from tests.chaos import presence

pytestmark = pytest.mark.anyio


@pytest.mark.timeout(180)
async def test_all_see_the_same_after_each_trouble() -> None:
    outcome = await presence.run(presence.Plan(people=12, cuts=4))
    assert outcome.good, str(outcome)
    assert outcome.moved or outcome.parted
