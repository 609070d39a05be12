"""Catalogue files: what goes out comes back the same; good lines go in and bad lines come back with reasons."""

import csv
import io
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suyuan.catalogue import exchange
from suyuan.catalogue.columns import COLUMNS, notes
from suyuan.catalogue.content import TABLE, TABLES, Content
from suyuan.catalogue.dating import in_sequence, overlap
from suyuan.catalogue.no_code import NoCodeEntry
from suyuan.catalogue.parties import Delegation, Party
from suyuan.catalogue.product import Product
from suyuan.codes.check_digit import check_digit

PARTY_HEADING = "code,name,kind,valid_from,valid_to"


def take(table: str, text: str, content: Content | None = None) -> tuple[Content, exchange.Report]:
    return exchange.import_table(content or Content(), table, text.encode())


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=count, max_size=count)


def with_check(body: str) -> str:
    return body + check_digit(body)


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("=+-@'\",\n\t＝"), max_size=8).map(
    str.strip
)
NAMES = WORDS.filter(bool)
CODES = st.from_regex(r"[A-Z][A-Z0-9=@+-]{1,8}", fullmatch=True)
NHSA = st.one_of(
    digits(12).map(lambda text: f"XJ01CAA{text[:3]}E{text[:12]}"),
    digits(19).map("C{}".format),
    digits(9).map("T{}".format),
)
KEYS = st.one_of(
    digits(6).map("trace20:8{}".format),
    digits(13).map(lambda body: f"gs1:{with_check(body)}"),
    digits(8).map("ma:MA.156.M0.100204.{}".format),
    digits(6).map("ahm:MF{}".format),
)
DAYS = st.dates(date(1990, 1, 1), date(2060, 1, 1))

SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "nhsa": NHSA,
    "former": NHSA,
    "transcodes.code": NHSA,
    "product_key": KEYS,
    "left": KEYS | NHSA.map("nhsa:{}".format),
    "right": NHSA.map("nhsa:{}".format) | NAMES.filter(str.isalpha).map("fee:{}".format),
    "inner": st.just("") | KEYS,
    "std_code": st.just("") | digits(10).map(lambda body: with_check(f"869{body}")),
    "ean13": st.just("") | digits(12).map(with_check),
    "leaflets.approval": digits(8).map("国药准字Z{}".format),
    "approval": st.just("") | digits(8).map("国药准字H{}".format),
    "region": st.just("") | digits(6),
    "list_class": st.sampled_from(["", "甲", "乙", "丙"]),
    "identity": st.sampled_from(["serial", "lot", "none"]),
    "market": st.sampled_from(["on_market", "stopped", "never_marketed"]),
    "standing": st.sampled_from(["active", "suspended", "ended"]),
    "products.kind": st.sampled_from(["western", "tcm", "herbal_slices", "granules", "consumable"]),
    "parties.kind": st.sampled_from(["hospital", "clinic", "pharmacy", "agency"]),
    "no_code.kind": st.sampled_from(["legacy", "exempt", "unreadable", "virtual"]),
    "edges.source": st.sampled_from(["", "maker", "official"]),
    "setting": st.sampled_from(["", "pharmacy", "inpatient"]),
    "confidence": st.integers(0, 100),
    "level": st.integers(1, 9),
    "scheme": st.sampled_from(["acme", "beta", "virtual"]),
    "pattern": st.sampled_from([r"=X(?P<serial>\d{4})", r"@Y.+", r"-\d+"]),
    "valid_from": st.just(date.min) | DAYS,
    "valid_to": st.just(date.max) | DAYS,
}
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(0, 2**53),
    date: DAYS,
}


def field_values(table: str, name: str, kind: Any, *, required: bool) -> st.SearchStrategy[Any]:
    special = SPECIAL.get(f"{table}.{name}", SPECIAL.get(name))
    if special is not None:
        return special
    if kind is not str:
        return BY_TYPE[kind]
    return CODES if name in ("code", "key", "institution", "grantor", "delegate") else NAMES if required else WORDS


