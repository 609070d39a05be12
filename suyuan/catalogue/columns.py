"""The columns of every catalogue table as files: name, meaning, how a cell is read, checked and written."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from suyuan.catalogue import mapping, no_code, parties, product
from suyuan.catalogue.dating import ALWAYS, OPEN
from suyuan.catalogue.mapping import Edge, Transcode
from suyuan.catalogue.no_code import Exemption, NoCodeEntry, VirtualCode
from suyuan.catalogue.packages import Package
from suyuan.catalogue.parties import Delegation
from suyuan.catalogue.prefixes import MakerScheme, Prefix, ratio_readings
from suyuan.catalogue.product import Product, same_enterprise
from suyuan.codes.check_digit import has_valid_check_digit
from suyuan.codes.makers import MakerRule


class UnfitError(ValueError):
    """A cell that cannot be taken: what is wrong, and what to do about it."""

    def __init__(self, what: str, do: str) -> None:
        super().__init__(what)
        self.what = what
        self.do = do


class Note(NamedTuple):
    """A finding about a whole row. A warning lets the row in."""

    field: str
    value: str
    what: str
    do: str
    warning: bool = False


class Column(NamedTuple):
    """One column. `read` turns a trimmed cell into a value or raises UnfitError; `write` is its reverse."""

    name: str
    heading: str
    """Chinese heading, taken as well as the name."""
    about: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str
    required: bool = False


# Readers of cells

_EXPONENT = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE][+-]?\d+")
_FLOAT = re.compile(r"\d{6,}\.0+")
_AS_TEXT = "Format the column as text in the spreadsheet, fill it again from the source, and save the file anew."


def spared(cell: str) -> str:
    """The cell, unless a spreadsheet has turned a code into a number (N8 of spec/codes.md)."""
    if _EXPONENT.fullmatch(cell.rpartition(":")[2]):
        raise UnfitError(
            "a spreadsheet turned this code into a number in scientific notation; its digits are lost", _AS_TEXT
        )
    if _FLOAT.fullmatch(cell):
        raise UnfitError("a spreadsheet turned this code into a decimal number", _AS_TEXT)
    return cell


def code(cell: str) -> str:
    """A code without a grammar of its own."""
    return spared(cell)


def one_of(*words: str) -> Callable[[str], str]:
    """One of the words."""

    def read(cell: str) -> str:
        if cell not in words:
            raise UnfitError(
                "not one of the allowed words", f"Write one of: {', '.join(word for word in words if word)}."
            )
        return cell

    return read


def _shaped(pattern: re.Pattern[str], what: str, do: str) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if cell and not pattern.fullmatch(spared(cell)):
            raise UnfitError(what, do)
        return cell

    return read


nhsa = _shaped(
    product.NHSA,
    "not a NHSA code",
    "Write 23 characters (X…), 20 (Z… or C…) or 10 (T…), as in the NHSA catalogue.",
)
approval = _shaped(product.APPROVAL, "not an approval number", "Write it as 国药准字 with letter and 8 digits.")
region = _shaped(re.compile(r"\d{6}"), "not a division code", "Write the six digits of the administrative division.")


def _checked(pattern: str, what: str) -> Callable[[str], str]:
    shape = re.compile(pattern)

    def read(cell: str) -> str:
        if not cell:
            return cell
        if not shape.fullmatch(spared(cell)):
            raise UnfitError(
                f"not {what}", f"Write all digits of {what}; a spreadsheet may have dropped a leading zero."
            )
        if not has_valid_check_digit(cell):
            raise UnfitError(
                f"the check digit of {what} is wrong", "Compare with the package or the source; one digit differs."
            )
        return cell

    return read


std_code = _checked(r"869\d{11}", "a std_code (本位码, 14 digits from 869)")
ean13 = _checked(r"\d{13}", "an EAN-13 (69码)")
_gtin14 = _checked(r"\d{14}", "a GTIN-14")

_PRODUCT_KEY = re.compile(r"trace20:8\d{6}|gs1:\d{14}|ma:MA\.\S+|ahm:MF\S+|maker:[A-Za-z0-9_.-]+:\S+")


def product_key(cell: str) -> str:
    """A product key; a bare seven-digit prefix, GTIN, EAN-13, MA or AHM identifier gets its system."""
    spared(cell)
    if re.fullmatch(r"8\d{6}", cell):
        return f"trace20:{cell}"
    if re.fullmatch(r"\d{13,14}", cell):
        return f"gs1:{_gtin14(cell.zfill(14))}"
    if cell.startswith("MA."):
        return f"ma:{cell}"
    if cell.startswith("MF"):
        return f"ahm:{cell}"
    if cell and not _PRODUCT_KEY.fullmatch(cell):
        raise UnfitError(
            "not a product key",
            "Write trace20:<7 digits from 8>, gs1:<14 digits>, ma:<MA.…>, ahm:<MF…> or maker:<scheme>:<…>.",
        )
    if cell.startswith("gs1:"):
        _gtin14(cell.removeprefix("gs1:"))
    return cell


_LINKED: dict[str, Callable[[str], str]] = {
    "nhsa": nhsa,
    "std_code": std_code,
    "ean13": ean13,
    "material": code,
    "fee": code,
}


def right_end(cell: str) -> str:
    """The right end of an edge: a code with its system in front."""
    system, colon, text = cell.partition(":")
    if not colon or system not in _LINKED or not text:
        spared(cell)
        raise UnfitError("a code without its system", f"Write one of {', '.join(f'{each}:…' for each in _LINKED)}.")
    _LINKED[system](text)
    return cell


def left_end(cell: str) -> str:
    """The left end of an edge: a product key, or a NHSA code."""
    if cell.startswith("nhsa:"):
        nhsa(cell.removeprefix("nhsa:"))
        return cell
    return product_key(cell)


_DATE = re.compile(r"(\d{4})([-/.年]?)(\d{1,2})([-/.月]?)(\d{1,2})日?(?:[ T]0{1,2}:00(?::00)?)?")


def day(cell: str) -> date:
    """A calendar day: 2025-07-01, 2025/7/1, 2025.7.1, 20250701 or 2025年7月1日."""
    found = _DATE.fullmatch(cell)
    if found and (found[2] or len(cell) == len("20250701")):
        try:
            return date(int(found[1]), int(found[3]), int(found[5]))
        except ValueError:
            pass
    raise UnfitError("not a day", "Write year-month-day, such as 2025-07-01.")


def first_day(cell: str) -> date:
    """The first valid day; empty means from the beginning."""
    return day(cell) if cell else ALWAYS


def last_day(cell: str) -> date:
    """The last valid day; empty means until further notice."""
    return day(cell) if cell else OPEN


def _write_day(value: date) -> str:
    return "" if value in (ALWAYS, OPEN) else value.isoformat()


_FLAGS = {
    "yes": True,
    "no": False,
    "": False,
    "是": True,
    "否": False,
    "1": True,
    "0": False,
    "true": True,
    "false": False,
}


def flag(cell: str) -> bool:
    """Yes or no; empty means no."""
    value = _FLAGS.get(cell.lower())
    if value is None:
        raise UnfitError("neither yes nor no", "Write yes or no (是 or 否).")
    return value


def _write_flag(value: bool) -> str:  # noqa: FBT001  a value to be written, not a switch
    return "yes" if value else "no"


_COUNT_MAX = 2**53
"""The largest whole number that every reader of the file takes exactly."""


def count(cell: str) -> int:
    """A whole number from 0; empty means 0."""
    if not cell:
        return 0
    if not (cell.isascii() and cell.isdigit()) or int(cell[:20]) > _COUNT_MAX:
        raise UnfitError("not a whole number", "Write digits only, without a sign, a point or a unit.")
    return int(cell)


def level(cell: str) -> int:
    """A package level from 1."""
    value = count(cell) if cell else 1
    if not value:
        raise UnfitError("level 0 does not exist", "Write 1 for the smallest coded package, 2 for the next.")
    return value


def percent(cell: str) -> int:
    """A whole percentage."""
    value = count(cell)
    if value > 100:  # noqa: PLR2004  a percentage
        raise UnfitError("more than 100 percent", "Write a whole number from 0 to 100.")
    return value


def yuan(cell: str) -> int:
    """An amount in yuan as millionths of a yuan; empty means 0, unknown."""
    if not cell:
        return 0
    if not re.fullmatch(r"\d{1,12}(?:\.\d{1,6})?", cell):
        raise UnfitError("not an amount in yuan", "Write digits with a point and at most six decimals, such as 12.50.")
    return int(Decimal(cell) * 1_000_000)


def _write_yuan(value: int) -> str:
    whole, part = divmod(value, 1_000_000)
    return "" if not value else f"{whole}.{part:06d}".rstrip("0").rstrip(".")


def ratio(cell: str) -> str:
    """A package ratio, literally."""
    if _EXPONENT.fullmatch(cell) or re.fullmatch(r"\d{1,2}:\d\d:\d\d\.\d", cell):
        raise UnfitError("a spreadsheet turned this ratio into a number or a time", _AS_TEXT)
    return cell


# The columns, table by table


def _dates(*, ends: bool = False) -> tuple[Column, Column]:
    return (
        Column("valid_from", "生效日期", "First valid day; empty: from the beginning.", first_day, _write_day),
        Column("valid_to", "失效日期", "Last valid day; empty: until further notice.", last_day, _write_day, ends),
    )


_SYNTHETIC = Column("synthetic", "合成数据", "yes for invented demonstration rows.", flag, _write_flag)
_SOURCE = Column("source", "来源", "Where the row comes from, in words.", str)
_REVIEWER = Column("reviewer", "审核人", "Who reviewed it.", str)
_QUANTITY = "Smallest packages in all."

COLUMNS: dict[str, tuple[Column, ...]] = {
    "products": (
        Column("nhsa", "医保编码", "NHSA code of the drug or consumable.", nhsa, required=True),
        Column(
            "kind",
            "类别",
            "western, tcm, herbal_slices, granules or consumable.",
            one_of(*product.KINDS),
            required=True,
        ),
        Column("generic", "通用名", "Generic name.", str, required=True),
        Column("english", "英文名", "English name.", str),
        Column("trade", "商品名", "Trade name.", str),
        Column("form", "剂型", "Dosage form.", str),
        Column("spec", "规格", "Specification and package.", str),
        Column("company", "企业代码", "Party code of the maker.", code),
        Column("company_name", "生产企业", "Name of the maker.", str),
        Column("approval", "批准文号", "Approval number.", approval),
        Column("std_code", "本位码", "National drug standard code, 14 digits.", std_code),
        Column("ean13", "商品条码", "EAN-13 of the smallest package.", ean13),
        Column("list_class", "医保类别", "甲, 乙, 丙 or empty.", one_of(*product.LIST_CLASSES)),
        Column("identity", "标识", "serial, lot or none.", one_of(*product.IDENTITIES)),
        Column("exempt", "免扫类别", "Class that dated policy may exempt from scanning.", str),
        Column("splittable", "可拆零", "May be handed out in parts of a box.", flag, _write_flag),
        Column("unit", "最小单位", "Smallest unit handed out.", str),
        Column("price", "单价", "Usual price of a smallest package in yuan.", yuan, _write_yuan),
        Column("market", "市场状态", "on_market, stopped or never_marketed.", one_of(*product.MARKETS)),
        _SYNTHETIC,
        *_dates(),
    ),
    "prefixes": (
        Column("product_key", "标识码", "trace20:<7>, gs1:<14>, ma:… or ahm:….", product_key, required=True),
        Column("name", "名称", "Product name as registered.", str),
        Column("spec", "规格", "Specification as registered.", str),
        Column("level", "包装级别", "1 = smallest coded package.", level),
        Column("ratio", "包装比例", "As declared, largest first, such as 1:5:10; kept literally.", ratio),
        Column("holder", "注册企业", "Party code of the registrant.", code),
        _SOURCE,
        _SYNTHETIC,
        *_dates(),
    ),
    "maker_schemes": (
        Column("scheme", "编码方案", "Name of the provider's own scheme.", code, required=True),
        Column(
            "pattern", "正则表达式", "What the whole text looks like; groups serial, product, lot.", str, required=True
        ),
        Column("holder", "注册企业", "Party code of the registrant.", code),
        _SOURCE,
        *_dates(),
    ),
    "packages": (
        Column("product_key", "标识码", "Product key of the package.", product_key, required=True),
        Column("units", "最小单位数", "Smallest units in it; 0 or empty: unknown.", count),
        Column("units_reviewed", "单位数已审核", "Only reviewed units draw a box down.", flag, _write_flag),
        Column("inner", "内包装标识码", "Product key of the next smaller package inside.", product_key),
        Column("inner_count", "内包装数", "How many of those.", count),
        _SOURCE,
        _REVIEWER,
        *_dates(),
    ),
    "edges": (
        Column("left", "左码", "Product key, or nhsa:<code>.", left_end, required=True),
        Column("right", "右码", "nhsa:, std_code:, ean13:, material: or fee: and the code.", right_end, required=True),
        Column("reviewed", "已审核", "Only reviewed edges can show a swap.", flag, _write_flag),
        Column("source", "来源", "Kind of source.", one_of(*mapping.SOURCES)),
        Column("confidence", "置信度", "Percent.", percent),
        _REVIEWER,
        *_dates(),
    ),
    "transcodes": (
        Column("former", "原编码", "The code as it was.", nhsa, required=True),
        Column("code", "新编码", "The code it became.", nhsa, required=True),
        Column("reason", "原因", "Why.", str),
        *_dates(),
    ),
    "parties": (
        Column("code", "机构代码", "Code of the institution, firm or authority.", code, required=True),
        Column("name", "机构名称", "Name.", str, required=True),
        Column("kind", "机构类型", f"One of: {', '.join(parties.KINDS)}.", one_of(*parties.KINDS), required=True),
        Column("region", "行政区划", "Six-digit division code.", region),
        Column("standing", "状态", "active, suspended or ended.", one_of(*parties.STANDINGS)),
        Column("sensitive", "敏感机构", "Psychiatric, infectious or reproductive place.", flag, _write_flag),
        Column("chain", "连锁总部", "Party code of the head office.", code),
        _SYNTHETIC,
        *_dates(),
    ),
    "delegations": (
        Column("grantor", "委托方", "Party code of the one spoken for.", code, required=True),
        Column("delegate", "受托方", "Party code of the one who speaks.", code, required=True),
        Column("purpose", "事由", "What for, in words.", str),
        *_dates(ends=True),
    ),
    "no_code": (
        Column("institution", "机构代码", "Who holds it.", code, required=True),
        Column("nhsa", "医保编码", "NHSA code of the product.", nhsa, required=True),
        Column("kind", "无码类型", "legacy, exempt, unreadable or virtual.", one_of(*no_code.KINDS), required=True),
        Column("quantity", "数量", _QUANTITY, count),
        Column("reason", "原因", "Why there is no code.", str),
        Column("reference", "凭证", "Number of the declaration or photo.", str),
        *_dates(),
    ),
    "virtual_codes": (
        Column("key", "虚拟码", "Box key of the code.", code, required=True),
        Column("institution", "机构代码", "Who may use it.", code, required=True),
        Column("nhsa", "医保编码", "NHSA code of the product.", nhsa, required=True),
        Column("quantity", "数量", _QUANTITY, count, required=True),
        Column("reason", "原因", "Why it was issued.", str, required=True),
        *_dates(),
    ),
    "exemptions": (
        Column("product_class", "免扫类别", "Class of product; empty: every product.", str),
        Column("setting", "场景", "pharmacy, outpatient, inpatient; empty: all.", one_of("", *no_code.SETTINGS)),
        Column("split_only", "仅拆零", "yes: only doses from a split pack.", flag, _write_flag),
        Column("name", "名称", "The word that verdicts carry.", str, required=True),
        *_dates(),
    ),
    "leaflets": (
        Column("approval", "批准文号", "Approval number.", approval, required=True),
        Column("indications", "适应症", "As the leaflet says.", str),
        Column("usage", "用法用量", "As the leaflet says.", str),
        Column("cautions", "注意事项", "As the leaflet says, contra-indications first.", str),
        Column("storage", "贮藏", "As the leaflet says.", str),
        _SOURCE,
        _SYNTHETIC,
        *_dates(),
    ),
}
"""In the order of the row's fields; `docs` and the command line print it."""


