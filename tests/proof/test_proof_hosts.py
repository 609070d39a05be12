"""Hosts on one database: one keeps the sealed record, and no two ever sign what contradicts; keys follow each other."""

import json
import shutil
from pathlib import Path

import psycopg
import pytest
from proven_node import PHARMACY, Clock, key, opened, sealed_node, sell

from suyuan.cli import run
from suyuan.node import SECRETS, Node, rotate_sign_key
from suyuan.proof.checkpoints import CheckpointRefused
from suyuan.proof.verifier import ED25519, Key, ProofWrong, verify_file


def host(folder: Path, database: str, other: Path | None = None) -> Node:
    """A node's folder on the database; the second host has the secrets of the first."""
    folder.mkdir(exist_ok=True)
    (folder / "suyuan.toml").write_text(f'database = "{database}"\nblock_cache_mb = 8\n', encoding="utf-8")
    if other is not None:
        shutil.copy(other / SECRETS, folder / SECRETS)
    return Node.open(folder, Clock())


def test_of_two_hosts_one_signs_and_the_other_says_where_the_record_is(database: str, tmp_path: Path) -> None:
    with host(tmp_path / "one", database) as one:
        sell(one, *range(1, 6))
        one.lake.seal(workers=0)
        one.checkpoint()
        sell(one, *range(6, 9))
        with host(tmp_path / "two", database, tmp_path / "one") as two:
            assert one.keeps_record()
            assert not two.keeps_record()
            assert two.seal_in_time() == 0
            two.lake.seal(workers=0)  # in one piece, where the first host has cut
            with pytest.raises(CheckpointRefused, match="another host of this database"):
                two.checkpoint()
            assert two.checkpoints.latest() is None
            one.lake.seal(workers=0)
            assert one.checkpoint() == one.checkpoints.latest()
            # Brought from the first host, the record goes on here.
            for name in ("lake", "checkpoints"):
                shutil.rmtree(tmp_path / "two" / name, ignore_errors=True)
                shutil.copytree(tmp_path / "one" / name, tmp_path / "two" / name)
        with host(tmp_path / "two", database) as two:
            assert two.keeps_record()
            sell(two, 9)
            two.lake.seal(workers=0)
            signed = two.checkpoint()
            assert signed is not None
            assert signed.segments == 3
        assert not one.keeps_record()


def test_a_host_that_does_not_keep_the_record_seals_for_questions_and_says_so(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with host(tmp_path / "one", database) as one:
        sell(one, 1, 2)
    seal = ["lake", "seal", "--workers", "0", "--format", "json", "--dir"]
    assert run([*seal, str(tmp_path / "one")]) == 0
    assert json.loads(capsys.readouterr().out)["signed"]
    with host(tmp_path / "two", database, tmp_path / "one") as two:
        sell(two, 3)
    assert run([*seal, str(tmp_path / "two")]) == 0
    told = capsys.readouterr()
    assert not json.loads(told.out)["signed"]
    assert json.loads(told.out)["sealed"] > 0
    assert "sealed for questions, and not signed: another host of this database" in told.err
    shutil.rmtree(tmp_path / "one" / "lake")  # what the keeper itself has lost is something else
    assert run([*seal, str(tmp_path / "one")]) == 3
    assert "another host" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_record_in_a_database_is_looked_at_like_any_other(database: str, tmp_path: Path) -> None:
    with host(tmp_path / "one", database) as node:
        sell(node, *range(1, 20))
        node.lake.seal(workers=0)
        node.checkpoint()
        seen = node.verify_record()
        assert seen.findings == []
        assert seen.events > 40
        [event] = node.journal.fetch([key(7)])[key(7)].events
        place = node.prover.place_of(event)
        assert place is not None
        told = verify_file(node.prover.proof([place], node.checkpoints.latest()))
        assert told.records[0].actor == PHARMACY
        changed = alter(database, PHARMACY.encode(), b"P44010000002", key(7))
        assert changed
        found = [str(finding) for finding in node.verify_record().findings]
        assert any(key(7) in each and "altered" in each for each in found), found


def alter(database: str, old: bytes, new: bytes, changed: str) -> int:
    """Rewrite bytes in every row of every table that holds this key and the old bytes; answers how many rows."""
    rows = 0
    with psycopg.connect(database, autocommit=True) as connection:
        columns = connection.execute(
            "SELECT table_schema, table_name, column_name FROM information_schema.columns "
            "WHERE data_type = 'bytea' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table, column in columns:
            name = psycopg.sql.Identifier(schema, table)
            field = psycopg.sql.Identifier(column)
            found = connection.execute(
                psycopg.sql.SQL("SELECT ctid::text, {} FROM {} WHERE position(%s::bytea in {}) > 0").format(
                    field, name, field
                ),
                [changed.encode()],
            ).fetchall()
            for place, value in found:
                at = bytes(value).find(old, bytes(value).find(changed.encode()))
                if at < 0:
                    continue
                altered = bytes(value)[:at] + new + bytes(value)[at + len(old) :]
                connection.execute(
                    psycopg.sql.SQL("UPDATE {} SET {} = %s WHERE ctid = %s::tid").format(name, field), [altered, place]
                )
                rows += 1
    return rows


def test_who_trusts_the_key_before_a_rotation_trusts_what_is_signed_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    sealed_node(folder)
    with opened(folder) as node:
        before = Key(ED25519, node.signer.public)
    rotate_sign_key(folder, 1_773_000_500_000_000)
    with opened(folder) as node:
        after = Key(ED25519, node.signer.public)
        sell(node, 40)
        node.lake.seal(workers=0)
        node.checkpoint()
        [event] = node.journal.fetch([key(3)])[key(3)].events
        place, old = node.prover.place_of(event), node.checkpoints.read(1)
        assert place is not None
        file = node.prover.proof([place], node.checkpoints.latest())
        growth = node.prover.growth(old, node.checkpoints.read(4))
        assert node.verify_record().findings == []
    assert after != before
    for trusted in (before, after):
        assert verify_file(file, trusted).key == after
    assert old.note.is_by(before)
    assert verify_file(growth, before).old == old
    with pytest.raises(ProofWrong, match=r"old_checkpoint.*does not follow"):  # a newer key vouches for none before it
        verify_file(growth, after)
    with pytest.raises(ProofWrong, match="does not follow"):
        verify_file(file, Key(ED25519, bytes(32)))