def rows_of(table: str) -> st.SearchStrategy[list[Any]]:
    row_type = TABLE[table].row
    required = {column.name for column in COLUMNS[table] if column.required}
    fields = {
        name: field_values(table, name, kind, required=name in required)
        for name, kind in row_type.__annotations__.items()
    }
    rows = st.builds(row_type, **fields).filter(lambda row: all(note.warning for note in notes(row)))
    return st.lists(rows, max_size=4).map(lambda drawn: without_overlap(table, drawn))


def without_overlap(table: str, rows: list[Any]) -> list[Any]:
    groups: dict[Any, list[Any]] = {}
    for row in rows:
        key = TABLE[table].key_of(row)
        trial = in_sequence([*groups.get(key, []), row])
        if overlap(trial) is None:
            groups[key] = trial
    return [row for group in groups.values() for row in group]


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_every_table_comes_back_from_its_file_as_it_went_out(table: str) -> None:
    @settings(max_examples=12, deadline=None)
    @given(rows_of(table))
    def exported_and_imported(rows: list[Any]) -> None:
        content = Content(**{table: rows})
        back, report = exchange.import_table(Content(**{table: []}), table, exchange.export_table(content, table))
        assert not report.fatal
        assert report.lines_rejected == 0, report.faults
        assert getattr(back, table) == rows
        again, second = exchange.import_table(back, table, exchange.export_table(content, table))
        assert getattr(again, table) == rows
        assert (second.added, second.changed, second.ended, second.same) == ([], [], [], len(rows))

    exported_and_imported()


def test_the_columns_of_a_file_are_the_fields_of_its_rows() -> None:
    for table in TABLES:
        assert [column.name for column in COLUMNS[table.name]] == list(table.row.__struct_fields__)
        headings = [column.heading for column in COLUMNS[table.name]]
        assert len(set(headings)) == len(headings)
        assert set(table.key) <= {column.name for column in COLUMNS[table.name]}


def test_good_lines_go_in_and_bad_lines_come_back_with_line_field_value_and_remedy() -> None:
    after, report = take(
        "parties",
        f"{PARTY_HEADING}\nP1,甲药店,pharmacy,,\nP2,乙药店,chemist,2025-13-01,\n,丙药店,clinic,,\nP4,丁医院,hospital,2025/7/1,2025年8月1日\n",
    )
    assert [party.code for party in after.parties] == ["P1", "P4"]
    assert (after.parties[1].valid_from, after.parties[1].valid_to) == (date(2025, 7, 1), date(2025, 8, 1))
    assert [(fault.line, fault.field, fault.value, fault.what) for fault in report.faults] == [
        (3, "kind", "chemist", "not one of the allowed words"),
        (3, "valid_from", "2025-13-01", "not a day"),
        (4, "code", "", "empty"),
    ]
    assert all(fault.do for fault in report.faults)
    assert sorted(report.rejected) == [3, 4]


