"""The file of bad lines: as sent, with reasons; mended, it loads."""

import json
from pathlib import Path

from suyuan.formats.document import Document
from suyuan.formats.reading import open_documents
from suyuan.formats.rejects import Rejects
from suyuan.ledger.scan import Scan

CODE = "81234567890123456789"


def rejected(path: Path, *documents: Document) -> list[Path]:
    with Rejects(path) as rejects:
        for document in documents:
            rejects.add(document, [(problem.where, problem.what) for problem in document.problems])
    return sorted(path.parent.glob(f"{path.stem}*"))


def codes(path: Path) -> list[str]:
    return [record.code for document in open_documents(path) for record in document.records if isinstance(record, Scan)]


def test_mended_the_bad_lines_of_a_table_load(tmp_path: Path) -> None:
    source = tmp_path / "sales.csv"
    source.write_bytes(
        f"kind,code,quantity,reason\nsold,{CODE},two,a\nsold,{CODE},1,b\nsold,x,=1,某\n".encode("gb18030")
    )
    out = tmp_path / "rejects.csv"
    assert rejected(out, *open_documents(source)) == [out]
    lines = out.read_bytes().decode("gb18030").splitlines()
    assert lines[0] == "_line,_reason,kind,code,quantity,reason"
    assert lines[1].startswith('2,"The number cannot be read')
    assert lines[1].endswith(f",sold,{CODE},two,a")
    assert lines[2].endswith(",sold,x,=1,某")
    assert len(lines) == 3
    assert codes(out) == []
    out.write_bytes(out.read_bytes().replace(b"two", b"2").replace(b"=1", b"1"))
    assert codes(out) == [CODE, "x"]


def test_a_reason_is_no_formula_and_stays_on_its_line(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text(f"kind;code\r\nsold;{CODE}\r\n")
    (document,) = open_documents(source)
    with Rejects(tmp_path / "out.csv") as rejects:
        rejects.add(
            document, [("2", '=HYPERLINK("x")\nnext'), ("2", "again"), ("2", "again"), ("1", "header"), ("99", "none")]
        )
        assert rejects.count == 1
    content = (tmp_path / "out.csv").read_bytes()
    assert content == f'_line;_reason;kind;code\n2;"\'=HYPERLINK(""x"") next; again";sold;{CODE}\n'.encode()
    assert codes(tmp_path / "out.csv") == [CODE]


def test_a_reason_without_place_speaks_of_every_line(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text(f"kind,code\nsold,{CODE}\nsold,{CODE}\n")
    (document,) = open_documents(source)
    with Rejects(tmp_path / "out.csv") as rejects:
        rejects.add(document, [("", "not allowed")])
        assert rejects.count == 2
    assert codes(tmp_path / "out.csv") == [CODE, CODE]


def test_json_lines_and_messages_carry_the_reason_inside(tmp_path: Path) -> None:
    source = tmp_path / "t.jsonl"
    source.write_text(f'{{"kind":"sold","code":"{CODE}","quantity":"two"}}\n{{}}\nbroken\n')
    out = tmp_path / "out.jsonl"
    rejected(out, *open_documents(source))
    lines = out.read_text().splitlines()
    assert [json.loads(line)["_line"] for line in lines] == [1, 2, 3]
    assert json.loads(lines[2])["_text"] == "broken"
    out.write_text(out.read_text().replace('"two"', "2"))
    assert codes(out) == [CODE]

    message = tmp_path / "m.json"
    row = {"med_list_codg": "X", "sel_retn_cnt": "two", "drugtracinfo": [{"drug_trac_codg": CODE}]}
    message.write_text(json.dumps({"infno": "3505", "fixmedins_code": "P1", "input": {"selinfo": row}}, indent=2))
    again = tmp_path / "again.jsonl"
    rejected(again, *open_documents(message))
    (line,) = again.read_text().splitlines()
    assert json.loads(line)["_reason"].startswith("selinfo.sel_retn_cnt: ")
    again.write_text(line.replace('"two"', "2"))
    assert codes(again) == [CODE]


def test_without_faults_there_is_no_file(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text(f"kind,code\nsold,{CODE}\n")
    assert rejected(tmp_path / "out.csv", *open_documents(source)) == []
    assert rejected(tmp_path / "out.csv", *open_documents(tmp_path / "missing.csv")) == []


def test_a_table_refused_as_a_whole_has_no_lines_to_mend(tmp_path: Path) -> None:
    with Rejects(tmp_path / "out.csv") as rejects:
        rejects.add(Document(format="table", raw=b"a,b", fatal="no columns"), [("", "no columns")])
        assert rejects.count == 0


def test_tables_with_other_columns_go_into_a_file_of_their_own(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("kind,code\neaten,1\n")
    second.write_bytes("\ufeffcode,kind\n1,eaten\n".encode())
    written = rejected(tmp_path / "out.csv", *open_documents(first), *open_documents(second))
    assert [path.name for path in written] == ["out-2.csv", "out.csv"]
    assert (tmp_path / "out-2.csv").read_bytes().startswith(b"\xef\xbb\xbf_line,_reason,code,kind\n")
