"""Fixtures of these tests."""

import pytest

from tests.behaviours.chat import DOORS, Door


@pytest.fixture(params=DOORS, ids=[door.name for door in DOORS])
def door(request: pytest.FixtureRequest) -> Door:
    if "wsproto" in request.param.name:
        pytest.importorskip("wsproto", reason="an extra of uvicorn")
    found: Door = request.param
    return found
