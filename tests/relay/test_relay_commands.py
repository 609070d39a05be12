"""Registering a province and asking how the relay stands, of a node at rest and of one that is being served."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from story import catalogue

from suyuan.node import Node
from suyuan.relay.nation import provinces_of
from suyuan.simulation.federation import Federation


def suyuan(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "suyuan", *arguments], capture_output=True, text=True, check=False)


def test_a_province_gets_secrets_that_name_persons_as_the_nation_does(tmp_path: Path) -> None:
    folder, made = tmp_path / "nation", tmp_path / "44"
    with Node.open(folder) as node:
        name, public = node.privacy.pseudonym("id:01:1"), node.signer.public.hex()
    done = suyuan("relay", "register", "44", "--secrets", str(made), "--dir", str(folder))
    assert done.returncode == 0, done.stderr
    assert f'nation_key = "{public}"' in done.stdout
    with Node.open(made) as province:
        assert province.privacy.pseudonym("id:01:1") == name
        mine = province.signer.public
    with Node.open(folder) as node:
        assert provinces_of(node)["44"].keys == (mine,)
    again = suyuan("relay", "register", "44", "--secrets", str(made), "--dir", str(folder))
    assert again.returncode == 3
    assert "is not empty" in again.stderr
    wrong = suyuan("relay", "register", "44", "--key", "xyz", "--dir", str(folder))
    assert (wrong.returncode, "64 hexadecimal digits" in wrong.stderr) == (3, True)


@pytest.mark.slow
def test_a_nation_that_is_being_served_registers_too_and_hears_nobody_else(tmp_path: Path) -> None:
    with Federation(tmp_path, [], catalogue()) as federation:
        nation, key = federation.nation, "ab" * 32
        done = suyuan("relay", "register", "44", "--key", key, "--name", "Guangdong", "--dir", str(nation.folder))
        assert done.returncode == 0, done.stderr
        status = suyuan("relay", "status", "--format", "json", "--dir", str(nation.folder))
        [listed] = json.loads(status.stdout)["provinces"]
        assert (listed["province"], listed["name"], listed["slices"]) == ("44", "Guangdong", 0)
        headers = {"content-type": "application/x-suyuan-relay"}
        address = f"{nation.address}/relay/v1"
        assert httpx.post(address, content=b"nothing", headers=headers).status_code == 422
        assert httpx.post(address, content=b"").status_code == httpx.codes.UNSUPPORTED_MEDIA_TYPE
        assert "suyuan_relay_failing" in httpx.get(f"{nation.address}/metrics").text
