"""Any bytes and any text at the program's doors: an answer or words, never a traceback, and the node stays sound."""

import json
import random
import shutil
from pathlib import Path

import pytest
from cli_shell import FAR_AWAY, GTIN, HOSPITAL, PHARMACY, Shell, claim, program
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BOX, OTHER = "82345670000000000017", "82345670000000000024"
TABLE = f'kind,code,event_time,quantity,reason\nsold,{BOX},2026-03-09,1,"a,b"\npacked,{BOX},,2,\n'
EVENT = {
    "@context": [],
    "type": "AggregationEvent",
    "eventTime": "2026-03-09T10:00:00+08:00",
    "eventTimeZoneOffset": "+08:00",
    "action": "ADD",
    "parentID": "urn:epc:id:sscc:0952000.0012345678",
    "childEPCs": [f"https://id.gs1.org/01/{GTIN}/21/A1"],
}
SALE = {"fixmedins_hilist_id": "1", "fixmedins_bchno": "B1", "drugtracinfo": [{"drug_trac_codg": BOX}]}
MESSAGES = (
    TABLE,
    json.dumps(EVENT),
    json.dumps(claim(PHARMACY, BOX, OTHER, visit="V1")),
    json.dumps(claim(HOSPITAL, BOX, visit="V2")) + "\n" + json.dumps(claim(FAR_AWAY, OTHER, visit="V3")),
    json.dumps({"infno": "3505", "msgid": "1", "fixmedins_code": PHARMACY, "input": {"selinfo": SALE}}),
    json.dumps({"infno": "2601", "fixmedins_code": PHARMACY, "input": {"data": {"omsgid": "1", "oinfno": "2102"}}}),
    json.dumps({"kind": "hold_set", "scope": "batch", "lot": "L", "code": BOX}),
    json.dumps({"kind": "packed", "parent": BOX, "children": [OTHER], "reason": ["x"]}),
)
PIECES = (
    b"",
    b'"',
    b"{",
    b"}",
    b"[",
    b",",
    b":",
    b"\n",
    b"\0",
    b"\xff",
    b"null",
    b"1e400",
    b"-1",
    b"\\ud800",
    b"\x1b[2J",
)

TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789()]dQ[\x1dABC./:-%", max_size=60),
    st.builds(
        lambda front, back: front + back,
        st.sampled_from(["]d201", f"01{GTIN}", "https://x/01/", "MA.", "8"]),
        st.text(max_size=30),
    ),
)

steady = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, catalogued: Path) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("busy"))
    shutil.copytree(catalogued, shell.folder)
    return shell


def mutated(content: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    changed = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(changed) + 1)
        changed[at : at + chance.choice([0, 0, 1, 3])] = chance.choice(PIECES)
    return bytes(changed)


def answers(shell: Shell, *line: object) -> None:
    ran = shell(*line)
    assert ran.code in {0, 1}, (line, ran)
    assert ran.out or ran.err
    assert "Traceback" not in ran.err
    assert "\x1b" not in ran.out + ran.err


@steady
@given(st.binary(max_size=300), st.sampled_from(["ingest", "settle"]))
def test_random_bytes_are_taken_or_refused_with_words(busy: Shell, content: bytes, command: str) -> None:
    answers(busy, command, busy.write("upload", content), "--by", PHARMACY)


@steady
@given(st.sampled_from(MESSAGES), st.integers(0, 2**32), st.sampled_from(["ingest", "settle"]))
def test_damaged_uploads_are_taken_or_refused_with_words(busy: Shell, content: str, seed: int, command: str) -> None:
    upload = busy.write("upload", mutated(content.encode(), seed))
    out = {"ingest": "--rejects", "settle": "--answers"}[command]
    answers(busy, command, upload, "--by", PHARMACY, out, busy.home / "out", "--format", "json")


@steady
@given(TEXTS, st.sampled_from(["table", "json"]))
def test_any_text_is_recognised(text: str, form: str) -> None:
    shell = Shell(Path())
    if text.startswith("--"):
        assert shell("code", text).code == 2
        return
    if text == "-":
        return
    answers(shell, "code", text, "--format", form)


@steady
@given(TEXTS, st.sampled_from(["check", "trace"]), st.sampled_from(["table", "json"]))
def test_any_text_has_an_answer_and_a_story(busy: Shell, text: str, command: str, form: str) -> None:
    ran = busy(command, "--format", form, "--", text)
    assert ran.code == 0, (text, ran)
    assert "\x1b" not in ran.out


@pytest.mark.parametrize("table", ["products", "edges", "parties", "no_code"])
def test_random_bytes_as_a_catalogue_change_nothing_or_come_back(busy: Shell, table: str) -> None:
    before = busy.ask("catalogue", "show")
    for seed in range(8):
        answers(busy, "catalogue", "import", table, busy.write("rows.csv", random.Random(seed).randbytes(seed * 40)))
    assert busy.ask("catalogue", "show") == before


def test_the_node_is_sound_after_all_that(busy: Shell) -> None:
    assert busy("doctor", "--full").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_the_program_as_a_process_of_its_own_answers_in_words_too(busy: Shell, seed: int) -> None:
    upload = busy.write("upload", mutated(MESSAGES[seed].encode(), seed))
    text = mutated(f"(01){GTIN}(21)A1".encode(), seed).replace(b"\0", b"")
    for line in (["ingest", upload], ["settle", upload], ["check", "--", text], ["trace", "--", text]):
        words = [word.decode("utf-8", "surrogateescape") if isinstance(word, bytes) else word for word in line]
        ran = program(words[0], "--dir", busy.folder, *words[1:])
        assert ran.returncode in {0, 1}, ran
        assert b"Traceback" not in ran.stderr
