"""Plain tables: columns, kinds, encodings, and bad lines that never cost a good one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suyuan.formats import tables
from suyuan.formats.columns import COLUMNS, KIND_NAMES, KINDS, SCANNED, kind_of
from suyuan.formats.document import Document
from suyuan.formats.lines import chunks
from suyuan.ledger.scan import Scan
from suyuan.settlement.claim import FeeLine, Undo

CODE = "81234567890123456789"
OTHER = "81234560000000000001"


def read(content: str | bytes, **options: Any) -> Document:
    raw = content if isinstance(content, bytes) else content.encode()
    (document,) = tables.read([raw], **options)
    return document


def scans(document: Document) -> list[Scan]:
    assert not document.fatal, document.fatal
    return [record for record in document.records if isinstance(record, Scan)]


def faults(document: Document) -> list[tuple[str, str]]:
    return [(problem.where, problem.what) for problem in document.problems]


def test_a_line_becomes_a_scan_with_all_its_columns() -> None:
    document = read(
        "kind,code,event_time,receipt,visit,line,product,item,quantity,split,price,amount,lot,expiry,made,person,"
        "prescriber,fund,counterparty,place,reason,no_code\n"
        f"sold,{CODE},2026-01-03 10:11:12,R1,V1,7,X,Y,2.0,1,13.8,27.6,L1,2027-05,2024-01-01,id:01:1,name:医,"
        "employee,C,P,why,legacy\n",
        by="P37020300001",
    )
    (scan,) = scans(document)
    assert scan == Scan(
        kind="sold", code=CODE, where="2", event_time=1_767_406_272_000_000,
        references={"receipt": "R1", "visit": "V1"},
        line="7", product="X", item="Y", quantity="2", split=True, price=13_800_000, amount=27_600_000, lot="L1",
        expiry="2027-05-31", made="2024-01-01", person="id:01:1", prescriber="name:医", fund="employee",
        counterparty="C", place="P", reason="why", no_code="legacy",
    )  # fmt: skip
    assert (document.format, document.infno, document.institution) == ("table", "sold", "P37020300001")
    assert (document.first_line, document.problems) == (2, [])


def test_empty_fields_mean_nothing_was_said() -> None:
    (scan,) = scans(read(f"kind,code,quantity,split,price,event_time,expiry,receipt,children\nsold,{CODE},,,,,,,\n"))
    assert scan == Scan(kind="sold", code=CODE, where="2", event_time=0)


def test_chinese_and_message_names_of_columns_mean_the_same() -> None:
    assert scans(read(f"类型,追溯码,时间\n销售,{CODE},2026-01-03\n")) == scans(
        read(f"KIND, Code ,time\nsold,{CODE},2026-01-03\n")
    )
    assert scans(read(f"kind,drug_trac_codg,rtal_docno\nsold,{CODE},R1\n"))[0].references == {"receipt": "R1"}


def test_gbk_bytes_a_mark_and_windows_line_ends_change_nothing() -> None:
    table = f"kind,code,counterparty\nreceived,{CODE},某公司\nreceived,{OTHER},\n"
    plain = scans(read(table))
    assert scans(read(table.encode("gb18030"))) == plain
    assert scans(read(b"\xef\xbb\xbf" + table.encode())) == plain
    assert scans(read(table.replace("\n", "\r\n"))) == plain
    assert scans(read("\n \n" + table))[0].code == CODE
    assert plain[0].counterparty == "某公司"


def test_lines_are_read_with_any_separator_and_with_quotes() -> None:
    for mark in ",\t;|":
        document = read(f'kind{mark}code{mark}reason\nexited{mark}"{CODE}"{mark}"a{mark}""b"""\n\n{mark}{mark}\n')
        (scan,) = scans(document)
        assert (scan.code, scan.reason) == (CODE, f'a{mark}"b"')
        assert not document.problems


def test_the_kind_may_hold_for_the_whole_file() -> None:
    assert scans(read(f"code\n{CODE}\n", kind="received"))[0].kind == "received"
    assert scans(read(f"code,kind\n{CODE},\n{OTHER},sold\n", kind="received"))[1].kind == "sold"
    assert "kind" in read(f"code\n{CODE}\n").fatal
    assert "nonsense" in read(f"code\n{CODE}\n", kind="nonsense").fatal


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ("", "nothing"),
        ("\n\n", "nothing"),
        ("kind,code,追溯码\nsold,1,2\n", "code"),
        ("kind,code,CODE\nsold,1,2\n", "same meaning"),
        ("a,b\n1,2\n", "columns"),
        (f"{CODE}\n{OTHER}\n", "columns"),
        ("ki\0nd,code\n", "another kind of file"),
        (b"kind,code\xff\xff\n", "UTF-8"),
    ],
)
def test_a_file_whose_columns_are_unclear_is_refused_as_a_whole(table: str | bytes, word: str) -> None:
    document = read(table, name="stock.csv")
    assert word in document.fatal
    assert not document.records


