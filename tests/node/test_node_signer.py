"""The key that signs: made once, kept beside the other secrets, carried with them, and never replaced in silence."""

import json
import zipfile
from pathlib import Path

import pytest

from suyuan.carry import export_node, import_node
from suyuan.ledger.signer import Signer, key_name, verify
from suyuan.node import SECRETS, Node, NodeUnusable, place_secrets


def test_a_signature_holds_for_its_message_and_its_key_alone() -> None:
    signer, other = Signer.new(), Signer.new()
    signature = signer.sign(b"one box")
    assert verify(signer.public, b"one box", signature)
    assert not verify(signer.public, b"one bux", signature)
    assert not verify(other.public, b"one box", signature)
    assert not verify(b"no key", b"one box", signature)
    assert key_name(signer.public) != key_name(other.public)


def test_a_new_folder_has_its_key_and_keeps_it(tmp_path: Path) -> None:
    with Node.open(tmp_path / "node") as node:
        public = node.signer.public
    with Node.open(tmp_path / "node") as node:
        assert node.signer.public == public
    assert (tmp_path / "node" / SECRETS).stat().st_mode & 0o077 == 0


def test_a_folder_from_before_there_was_one_gets_it_once_and_loses_nothing(tmp_path: Path) -> None:
    with Node.open(tmp_path / "node") as node:
        keys = node.privacy.keys()
    path = tmp_path / "node" / SECRETS
    old = {name: value for name, value in json.loads(path.read_text()).items() if name != "sign_key"}
    path.write_text(json.dumps(old))
    with Node.open(tmp_path / "node") as node:
        assert node.privacy.keys() == keys
        assert json.loads(path.read_text()) == old, "nothing is written before it is needed"
        public = node.signer.public
    with Node.open(tmp_path / "node") as node:
        assert (node.privacy.keys(), node.signer.public) == (keys, public)
    assert path.stat().st_mode & 0o077 == 0


def test_a_broken_key_is_told_and_not_replaced(tmp_path: Path) -> None:
    with Node.open(tmp_path / "node"):
        pass
    path = tmp_path / "node" / SECRETS
    broken = {**json.loads(path.read_text()), "sign_key": "c2hvcnQ="}
    path.write_text(json.dumps(broken))
    with Node.open(tmp_path / "node") as node, pytest.raises(NodeUnusable, match="restore it from its backup"):
        _ = node.signer
    assert json.loads(path.read_text()) == broken


def test_an_export_with_secrets_carries_the_key_and_one_without_does_not(tmp_path: Path) -> None:
    with Node.open(tmp_path / "node") as node:
        public, keys = node.signer.public, node.privacy.keys()
        export_node(node, tmp_path / "all.zip", secrets=True)
        export_node(node, tmp_path / "plain.zip")
    import_node(tmp_path / "twin", tmp_path / "all.zip")
    with Node.open(tmp_path / "twin") as node:
        assert (node.signer.public, node.privacy.keys()) == (public, keys)
    with zipfile.ZipFile(tmp_path / "plain.zip") as archive:
        assert "secrets" not in archive.namelist()


def test_secrets_of_an_older_export_are_placed_and_the_key_is_made_when_it_is_needed(tmp_path: Path) -> None:
    keys = bytes(range(48))
    (tmp_path / "node").mkdir()
    place_secrets(tmp_path / "node", keys)
    with Node.open(tmp_path / "node") as node:
        assert b"".join(node.privacy.keys()) == keys
        assert node.signer.sign(b"x")