def test_rejected_lines_mended_in_their_own_file_go_in() -> None:
    content, report = take("parties", f"{PARTY_HEADING}\nP1,甲药店,pharmacy,,\nP2,=乙药店,chemist,,\n")
    rejects = exchange.write_rejected(report).decode("utf-8-sig")
    assert "'=乙药店" in rejects
    assert "kind: not one of the allowed words" in rejects
    after, second = take("parties", rejects.replace("chemist", "pharmacy"), content)
    assert second.lines_rejected == 0
    assert [(party.code, party.name) for party in after.parties] == [("P1", "甲药店"), ("P2", "=乙药店")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_chinese_is_read_in_every_encoding_that_spreadsheets_write(encoding: str) -> None:
    data = "机构代码,机构名称,机构类型\r\nP1,仁和堂药店,pharmacy\r\n".encode(encoding)
    after, report = exchange.import_table(Content(), "parties", data)
    assert not report.fatal
    assert after.parties == [Party("P1", "仁和堂药店", "pharmacy")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "The file is empty"),
        (b" \n\n", "The file is empty"),
        (b"PK\x03\x04rest", "Excel workbook"),
        ("code,name\n".encode("utf-16"), "UTF-16"),
        (b"code,name\n\xff\xff\xff", "neither UTF-8 nor GBK"),
        (b"code,name,kind,code\nP1,a,clinic,P2\n", "The column code stands twice"),
        ("code,机构代码,name,kind\nP1,P2,a,clinic\n".encode(), "The column 机构代码 stands twice"),
        (b"code,name,kind,regoin\nP1,a,clinic,440305\n", "Unknown column 'regoin'"),
        (b"code,kind\nP1,clinic\n", "The heading line lacks name"),
        (b"\x00\x01\x02\x03", "Unknown column"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_whole_with_words(data: bytes, words: str) -> None:
    content = Content(parties=[Party("P1", "甲药店")])
    after, report = exchange.import_table(content, "parties", data)
    assert words in report.fatal
    assert after is content


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_no_bytes_at_all_bring_the_reader_down(data: bytes) -> None:
    for start in (b"", f"{PARTY_HEADING}\n".encode()):
        _, report = exchange.import_table(Content(), "parties", start + data)
        exchange.write_rejected(report)


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: text.replace('"', '""""')[:20])
    )
)
@settings(max_examples=30, deadline=None)
def test_a_stray_quote_never_costs_a_line_that_stands_after_fifty_others(junk: list[str]) -> None:
    good = [f"P{number},药店,pharmacy,," for number in range(60)]
    text = "\n".join([PARTY_HEADING, *(line.replace("\n", " ").replace("\r", " ") for line in junk), *good])
    after, _ = take("parties", text)
    assert {"P58", "P59"} <= {party.code for party in after.parties}


def test_a_stray_quote_costs_its_own_line_only() -> None:
    after, report = take(
        "parties",
        f'{PARTY_HEADING}\nP1,"甲药店,pharmacy,,\nP2,乙药店,pharmacy,,\nP3,"丙\n药店",pharmacy,,\n'
        'P4,5" 管,pharmacy,,\nP5,戊"药店,pharmacy,,\n',
    )
    assert [(party.code, party.name) for party in after.parties] == [
        ("P2", "乙药店"),
        ("P3", "丙\n药店"),
        ("P4", '5" 管'),
        ("P5", '戊"药店'),
    ]
    assert [fault.line for fault in report.faults] == [2]


