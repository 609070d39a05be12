"""A proof file proves what it says to anybody with the public key, and no byte of it can change unseen."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gmssl_pyx
import msgspec
import pytest
from sealed_record import CLINIC, PHARMACY, SALT_KEY, SM2_PRIVATE, SmallRecord, sale

from suyuan.ledger.events import decoder
from suyuan.ledger.signer import Signer, followed
from suyuan.ledger.sm2 import new_sm2_key, public_of, sign_sm2
from suyuan.proof import verifier
from suyuan.proof.checkpoints import CheckpointRefused, Checkpoints, Hand, origin_of, promised
from suyuan.proof.verifier import ED25519, SM2, Key, ProofWrong, in_words, read_checkpoint, read_key, verify_file

SIGNER = Signer(b"\x01" * 32)
KEY = Key(ED25519, SIGNER.public)
SALES = [sale(number, CLINIC if number == 4 else PHARMACY) for number in range(1, 12)]


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.fixture
def record(tmp_path: Path) -> SmallRecord:
    made = SmallRecord(tmp_path / "checkpoints", [SIGNER], SM2_PRIVATE)
    made.seal(SALES[:5])
    made.seal(SALES[5:6])
    made.seal(SALES[6:])
    return made


@pytest.mark.parametrize("at", range(len(SALES)))
def test_every_record_is_proven_by_the_file_and_the_key(record: SmallRecord, at: int) -> None:
    told = verify_file(record.proof(SALES[at]), KEY)
    (proven,) = told.records
    assert (proven.what, proven.key, proven.number) == ("sale", SALES[at].key, at)
    assert (proven.event_time, proven.arrived) == (SALES[at].event_time, SALES[at].arrived)
    assert proven.actor == ("" if SALES[at].actor == CLINIC else PHARMACY)
    assert told.trusted
    assert told.checkpoint is not None
    assert told.checkpoint.events == len(SALES)


def test_a_file_tells_nothing_personal_and_opens_only_what_it_was_asked_to(record: SmallRecord) -> None:
    hidden = SALES[3]
    plain, placed, whole = (
        record.proof(hidden),
        record.proof(hidden, open_places=True),
        record.proof(hidden, open_whole=True),
    )
    for private in (hidden.person, hidden.prescriber, hidden.document, "S0004", CLINIC, "320102"):
        assert private.encode() not in plain
    assert verify_file(plain, KEY).records[0][4:6] == ("", "")
    assert verify_file(placed, KEY).records[0][4:6] == (CLINIC, "320102")
    assert hidden.person.encode() not in placed
    assert decoder.decode(verify_file(whole, KEY).records[0].whole) == hidden


def flipped(good: bytes, start: int = 0, end: int | None = None) -> set[str]:
    """The parts that are named when one bit is flipped, in every byte from start to end."""
    parts = set()
    for at in range(start, len(good) if end is None else end):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 7
        with pytest.raises(ProofWrong) as wrong:
            verify_file(bytes(bad), KEY)
        parts.add(wrong.value.part)
    return parts


def test_any_byte_that_is_flipped_is_found_and_its_part_named(tmp_path: Path) -> None:
    record = SmallRecord(tmp_path / "checkpoints", [SIGNER])
    for number in range(3):
        record.seal(SALES[3 * number : 3 * number + 4])
    parts = flipped(record.proof(SALES[3], open_places=True, open_whole=True))
    opened = {"records[0].leaf", "records[0].place", "records[0].whole", "records[0].segment"}
    assert {"file", "checkpoint", "keys[0]"} | opened <= parts
    growth = record.prover.growth(record.checkpoints.read(1), record.checkpoints.read(3))
    told = verify_file(growth, KEY)
    assert told.old is not None
    assert told.checkpoint is not None
    assert (told.old.segments, told.checkpoint.segments) == (1, 3)
    assert {"old_checkpoint", "checkpoint", "path", "keys[0]", "file"} <= flipped(growth)


def test_any_byte_of_a_second_signature_or_its_key_that_is_flipped_is_found(record: SmallRecord) -> None:
    good = record.proof(SALES[3])
    line, key = good.rindex("\u2014".encode()), good.index(b'"sm2_key"')
    step = 1 if os.environ.get("SUYUAN_LONG") else 12
    parts = set()
    for at in range(line, line + 130, step):
        parts |= flipped(good, at, at + 1)
    assert parts <= {"checkpoint", "file"}
    assert "checkpoint" in parts
    parts = set()
    for at in range(key, len(good), step):
        parts |= flipped(good, at, at + 1)
    assert parts <= {"sm2_key", "file", "checkpoint"}
    assert "sm2_key" in parts


@pytest.mark.parametrize("hidden", [False, True])
def test_a_promise_is_signed_word_and_no_byte_of_it_can_change(record: SmallRecord, *, hidden: bool) -> None:
    waiting = sale(50)
    note = promised(waiting, "suyuan/test", record.hands[:1], waiting.arrived, hidden=hidden)
    alone = record.prover.proof([], None, [note])
    [promise] = verify_file(alone, KEY).promises
    assert promise[:4] == ("sale", waiting.key, waiting.event_time, waiting.arrived)
    assert promise[4:6] == (("", "") if hidden else (PHARMACY, "320102"))
    assert "not sealed yet" in "\n".join(in_words(verify_file(alone, KEY)))
    assert waiting.person not in note
    assert "promises[0]" in flipped(alone, 0, len(alone) - 300)
    place = record.prover.place_of(SALES[0])
    assert place is not None
    both = verify_file(record.prover.proof([place], record.checkpoints.latest(), [note]), KEY)
    assert (len(both.records), len(both.promises)) == (1, 1)
    other = Key(ED25519, bytes(32))
    with pytest.raises(ProofWrong, match="does not follow from the one you gave"):
        verify_file(alone, other)


def test_a_file_put_together_from_two_is_refused(record: SmallRecord, tmp_path: Path) -> None:
    one, other = json.loads(record.proof(SALES[0])), json.loads(record.proof(SALES[10]))
    for swapped in ("leaf", "path", "segment", "segment_path", "index"):
        mixed = json.loads(json.dumps(one))
        mixed["records"][0][swapped] = other["records"][0][swapped]
        if mixed != one:
            with pytest.raises(ProofWrong, match="altered"):
                verify_file(verifier.written(mixed), KEY)
    elsewhere = SmallRecord(tmp_path / "elsewhere", [Signer(b"\x02" * 32)])
    elsewhere.seal(SALES)
    with pytest.raises(ProofWrong, match="does not follow from the one you gave"):
        verify_file(elsewhere.proof(SALES[0]), KEY)
    assert not verify_file(elsewhere.proof(SALES[0])).trusted


def test_nothing_in_a_file_is_shown_twice_or_passed_over(record: SmallRecord) -> None:
    def changed(good: bytes, **more: object) -> bytes:
        return verifier.written(json.loads(good) | more)

    good = record.proof(SALES[0])
    told = json.loads(good)
    note = promised(sale(50), "suyuan/test", record.hands[:1], SALES[0].arrived, hidden=False)
    promise = record.prover.proof([], None, [note])
    growth = record.prover.growth(record.checkpoints.read(1), record.checkpoints.read(3))
    for bad, part in (
        (changed(good, records=told["records"] * 2), r"records\[1\]"),
        (changed(promise, promises=json.loads(promise)["promises"] * 2), r"promises\[1\]"),
        (changed(growth, records=told["records"]), "'records' does not belong here"),
        (changed(promise, records=told["records"]), "'records' does not belong here"),
        (changed(good, path=[]), "'path' does not belong here"),
    ):
        with pytest.raises(ProofWrong, match=part):
            verify_file(bad, KEY)


def test_a_file_that_would_only_keep_its_reader_busy_is_refused(
    record: SmallRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def signed(public: bytes, *_: object) -> bool:
        asked.append(public)
        return True

    monkeypatch.setattr(verifier, "signed_sm2", signed)
    made_up = Signer(b"\x09" * 32)
    sm2 = Key(SM2, public_of(SM2_PRIVATE))
    line = verifier.signature_line("suyuan/test", sm2, bytes(64)).removesuffix("\n")
    good = json.loads(record.proof(SALES[0]))
    note = promised(sale(50), "suyuan/test", [Hand(Key(ED25519, made_up.public), made_up.sign)], 1, hidden=False)
    stranger = [*note.removesuffix("\n").split("\n"), line]
    for more, part in (
        ({"promises": [[*stranger, *[line] * 5]]}, r"promises\[0\]: it has 7 signatures"),
        ({"promises": [stranger] * 100}, r"promises\[1\]: it is promises\[0\] once more"),
        ({"promises": [stranger]}, r"promises\[0\]"),
        ({"keys": good["keys"] * 1001}, "keys: there are 1001"),
    ):
        with pytest.raises(ProofWrong, match=part):
            verify_file(verifier.written(good | more), KEY)
    assert not asked


def test_a_checkpoint_that_others_dated_back_proves_no_growth(record: SmallRecord) -> None:
    forger, old, new = Signer(b"\x09" * 32), record.checkpoints.read(1), record.checkpoints.read(3)
    growth = json.loads(record.prover.growth(old, new))
    text = old.note.text.replace(old.time, "2001-01-01T00:00:00Z")
    line = verifier.signature_line("suyuan/test", key := Key(ED25519, forger.public), forger.sign(text.encode()))
    growth["old_checkpoint"] = f"{text}\n{line}".splitlines()
    chain = followed([], forger, SIGNER, 1)
    growth["keys"] = [
        {"public": encoded(link.public), "since": link.since, "signature": encoded(link.signature)} for link in chain
    ]
    assert verify_file(verifier.written(growth), key).old is not None
    with pytest.raises(ProofWrong, match="old_checkpoint: it is signed, but by a key that does not follow"):
        verify_file(verifier.written(growth), KEY)


def test_what_no_node_could_have_written_is_told_in_words(record: SmallRecord) -> None:
    good = record.proof(SALES[0])
    forged = json.loads(good)
    forged["keys"].append({**forged["keys"][0], "since": 1 << 64})
    for bad in (good.replace(b'"leaf": "', b'"leaf": "\\ud800'), verifier.written(forged)):
        with pytest.raises(ProofWrong):
            verify_file(bad)


def test_a_time_that_no_calendar_has_is_shown_as_it_stands(record: SmallRecord) -> None:
    far = msgspec.structs.replace(sale(50), event_time=10**18)
    note = promised(far, "suyuan/test", record.hands[:1], far.arrived, hidden=False)
    assert "1000000000000000000 µs" in "\n".join(in_words(verify_file(record.prover.proof([], None, [note]), KEY)))


def test_an_old_checkpoint_still_proves_after_the_record_has_grown(record: SmallRecord) -> None:
    place, old = record.prover.place_of(SALES[0]), record.checkpoints.read(1)
    assert place is not None
    assert verify_file(record.prover.proof([place], old), KEY).checkpoint == old


def test_an_event_that_is_not_sealed_or_was_changed_has_no_place(record: SmallRecord) -> None:
    assert record.prover.place_of(SALES[2]) is not None
    assert record.prover.place_of(sale(99)) is None
    assert record.prover.place_of(msgspec.structs.replace(SALES[2], price=1)) is None


def test_who_trusts_an_earlier_key_trusts_those_that_it_signed(tmp_path: Path) -> None:
    signers = [Signer(bytes([number]) * 32) for number in (1, 2, 3)]
    record = SmallRecord(tmp_path / "checkpoints", signers)
    record.seal(SALES)
    good = record.proof(SALES[0])
    for signer in signers:
        assert verify_file(good, Key(ED25519, signer.public)).key.public == signers[-1].public
    forged = json.loads(good)
    forged["keys"][1]["since"] += 1
    with pytest.raises(ProofWrong, match=r"keys\[1\]"):
        verify_file(verifier.written(forged), Key(ED25519, signers[-1].public))
    # The newest key vouches for none before it: a made-up ancestor gains nothing.
    made_up = SmallRecord(tmp_path / "made-up", [Signer(b"\x09" * 32), signers[-1]])
    assert made_up.chain[0].public not in verifier.keys_from(
        [verifier.KeyLink(link.public, link.since, link.signature) for link in made_up.chain], signers[-1].public
    )


def test_both_signatures_are_checked_and_each_key_can_be_the_one_that_is_trusted(record: SmallRecord) -> None:
    good = record.proof(SALES[0])
    sm2 = Key(SM2, public_of(SM2_PRIVATE))
    assert verify_file(good, sm2).key == sm2
    for key in (KEY, sm2):
        assert read_key(key.text("suyuan/test")) == key
        assert key.text("suyuan/test") in "\n".join(in_words(verify_file(good, key)))
    assert read_key(SIGNER.public.hex()) == KEY


def test_sm2_is_checked_as_the_library_does() -> None:
    for number in range(4):
        private, public = new_sm2_key()
        message = f"checkpoint {number}".encode()
        signature = bytes.fromhex(sign_sm2(private, message))
        raw = bytes.fromhex(public)[1:]
        assert public_of(private) == raw
        assert verifier.signed_sm2(raw, message, signature)
        assert not verifier.signed_sm2(raw, message + b"x", signature)
        assert not verifier.signed_sm2(raw, message, bytes(64))
        assert not verifier.signed_sm2(raw[:-1] + bytes([raw[-1] ^ 1]), message, signature)
    assert gmssl_pyx


def test_a_checkpoint_is_a_signed_note() -> None:
    # The example of c2sp.org/signed-note.
    key = read_key("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    line = (
        "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    )
    raw = verifier._base64(line.rpartition(" ")[2])
    assert raw[:4] == key.ident("example.com/foo")
    assert key.signed(b"This is an example message.\n", raw[4:])


def test_a_checkpoint_can_be_typed_from_a_newspaper(record: SmallRecord) -> None:
    note = record.checkpoints.note(3)
    assert note is not None
    assert read_checkpoint(note).note.is_by(KEY)
    origin, size, root, events, chain, time, blank, *signatures = note.splitlines()
    assert (origin, size, events, blank) == ("suyuan/test", "3", f"events {len(SALES)}", "")
    assert root
    assert chain == f"chain {record.kept[-1].line.hash.hex()}"
    assert time.startswith("time 20")
    assert len(signatures) == 2
    for at in range(0, len(note), 1 if os.environ.get("SUYUAN_LONG") else 3):
        bad = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        try:
            found = read_checkpoint(bad)
        except ProofWrong:
            continue
        assert not found.note.is_by(KEY) or not found.note.is_by(Key(SM2, public_of(SM2_PRIVATE)))


def test_no_checkpoint_is_signed_that_contradicts_an_earlier_one(record: SmallRecord) -> None:
    lines = [each.line for each in record.kept]
    latest = record.checkpoints.latest()
    assert record.checkpoints.sign(lines, record.hands, 0) == latest
    assert record.checkpoints.sizes() == [1, 2, 3]
    with pytest.raises(CheckpointRefused, match="files were lost"):
        record.checkpoints.sign(lines[:2], record.hands, 0)
    altered = [lines[0]._replace(events=4), *lines[1:]]
    with pytest.raises(CheckpointRefused, match="was altered"):
        record.checkpoints.sign([*altered, lines[2]._replace(number=3)], record.hands, 0)


def test_a_checkpoint_file_that_was_altered_is_named(record: SmallRecord, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "2.txt"
    path.write_text(path.read_text().replace("events 6", "events  6"))
    with pytest.raises(CheckpointRefused, match=r"2\.txt was altered"):
        record.checkpoints.read(2)
    path.write_bytes((tmp_path / "checkpoints" / "1.txt").read_bytes())
    with pytest.raises(CheckpointRefused, match=r"2\.txt is the checkpoint of 1 segments"):
        record.checkpoints.read(2)
    assert Checkpoints(tmp_path / "none", "suyuan/test").latest() is None


def test_a_name_fits_into_a_signed_note() -> None:
    assert origin_of("江苏 省+node") == "suyuan/江苏-省-node"
    assert origin_of("  ") == "suyuan/node"


def test_the_verifier_runs_alone_in_an_empty_folder(record: SmallRecord, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    shutil.copy(verifier.__file__, folder / "verifier.py")
    (folder / "sale.json").write_bytes(record.proof(SALES[7]))
    (folder / "bad.json").write_bytes(record.proof(SALES[7]).replace(b'"index": 1', b'"index": 2'))
    command = [sys.executable, "-I", "verifier.py"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, check=False)

    good = run("sale.json", "--key", KEY.text("suyuan/test"))
    assert (good.returncode, good.stderr) == (0, "")
    assert SALES[7].key in good.stdout
    assert "compare it with the published one" not in good.stdout
    assert "compare it with the published one" in run("sale.json").stdout
    bad = run("bad.json", "--key", KEY.text("suyuan/test"))
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "records[0].leaf" in bad.stderr
    assert run("none.json").returncode == 2
    assert run().returncode == 2
    assert run("sale.json", "--key", "nonsense").returncode == 1


def test_what_is_no_proof_is_told_so() -> None:
    for data in (b"", b"[]", b"{}", b"\xff", b'{"suyuan proof": 2}', b"[" * 100_000):
        with pytest.raises(ProofWrong, match="file"):
            verify_file(data)
    assert SALT_KEY