# What no single cell shows


def notes(row: Any) -> Iterator[Note]:  # noqa: ANN401  any of the row types
    """Findings about a whole row."""
    if row.valid_to < row.valid_from:
        yield Note("valid_to", _write_day(row.valid_to), "the row ends before it begins", "Put the later day here.")
    for row_type, look in _LOOKS:
        if isinstance(row, row_type):
            yield from look(row)


def _product_notes(row: Product) -> Iterator[Note]:
    letter = {"western": "X", "tcm": "Z", "herbal_slices": "T", "granules": "T", "consumable": "C"}[row.kind]
    if not row.nhsa.startswith(letter):
        yield Note("kind", row.kind, f"a NHSA code of this kind begins with {letter}", "Correct the kind or the code.")
    if same_enterprise(row.nhsa, row.std_code) is False:
        yield Note(
            "std_code",
            row.std_code,
            f"enterprise {row.std_code[3:8]} differs from {row.nhsa[-5:]} in the NHSA code (三码合一)",
            "Check that both codes are of one product; the row was taken.",
            warning=True,
        )


def _prefix_notes(row: Prefix) -> Iterator[Note]:
    if row.ratio and not ratio_readings(row.ratio):
        yield Note(
            "ratio", row.ratio, "not readable as a ratio; kept as it is", "Write 1:5:10, largest first.", warning=True
        )


