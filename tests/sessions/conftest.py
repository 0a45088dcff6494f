"""The ways that uvicorn reads and writes frames, and the two wire formats."""

import pytest

from tests.behaviours.chat import DOORS, Door
from tests.sessions.client import Format


@pytest.fixture(params=DOORS, ids=[door.name for door in DOORS])
def door(request: pytest.FixtureRequest) -> Door:
    if "wsproto" in request.param.name:
        pytest.importorskip("wsproto", reason="an extra of uvicorn")
    found: Door = request.param
    return found


@pytest.fixture(params=["json", "msgpack"])
def wire(request: pytest.FixtureRequest) -> Format:
    found: Format = request.param
    return found