def test_an_unknown_column_is_named_once_and_left_out() -> None:
    document = read(f"kind,code,colour,_reason\nsold,{CODE},red,x\n")
    assert len(scans(document)) == 1
    (problem,) = document.problems
    assert (problem.where, problem.value, problem.code) == ("1", "colour", "note")


def test_each_bad_line_is_named_and_the_good_ones_beside_it_go_in() -> None:
    lines = [
        "kind,code,event_time,quantity,parent,scope",
        f"sold,{CODE},2026-01-03,1,,",
        f"sold,{CODE},yesterday,1,,",
        f"sold,{CODE},2026-01-03,-1,,",
        f"eaten,{CODE},2026-01-03,1,,",
        f",{CODE},2026-01-03,1,,",
        f"claimed,{CODE},2026-01-03,1,,",
        "sold,,2026-01-03,1,,",
        "sold,8.12346E+19,2026-01-03,1,,",
        f"sold,{'8' * 501},2026-01-03,1,,",
        f"packed,{CODE},2026-01-03,1,,",
        f"hold_set,{CODE},2026-01-03,1,,everything",
        f'sold,"{CODE},2026-01-03,1,,',
        f'sold,"{CODE}"x,2026-01-03,1,,',
        f"sold,{CODE},2026-01-03",
        f"sold,{CODE},2026-01-03,1,,,extra",
        f"sold,{CODE}\0,2026-01-03,1,,",
        f"sold,{OTHER},2026-01-03,1,,,,,",
    ]
    document = read("\n".join(lines))
    assert [(scan.where, scan.code) for scan in scans(document)] == [("2", CODE), ("18", OTHER)]
    assert [problem.where for problem in document.problems] == [str(number) for number in range(3, 18)]
    assert all(problem.do for problem in document.problems)
    by_line = {problem.where: problem for problem in document.problems}
    assert by_line["3"].value == "yesterday"
    assert "scientific notation" in by_line["9"].what
    assert "2102" in by_line["7"].do
    assert by_line["15"].value == "3 fields, the header has 6"
    assert "quoted" in by_line["13"].what


def test_a_line_that_is_no_text_stays_out_alone() -> None:
    table = (
        f"kind,code,counterparty\nreceived,{CODE},某公司\n".encode()
        + b"received,x,\xff\xfe\n"
        + f"received,{OTHER},\n".encode()
    )
    document = read(table)
    assert [scan.where for scan in scans(document)] == ["2", "4"]
    assert faults(document)[0][0] == "3"


def test_an_unreadable_expiry_loses_nothing() -> None:
    document = read(f"kind,code,expiry\nproduced,{CODE},永久\n")
    assert scans(document)[0].expiry == ""
    assert document.problems[0].code == "note"


def test_packing_takes_one_child_a_line_or_all_children_on_one() -> None:
    (one,) = scans(read(f"kind,code,parent\npacked,{CODE},BOX1\n"))
    assert (one.code, one.parent, one.children) == (CODE, "BOX1", ())
    (many,) = scans(read(f"kind,code,parent,children\npacked,,BOX1,{CODE}; {OTHER};\n"))
    assert (many.code, many.parent, many.children) == ("BOX1", "BOX1", (CODE, OTHER))
    (listed,) = scans(read(json.dumps({"kind": "packed", "parent": "BOX1", "children": [CODE, OTHER]})))
    assert (listed.code, listed.children) == ("BOX1", (CODE, OTHER))


def test_joined_codes_are_one_line_each() -> None:
    first, second = scans(read(f'kind,code,receipt\nsold,"{CODE},{OTHER}",R1\n'))
    assert (first.code, second.code, first.where, second.where) == (CODE, OTHER, "2", "2")


