"""Keys that are replaced: what was signed and sealed before stays good, and trust in the old key leads to the new."""

import os
from pathlib import Path

import msgspec
import pytest

from suyuan.carry import export_node, import_node
from suyuan.cli import run
from suyuan.formats.reading import open_documents
from suyuan.ledger.privacy import SealBroken
from suyuan.ledger.signer import Link, Signer, followed, trusted, verify
from suyuan.node import SECRETS, Node, NodeUnusable, rotate_seal_key, rotate_sign_key

PHARMACY = "P44010000002"


def test_the_new_key_is_signed_by_the_old_one_and_receipts_of_both_are_good(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    with Node.open(folder) as node:
        old, privacy = node.signer, node.privacy.keys()
        message = b"a receipt"
        signature = old.sign(message)
    assert run(["keys", "rotate", "sign", "--reason", "each year", "--dir", str(folder)]) == 0
    with Node.open(folder) as node:
        assert node.signer.public != old.public
        assert node.publics == [node.signer.public, old.public]
        assert trusted(node.sign_chain, old.public) == [old.public, node.signer.public]
        assert trusted(node.sign_chain, node.signer.public) == [node.signer.public], (
            "an old key follows from no new one"
        )
        assert any(verify(public, message, signature) for public in node.publics)
        assert node.privacy.keys() == privacy
        assert [line.reason for line in node.audit.lines()] == ["each year"]
    rotate_sign_key(folder, 5)
    with Node.open(folder) as node:
        assert len(trusted(node.sign_chain, old.public)) == 3


def test_a_chain_with_a_key_that_nobody_signed_is_trusted_only_up_to_there() -> None:
    first, second, stranger = Signer.new(), Signer.new(), Signer.new()
    chain = followed([], first, second, 7)
    forged = [*chain, Link(stranger.public, 9, stranger.sign(b"myself"))]
    assert trusted(forged, first.public) == [first.public, second.public]
    later = [chain[0], msgspec.structs.replace(chain[1], since=8)]
    assert trusted(later, first.public) == [first.public], "nor can the time be changed"
    assert trusted(chain, stranger.public) == [stranger.public]


def test_messages_sealed_before_and_after_are_opened_and_a_host_without_the_new_key_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    with Node.open(folder) as node:
        before = node.privacy
        _, first = before.seal(b"first")
    for version in ("2", "3"):
        assert rotate_seal_key(folder) == version
    with Node.open(folder) as node:
        _, second = node.privacy.seal(b"second")
        assert (node.privacy.unseal(first), node.privacy.unseal(second)) == (b"first", b"second")
        assert node.privacy.pseudonym("id:01:1") == before.pseudonym("id:01:1")
    with pytest.raises(SealBroken, match=r"sealed with key '3', and only keys 1 to 1.*copy secrets.json"):
        before.unseal(second)


def test_replaced_keys_go_with_an_export_and_the_mark_of_the_secrets_stays(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    upload = tmp_path / "a.csv"
    upload.write_text("kind,code,event_time\nsold,82345670000001000017,2026-03-01 10:00:00\n")
    with Node.open(folder) as node:
        mark = export_node(node, tmp_path / "before.zip").secrets_mark
    rotate_seal_key(folder)
    rotate_sign_key(folder, 5)
    with Node.open(folder) as node:
        for document in open_documents(upload, PHARMACY):
            node.take(document, PHARMACY)
        manifest = export_node(node, tmp_path / "after.zip", secrets=True)
        publics = node.publics
    assert manifest.secrets_mark == mark
    import_node(tmp_path / "twin", tmp_path / "after.zip")
    with Node.open(tmp_path / "twin") as twin:
        assert twin.publics == publics
        name = next(event.document for event in twin.journal.since(None, 10)[0] if event.document)
        assert twin.privacy.unseal(twin.journal.document(name) or b"") == upload.read_bytes()


def test_the_key_that_names_persons_is_not_replaced_and_a_wrong_or_lost_file_is_refused_with_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "node"
    with Node.open(folder):
        pass
    assert run(["keys", "rotate", "person", "--dir", str(folder)]) == 3
    assert "nobody would be known again" in capsys.readouterr().err
    (folder / SECRETS).rename(tmp_path / "aside")
    with pytest.raises(NodeUnusable, match=r"is missing beside a journal: restore it"):
        Node.open(folder)
    (folder / SECRETS).write_text('{"person_key": "c2hvcnQ=", "seal_key": "c2hvcnQ="}')
    with pytest.raises(NodeUnusable, match="restore it from its backup"):
        Node.open(folder)
    assert run(["keys", "rotate", "seal", "--dir", str(tmp_path / "nothing")]) == 3


def test_secrets_are_on_disk_under_their_name_and_a_full_disk_leaves_the_old_ones_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "node"
    Node.open(folder).close()
    synced: list[str] = []
    sync = os.fsync

    def noted(file: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{file}").readlink()))
        sync(file)

    def refused(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", noted)
    rotate_seal_key(folder)
    assert synced[-1] == str(folder), "or a loss of power could bring the old ones back"
    kept = (folder / SECRETS).read_bytes()
    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(NodeUnusable, match="No space left"):
        rotate_seal_key(folder)
    assert (folder / SECRETS).read_bytes() == kept
    assert not list(folder.glob(f".{SECRETS}.????????")), "no half of them lies about"