@pytest.mark.parametrize(
    ("table", "text", "field", "words"),
    [
        (
            "products",
            "nhsa,kind,generic,std_code\nZD03AAA0043010100166,tcm,某丸,8.69002E+13\n",
            "std_code",
            "scientific notation",
        ),
        (
            "products",
            "nhsa,kind,generic,ean13\nZD03AAA0043010100166,tcm,某丸,6901234567892.0\n",
            "ean13",
            "decimal number",
        ),
        ("products", "nhsa,kind,generic,ean13\nZD03AAA0043010100166,tcm,某丸,6901234567890\n", "ean13", "check digit"),
        (
            "products",
            "nhsa,kind,generic,std_code\nZD03AAA0043010100166,tcm,某丸,8690016600007\n",
            "std_code",
            "not a std_code",
        ),
        ("prefixes", "product_key\n8.12346E+06\n", "product_key", "scientific notation"),
        ("prefixes", "product_key\n7123456\n", "product_key", "not a product key"),
        ("prefixes", "product_key\ngs1:06901234567890\n", "product_key", "check digit"),
        ("prefixes", "product_key,level\n8123456,0\n", "level", "level 0"),
        ("prefixes", "product_key,ratio\n8123456,01:05:10.0\n", "ratio", "a number or a time"),
        (
            "virtual_codes",
            "key,institution,nhsa,quantity,reason\n8.1234E+19,P1,T000112345,1,无码\n",
            "key",
            "scientific notation",
        ),
        (
            "virtual_codes",
            "key,institution,nhsa,quantity,reason\nmaker:virtual:1,P1,T000112345,0,无码\n",
            "quantity",
            "for nothing",
        ),
        ("edges", "left,right\n8123456,XJ01CAA001E001010100123\n", "right", "without its system"),
        ("edges", "left,right\n8123456,nhsa:XJ01\n", "right", "not a NHSA code"),
        ("edges", "left,right,reviewed\n8123456,nhsa:T000112345,yes\n", "reviewer", "by nobody"),
        ("edges", "left,right,reviewed\n8123456,nhsa:T000112345,maybe\n", "reviewed", "neither yes nor no"),
        ("edges", "left,right,confidence\n8123456,nhsa:T000112345,101\n", "confidence", "more than 100"),
        ("edges", "left,right\nnhsa:T000112345,nhsa:T000112345\n", "right", "to itself"),
        ("packages", "product_key,units\n8123456,2.5\n", "units", "not a whole number"),
        ("packages", "product_key,units_reviewed\n8123456,yes\n", "units", "no number of units"),
        ("packages", "product_key,inner\n8123456,8123456\n", "inner", "cannot hold itself"),
        ("transcodes", "former,code\nT000112345,T000112345\n", "code", "to itself"),
        ("delegations", "grantor,delegate,valid_to\nP1,V1,\n", "valid_to", "empty"),
        ("delegations", "grantor,delegate,valid_to\nP1,P1,2026-01-01\n", "delegate", "for itself anyway"),
        ("no_code", "institution,nhsa,kind,quantity\nP1,T000112345,legacy,5\n", "valid_to", "needs a last day"),
        ("no_code", "institution,nhsa,kind,reason\nP1,T000112345,unreadable,破损\n", "quantity", "no quantity"),
        ("no_code", "institution,nhsa,kind,quantity\nP1,T000112345,unreadable,2\n", "reason", "no reason"),
        ("exemptions", "name\neverything\n", "setting", "exempt everything"),
        ("maker_schemes", "scheme,pattern\nacme,(\n", "pattern", "no regular expression"),
        ("parties", "code,name,kind,region\nP1,甲,clinic,44030\n", "region", "division code"),
        ("parties", "code,name,kind\nP1,甲\x07,clinic\n", "name", "control character"),
        ("parties", f"code,name,kind\nP1,{'长' * 100_001},clinic\n", "", "more than 100,000 characters"),
        ("parties", "code,name,kind\nP1,甲,clinic,extra\n", "", "4 cells where the heading has 3"),
        (
            "parties",
            "code,name,kind,valid_from,valid_to\nP1,甲,clinic,2025-02-02,2025-02-01\n",
            "valid_to",
            "ends before it begins",
        ),
        ("products", "nhsa,kind,generic\nC0101010011303807555,western,某管\n", "kind", "begins with X"),
        ("products", "nhsa,kind,generic,price\nT000112345,herbal_slices,黄芪,1e3\n", "price", "not an amount"),
    ],
)
def test_a_fault_names_its_field_and_what_is_wrong(table: str, text: str, field: str, words: str) -> None:
    after, report = take(table, text)
    assert report.lines_rejected == 1
    assert [(fault.field, words in fault.what) for fault in report.faults] == [(field, True)], report.faults
    assert getattr(after, table) == getattr(Content(), table)


def test_the_three_in_one_check_warns_and_lets_the_row_in() -> None:
    heading = "nhsa,kind,generic,std_code\n"
    after, report = take("products", f"{heading}ZD03AAA0043010100166,tcm,某丸,86900167000076\n")
    assert len(after.products) == 1
    assert [(fault.field, fault.warning) for fault in report.faults] == [("std_code", True)]
    _, agreeing = take("products", f"{heading}ZD03AAA0043010100166,tcm,某丸,86900166000077\n")
    assert agreeing.faults == []


def test_a_new_row_with_a_later_day_ends_the_open_one_the_day_before() -> None:
    content, first = take("parties", f"{PARTY_HEADING}\nP1,甲药店,pharmacy,,\n")
    assert len(first.added) == 1
    after, report = take("parties", f"{PARTY_HEADING}\nP1,甲大药房,pharmacy,2025-07-01,\n", content)
    assert [party.valid_to for party in after.parties] == [date(2025, 6, 30), date.max]
    assert (len(report.added), len(report.ended), len(report.changed)) == (1, 1, 0)
    again, repeated = take("parties", f"{PARTY_HEADING}\nP1,甲大药房,pharmacy,2025-07-01,\n", after)
    assert again == after
    assert (repeated.added, repeated.ended, repeated.changed) == ([], [], [])