def _scheme_notes(row: MakerScheme) -> Iterator[Note]:
    try:
        MakerRule(row.scheme, row.pattern)
    except ValueError as fault:
        yield Note("pattern", row.pattern[:80], str(fault), "Correct the scheme's name or its pattern.")


def _package_notes(row: Package) -> Iterator[Note]:
    if row.units_reviewed and not row.units:
        yield Note(
            "units", "", "reviewed, but no number of units", "Fill in the units, or write no for units_reviewed."
        )
    if row.inner == row.product_key:
        yield Note("inner", row.inner, "a package cannot hold itself", "Write the key of the next smaller package.")


def _edge_notes(row: Edge) -> Iterator[Note]:
    agrees = same_enterprise(row.left.removeprefix("nhsa:"), row.right.removeprefix("std_code:"))
    if row.right.startswith("std_code:") and agrees is False:
        yield Note(
            "right",
            row.right,
            "the enterprise differs from the NHSA code (三码合一)",
            "Check both codes.",
            warning=True,
        )
    if row.reviewed and not row.reviewer:
        yield Note("reviewer", "", "reviewed, but by nobody", "Name the reviewer, or write no for reviewed.")
    if row.left == row.right:
        yield Note("right", row.right, "an edge from a code to itself", "Write the code of another system.")


