"""The control door: of several servers of one folder one has it, and when that one is gone another."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from suyuan.node import Node
from suyuan.portals.control import Asked, Control, Given, NobodyThere
from suyuan.portals.once import FolderTurn, Once
from suyuan.portals.site import Site


def door(site: Site, number: int) -> Once:
    async def who(_: Site, __: Mapping[str, Any]) -> Given:
        return Given({"who": number})

    return Once(FolderTurn(site.node.folder / ".turn.control"), [Control(site, {"who": who})])


async def asked(folder: Path) -> int:
    def ask() -> int:
        with Asked(folder, "who") as answer:
            return int(answer["who"])

    return await asyncio.to_thread(ask)


async def answers_otherwise(folder: Path, gone: int) -> int:
    for _ in range(500):
        try:
            if (found := await asked(folder)) != gone:
                return found
        except NobodyThere:
            pass
        await asyncio.sleep(0.02)
    raise AssertionError("nobody took the door over")


def test_of_servers_that_start_at_once_one_has_the_door_and_when_it_ends_another(tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        doors = [door(Site(node), number) for number in range(6)]
        await asyncio.gather(*(one.start() for one in doors))
        first = await asked(node.folder)
        assert {await asked(node.folder) for _ in range(6)} == {first}
        for number, one in enumerate(doors):
            if number not in {first, (first + 1) % 6}:
                await one.stop()  # who has it not takes nothing away
        assert await asked(node.folder) == first
        await doors[first].stop()
        assert await answers_otherwise(node.folder, first) == (first + 1) % 6
        await doors[(first + 1) % 6].stop()
        with pytest.raises(NobodyThere):
            await asked(node.folder)

    with Node.open(tmp_path / "node") as node:
        asyncio.run(story(node))


KILLED = """
import os, socket, sys
from pathlib import Path
from suyuan.portals.once import FolderTurn
from suyuan.portals.control import _listening
folder = Path(sys.argv[1])
assert FolderTurn(folder / ".turn.control").take()
opened = _listening(folder)
os.kill(os.getpid(), 9)
"""


def test_the_door_of_a_server_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        mine = door(Site(node), 7)
        await mine.start()
        assert await asked(node.folder) == 7
        await mine.stop()

    with Node.open(tmp_path / "node") as node:
        subprocess.run([sys.executable, "-c", KILLED, node.folder], check=False)
        assert (node.folder / "control.sock").is_socket()
        asyncio.run(story(node))