def test_fee_lines_and_undos_come_as_lines_too() -> None:
    document = read(
        "kind,line,product,quantity,price,settlement,message,transaction,batch,data_type\n"
        "fee_line,F1,X,2,13.8,,,,,\n"
        "fee_line,,X,2,13.8,,,,,\n"
        "cancelled,,,,,S1,,,,\n"
        "cancelled,,,,,,,,,\n"
        "reversed,,,,,,M1,2207,,\n"
        "corrected,,,,,,,,B1,4\n"
        "corrected,,,,,,,,B1,\n"
    )
    fee, cancel, reverse, delete = document.records
    assert isinstance(fee, FeeLine)
    assert (fee.line, fee.product, fee.quantity, fee.price) == ("F1", "X", "2", 13_800_000)
    for undo, kind, references in (
        (cancel, "cancelled", {"settlement": "S1"}),
        (reverse, "reversed", {"message": "M1", "transaction": "2207"}),
        (delete, "corrected", {"batch": "B1"}),
    ):
        assert isinstance(undo, Undo)
        assert (undo.kind, undo.references) == (kind, references)
    assert [problem.where for problem in document.problems] == ["3", "5", "8"]


def test_json_lines_are_a_table_like_any_other() -> None:
    lines = [
        json.dumps(
            {"kind": "sold", "code": int(CODE), "event_time": "2026-01-03T02:11:12Z", "quantity": 2, "_line": 9}
        ),
        "{broken",
        json.dumps({"kind": "sold", "code": 8.1234e19}),
        json.dumps({"kind": "sold", "追溯码": CODE, "code": CODE}),
        "[1]",
        "",
        json.dumps({"kind": "sold", "code": OTHER, "colour": "red", "receipt": "R1"}),
    ]
    document = read("\n".join(lines))
    first, last = scans(document)
    assert (first.code, first.quantity, first.event_time) == (CODE, "2", 1_767_406_272_000_000)
    assert (last.where, last.references) == ("7", {"receipt": "R1"})
    assert [problem.where for problem in document.problems] == ["2", "3", "4", "5", "7"]
    assert document.first_line == 1


def test_a_table_is_read_in_chunks_that_hold_their_own_lines_and_the_header() -> None:
    lines = [f"sold,8{number:019d}" for number in range(25)]
    documents = list(tables.read([("kind,code\n" + "\n".join(lines)).encode()], chunk_rows=10))
    assert [len(document.records) for document in documents] == [9, 10, 6]
    assert [document.first_line for document in documents] == [2, 11, 21]
    assert documents[2].raw == b"kind,code\n" + "\n".join(lines[19:]).encode() + b"\n"
    assert [scan.where for document in documents for scan in scans(document)] == [str(n) for n in range(2, 27)]


def test_a_line_without_end_is_passed_over_and_counted() -> None:
    content = [b"kind,code\n", b"x" * 900_000, b"x" * 900_000, b"\n" + f"sold,{CODE}\n".encode(), b"y" * 1_200_000]
    (document,) = tables.read(content)
    assert [scan.where for scan in scans(document)] == ["3"]
    assert [(problem.where, problem.value.split()[0]) for problem in document.problems] == [
        ("2", "1800000"),
        ("4", "1200000"),
    ]


@given(
    st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=30),
    st.integers(1, 7),
    st.integers(1, 20),
    st.integers(4, 14),
)
def test_lines_are_cut_the_same_however_the_bytes_arrive(
    lines: list[bytes], rows: int, step: int, longest: int
) -> None:
    whole = b"\n".join(lines)
    blocks = [whole[start : start + step] for start in range(0, len(whole), step)]
    cut = list(chunks(blocks, rows, longest))
    expected = [line if len(line) <= longest else b"" for line in (whole.split(b"\n") if whole else [])]
    if expected and whole.endswith(b"\n"):
        expected.pop()
    assert [line for chunk in cut for line in chunk.lines] == expected
    assert all(len(chunk.lines) <= rows for chunk in cut)
    long = {number for chunk in cut for number in chunk.too_long}
    assert long == {number for number, line in enumerate(whole.split(b"\n"), 1) if len(line) > longest}
    assert all(chunk.first <= number < chunk.first + rows for chunk in cut for number in chunk.too_long)


@given(st.lists(st.tuples(st.sampled_from(SCANNED), st.text("0123456789", min_size=20, max_size=20)), max_size=40))
def test_what_is_written_as_a_table_is_read_back(rows: list[tuple[str, str]]) -> None:
    table = "kind,code,parent,scope\n" + "".join(f"{kind},{code},C,code\n" for kind, code in rows)
    found = [(scan.kind, scan.code) for document in tables.read([table.encode()]) for scan in scans(document)]
    assert found == rows


def test_every_kind_and_every_word_for_one_is_known() -> None:
    assert {kind_of(kind.upper()) for kind in KINDS} == KINDS
    assert set(KIND_NAMES.values()) <= KINDS
    assert kind_of("alerted") == kind_of("") == ""
    names = [name for column in COLUMNS for name in (column.name, *column.also)]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)