def _transcode_notes(row: Transcode) -> Iterator[Note]:
    if row.former == row.code:
        yield Note("code", row.code, "a code cannot be renamed to itself", "Write the new code.")


def _delegation_notes(row: Delegation) -> Iterator[Note]:
    if row.valid_to == OPEN:
        yield Note("valid_to", "", "a delegation needs a last day", "Write the day on which it ends.")
    if row.grantor == row.delegate:
        yield Note("delegate", row.delegate, "a party speaks for itself anyway", "Write the other party's code.")


def _no_code_notes(row: NoCodeEntry) -> Iterator[Note]:
    if row.kind != "exempt" and not row.quantity:
        yield Note("quantity", "", "no quantity declared", "Write how many packages may settle without a code.")
    if row.kind == "legacy" and row.valid_to == OPEN:
        yield Note("valid_to", "", "legacy stock needs a last day", "Write until when it may settle without a scan.")
    if row.kind == "unreadable" and not row.reason:
        yield Note("reason", "", "no reason given", "Write why the label cannot be read.")


def _virtual_notes(row: VirtualCode) -> Iterator[Note]:
    if not row.quantity:
        yield Note("quantity", "0", "a virtual code for nothing", "Write how many packages it stands for.")


def _exemption_notes(row: Exemption) -> Iterator[Note]:
    if not row.product_class and not row.setting:
        yield Note("setting", "", "this would exempt everything everywhere", "Name a class of product or a setting.")


_LOOKS: tuple[tuple[type[Any], Callable[[Any], Iterator[Note]]], ...] = (
    (Product, _product_notes),
    (Prefix, _prefix_notes),
    (MakerScheme, _scheme_notes),
    (Package, _package_notes),
    (Edge, _edge_notes),
    (Transcode, _transcode_notes),
    (Delegation, _delegation_notes),
    (NoCodeEntry, _no_code_notes),
    (VirtualCode, _virtual_notes),
    (Exemption, _exemption_notes),
)
