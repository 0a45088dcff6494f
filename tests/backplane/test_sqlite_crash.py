"""A process that is killed while it publishes: what it was told is there, and numbers go on."""

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gatewright.backplane import SQLite
from tests.backplane.lanes import Client, heard, key, started

pytestmark = pytest.mark.anyio

# Says each number only when it was told it, on a pipe that outlives it.
PUBLISHER = """
import asyncio, itertools, os, sys
from gatewright.backplane import SQLite
from tests.backplane.lanes import Client, Lane

async def main():
    backplane = SQLite(sys.argv[1])
    await backplane.start(Lane())
    clients = [await Client.open(backplane, "lobby", id=f"~{who}") for who in range(8)]

    async def publish(client):
        for index in itertools.count():
            seq = await client.say([client.id, index], rooms=("lobby",))
            os.write(1, f"{seq} {client.id} {index}\\n".encode())
            if index % 10 == 9:
                await client.backplane.save("/a", client.id, b"%d" % index)
                os.write(1, f"saved {client.id} {index}\\n".encode())

    await asyncio.gather(*map(publish, clients))

asyncio.run(main())
"""


@pytest.mark.parametrize("run", range(3))
async def test_everything_that_was_acknowledged_survives_a_kill(tmp_path: Path, run: int) -> None:
    path = tmp_path / "kept.db"
    told: dict[int, list[object]] = {}
    saved: dict[str, int] = {}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUBLISHER, path, stdout=subprocess.PIPE, limit=2**20
    )
    assert process.stdout is not None
    enough = random.Random(run).randrange(200, 600)
    try:
        async with asyncio.timeout(30):
            while len(told) < enough:
                note(await process.stdout.readline(), told, saved)
            process.send_signal(signal.SIGKILL)
            # What it wrote to the pipe before it died was acknowledged, too.
            while line := await process.stdout.readline():
                note(line, told, saved)
    except BaseException:
        process.kill()
        raise
    finally:
        ended = await process.wait()
    assert ended == -signal.SIGKILL
    async with started(backplane := SQLite(path)) as lane:
        head = await backplane.position("/a")
        ana = Client(backplane, "~0", head)
        ana.after = None
        resumption = await ana.resume()
        assert not resumption.gaps
        kept = {seq: each.outgoing.data for seq, each in resumption.entries}
        # Nothing that was told is missing, no number means anything else than it did.
        assert {seq: kept.get(seq) for seq in told} == told
        assert list(kept) == list(range(1, head.seq + 1))
        # Each publisher had at most one publication under way.
        assert head.seq <= max(told) + 8
        for who in range(8):
            record = await backplane.find("/a", key(f"~{who}"))
            assert record is not None
            assert record.rooms == ("lobby",)
            assert int(record.state or b"-1") >= saved.get(f"~{who}", -1)
        following = await ana.say("after", rooms=("lobby",))
        assert following == head.seq + 1
        assert lane.heard("/a") == [(following, "after")]
        assert heard(await ana.resume())[-1] == "after"


def note(line: bytes, told: dict[int, list[object]], saved: dict[str, int]) -> None:
    if not line.endswith(b"\n"):
        return
    seq, who, index = line.split()
    if seq == b"saved":
        saved[who.decode()] = int(index)
    else:
        told[int(seq)] = [who.decode(), int(index)]
