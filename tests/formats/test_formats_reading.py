"""Any file at the door: told apart by its content, unpacked within limits, refused with words."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from formats_messages import CODE, OTHER, request, sale

from suyuan.formats import unpacking
from suyuan.formats.document import Document
from suyuan.formats.reading import open_documents
from suyuan.formats.tables import read_table
from suyuan.ledger.scan import Scan

TABLE = f"kind,code\nsold,{CODE}\nsold,{OTHER}\n".encode()
EVENT = {
    "@context": ["https://ref.gs1.org/standards/epcis/epcis-context.jsonld"],
    "type": "ObjectEvent",
    "eventTime": "2026-01-03T10:11:12+08:00",
    "eventTimeZoneOffset": "+08:00",
    "action": "ADD",
    "bizStep": "commissioning",
    "epcList": [CODE],
}


def opened(tmp_path: Path, content: bytes, name: str = "upload", **options: Any) -> list[Document]:
    path = tmp_path / name
    path.write_bytes(content)
    return list(open_documents(path, **options))


def codes(documents: list[Document]) -> list[str]:
    return [record.code for document in documents for record in document.records if isinstance(record, Scan)]


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def test_a_message_alone_a_pretty_one_and_one_inside_a_string_are_messages(tmp_path: Path) -> None:
    message = request("3505", {"selinfo": sale()})
    for content in (
        dumped(message),
        json.dumps(message, indent=2).encode(),
        dumped(json.dumps(message)),
        dumped(json.dumps(message, indent=2)),
        b"\xef\xbb\xbf\n" + dumped(message) + b"\n",
    ):
        (document,) = opened(tmp_path, content)
        assert (document.format, codes([document])) == ("nhsa", [CODE])


def test_lines_of_messages_are_one_document_each_and_a_bad_line_is_one_too(tmp_path: Path) -> None:
    message = dumped(request("3505", {"selinfo": sale()}))
    documents = opened(tmp_path, b"\n".join([message, b"", b"{broken", dumped(EVENT), message]), by="P1")
    assert [(document.format, document.first_line, bool(document.fatal)) for document in documents] == [
        ("nhsa", 1, False), ("nhsa", 3, True), ("epcis", 4, False), ("nhsa", 5, False),
    ]  # fmt: skip
    assert [document.institution for document in documents] == ["P37020300001", "P1", "P1", "P37020300001"]
    broken_first = opened(tmp_path, b"{broken\n" + message + b"\n" + message)
    assert [bool(document.fatal) for document in broken_first] == [True, False, False]


def test_a_list_of_messages_of_events_or_of_rows_is_taken_member_by_member(tmp_path: Path) -> None:
    message = request("3505", {"selinfo": sale()})
    assert codes(opened(tmp_path, dumped([message, message]))) == [CODE, CODE]
    assert codes(opened(tmp_path, dumped([EVENT, EVENT]))) == [CODE, CODE]
    assert codes(opened(tmp_path, dumped([{"kind": "sold", "code": OTHER}, {"kind": "sold", "code": CODE}]))) == [
        OTHER,
        CODE,
    ]
    assert opened(tmp_path, b"[]")[0].fatal


def test_an_event_alone_and_table_lines_in_json_are_told_apart(tmp_path: Path) -> None:
    assert opened(tmp_path, dumped(EVENT))[0].format == "epcis"
    row = dumped({"kind": "sold", "code": CODE})
    assert codes(opened(tmp_path, row)) == [CODE]
    assert codes(opened(tmp_path, row + b"\n" + row)) == [CODE, CODE]
    assert opened(tmp_path, dumped({"code": CODE}), kind="sold")[0].format == "table"


def test_a_table_may_begin_with_a_quoted_header(tmp_path: Path) -> None:
    assert codes(opened(tmp_path, f'"kind","code"\n"sold","{CODE}"\n'.encode())) == [CODE]


def test_a_table_is_read_out_of_gz_and_zip(tmp_path: Path) -> None:
    assert codes(opened(tmp_path, gzip.compress(TABLE))) == [CODE, OTHER]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("folder")
        archive.writestr("folder/sales.csv", TABLE)
    assert codes(opened(tmp_path, packed.getvalue())) == [CODE, OTHER]
    assert codes(list(read_table(tmp_path / "upload"))) == [CODE, OTHER]


def zipped(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, TABLE)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "nothing"),
        (b" \n\t", "nothing"),
        (b"\xef\xbb\xbf", "nothing"),
        (b"\xff\xfek\x00", "UTF-16"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b"\x00\x01\x02\x03", "binary"),
        (b"{", "JSON"),
        (b"[" * 100_000, "nested"),
        (b"[1, 2", "JSON"),
        (b'"{\\"infno\\": 1', "JSON"),
        (gzip.compress(TABLE, mtime=0)[:-12], "damaged"),  # its name must not tell the second of collecting
        (b"\x1f\x8bnonsense", "damaged"),
        (b"PK\x03\x04nonsense", "damaged"),
        (zipped("a.csv", "b.csv"), "2 files"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "office"),
    ],
)
def test_what_cannot_be_read_is_one_document_with_words(tmp_path: Path, content: bytes, word: str) -> None:
    documents = opened(tmp_path, content)
    assert word in documents[-1].fatal
    assert not codes(documents) or word == "damaged"


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    (document,) = open_documents(tmp_path / "nowhere.csv")
    assert "nowhere.csv" in document.fatal
    (document,) = read_table(tmp_path)
    assert document.fatal


def test_a_locked_archive_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped("a.csv"))
    content[6] |= 1  # the local header says encrypted
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and so does the directory
    assert "damaged" in opened(tmp_path, bytes(content))[0].fatal


def test_a_compressed_bomb_is_stopped_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_RATIO_FROM", 1 << 20)
    documents = opened(tmp_path, gzip.compress(b"kind,code\n" + b"\n" * (4 << 20)))
    assert "beyond the limit" in documents[-1].fatal
    monkeypatch.setattr(unpacking, "UNPACKED_BYTES_MAX", 10)
    assert "beyond the limit" in opened(tmp_path, gzip.compress(TABLE))[-1].fatal


def test_a_json_value_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suyuan.formats.reading.MESSAGE_BYTES_MAX", 2000)
    pretty = json.dumps(request("3505A", {"selinfoDetail": [sale()] * 5}), indent=1).encode()
    assert "larger than the limit" in opened(tmp_path, pretty)[0].fatal
    small = dumped(request("3505", {"selinfo": sale()}))
    large = dumped(request("3505A", {"selinfoDetail": [sale()] * 5}))
    documents = opened(tmp_path, b"\n".join([small, large, small]))
    assert [bool(document.fatal) for document in documents] == [False, True, False]