def test_the_same_first_day_replaces_and_an_overlap_is_refused() -> None:
    content, _ = take("parties", f"{PARTY_HEADING}\nP1,甲药店,pharmacy,2025-01-01,2025-12-31\n")
    renamed, report = take("parties", f"{PARTY_HEADING}\nP1,甲大药房,pharmacy,2025-01-01,2025-12-31\n", content)
    assert [(before.name, after.name) for before, after in report.changed] == [("甲药店", "甲大药房")]
    clashing, refused = take("parties", f"{PARTY_HEADING}\nP1,甲,pharmacy,2025-06-01,\nP2,乙,pharmacy,,\n", renamed)
    assert [party.code for party in clashing.parties] == ["P1", "P2"]
    assert [(fault.line, fault.field) for fault in refused.faults] == [(2, "valid_from")]
    assert refused.rejected[2] == ["P1", "甲", "pharmacy", "2025-06-01", ""]


def test_a_line_that_contradicts_an_earlier_one_comes_back_and_an_equal_one_counts_once() -> None:
    after, report = take("parties", f"{PARTY_HEADING}\nP1,甲,pharmacy,,\nP1,甲,pharmacy,,\nP1,乙,pharmacy,,\n")
    assert [party.name for party in after.parties] == ["甲"]
    assert [(fault.line, "line 2" in fault.what) for fault in report.faults] == [(4, True)]


def test_a_complete_list_ends_what_it_does_not_name() -> None:
    content, _ = take("parties", f"{PARTY_HEADING}\nP1,甲,pharmacy,,\nP2,乙,pharmacy,,\nP3,丙,pharmacy,,2020-01-01\n")
    data = f"{PARTY_HEADING}\nP1,甲,pharmacy,,\n".encode()
    after, report = exchange.import_table(content, "parties", data, complete=date(2025, 7, 1))
    assert [(party.code, party.valid_to) for party in after.parties] == [
        ("P1", date.max),
        ("P2", date(2025, 6, 30)),
        ("P3", date(2020, 1, 1)),
    ]
    assert [before.code for before, _ in report.ended] == ["P2"]


def test_circular_transcodes_are_taken_with_a_warning() -> None:
    after, report = take("transcodes", "former,code\nT000112345,T000212345\nT000212345,T000112345\n")
    assert len(after.transcodes) == 2
    assert [(fault.warning, fault.value) for fault in report.faults] == [(True, "T000112345"), (True, "T000212345")]


def test_a_formula_leaves_disarmed_and_comes_back_as_it_was() -> None:
    names = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "'quoted", "''=x", "＝1+1", "plain"]
    content = Content(parties=[Party(f"P{place}", name) for place, name in enumerate(names)])
    data = exchange.export_table(content, "parties")
    cells = [row[1] for row in csv.reader(io.StringIO(data.decode("utf-8-sig")))][1:]
    assert all(not cell.startswith(("=", "+", "-", "@", "＝")) for cell in cells)
    back, _ = exchange.import_table(Content(), "parties", data)
    assert [party.name for party in back.parties] == names


def test_bare_codes_get_their_system() -> None:
    after, _ = take(
        "prefixes", "product_key\n8123456\n06901234567892\n6901234567892\nMA.156.M0.100204.13351764\nMF123\n"
    )
    keys = [prefix.product_key for prefix in after.prefixes]
    assert keys == ["trace20:8123456", "gs1:06901234567892", "ma:MA.156.M0.100204.13351764", "ahm:MF123"]


@pytest.mark.parametrize(
    ("row", "table", "cell"),
    [
        (lambda: Product("T000112345", price=12_500_000), "products", "12.5"),
        (lambda: Product("T000112345", price=1), "products", "0.000001"),
        (lambda: NoCodeEntry("P1", "T000112345", "exempt"), "no_code", "exempt"),
        (lambda: Delegation("P1", "V1", "", date.min, date(2026, 1, 1)), "delegations", "2026-01-01"),
    ],
)
def test_amounts_words_and_days_are_written_for_people(row: Callable[[], Any], table: str, cell: str) -> None:
    line = exchange.write_rows(table, [row()]).splitlines()[1]
    assert cell in line.split(",")
