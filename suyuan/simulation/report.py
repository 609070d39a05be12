"""The report after a play: what was sent, paid and questioned, and how that compares with what was planted."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from suyuan.simulation.truth import APART, FRAUDS, PLANTED, SILENT, Truth

CLASSES = (
    "resale",
    "swap",
    "clone",
    "repeated_settlement",
    "two_lines",
    "split_exceeded",
    "undo_by_another",
    "product_differs",
    "recalled",
    "none",
    "other",
)
"""Alert classes, in the order of the confusion matrix; `none` where nobody was told."""

NAMES = {
    "resale": "回流 resale",
    "swap": "串换 swap",
    "clone": "假码 clone",
    "repeated_settlement": "重复结算 repeated",
    "two_lines": "一码两行 two lines",
    "split_exceeded": "超量拆零 over split",
    "undo_by_another": "异机构退货 undo",
    "product_differs": "药码不符 differs",
    "recalled": "召回 recalled",
    "recall": "召回后销售 recall",
    "none": "未报警 none",
    "other": "其他 other",
    "retry": "网络重传 retries",
    "rescan": "两小时内重复扫码 windowed rescans",
    "late_upload": "迟到上传 late uploads",
    "split": "拆零 split packs",
    "settle_cancel_settle": "结算-撤销-再结算 settle–cancel–settle",
    "no_code": "无码库存 no-code stock",
    "receipt_restart": "小票号每日重编 receipt restarts",
    "branch_sharing": "连锁调拨 branch sharing",
    "timely_return": "按期退货 timely returns",
    "deletion": "删除后重传 deletions",
    "reversed_first": "冲正先到 reversals that came first",
    "family": "一家同购 families shopping together",
    "sold_before_recall": "召回前已售 sold before a recall",
    "lifted_order": "已解除的停售令 lifted orders",
    "everyday": "普通销售 everyday sales",
    "mis_scan": "误扫他店药盒 mis-scans",
    "unreversed_return": "退货未冲销 unreversed returns",
    "equal_lines": "同批相同行 equal lines",
    "placeholder": "占位码 placeholders",
}


class Findings(msgspec.Struct, kw_only=True):
    """Alerts set against the truth."""

    matrix: dict[str, dict[str, int]]
    """Planted kind → alert class → questioned messages."""
    followed: int
    """Further alerts about planted boxes, beyond the one expected for each questioned message."""
    silent: dict[str, int]
    """Alerts by cause that must never raise one."""
    apart: dict[str, int]
    """Alerts by honest cause that does contradict what is known."""


def compare(truths: Iterable[Truth], alerts: Sequence[Mapping[str, Any]]) -> Findings:
    """Set alerts (dicts with class, box, code, institution, references) against the truth.

    A questioned message is matched by box and institution, and by order or visit where both name one.
    An alert on a box of no planted story counts for its cause: those counted apart first, then the silent ones.
    """
    by_box: dict[str, list[Mapping[str, Any]]] = {}
    for alert in alerts:
        by_box.setdefault(str(alert.get("box", "")), []).append(alert)
    matrix = {kind: dict.fromkeys(CLASSES, 0) for kind in PLANTED}
    causes: dict[str, str] = {}
    followed = 0
    for truth in truths:
        if not truth.planted:
            for key in truth.keys:
                causes[key] = _graver(causes.get(key, ""), truth.kind)
            continue
        left = [alert for key in truth.keys for alert in by_box.pop(key, [])]
        for deed in truth.deeds:
            if deed.role == "questioned":
                found = next((alert for alert in left if _speaks_of(alert, deed.by, deed.references)), None)
                matrix[truth.kind][_class_of(found)] += 1
                if found is not None:
                    left.remove(found)
        followed += len(left)
    count = Counter(causes.get(box) or "everyday" for box, told in by_box.items() for _ in told)
    return Findings(
        matrix=matrix,
        followed=followed,
        silent={cause: count[cause] for cause in (*SILENT, "everyday")},
        apart={cause: count[cause] for cause in APART},
    )


def _graver(one: str, other: str) -> str:
    """Of two causes of one box the one that explains an alert."""
    return one if one in APART or (one and other not in APART) else other


def _speaks_of(alert: Mapping[str, Any], by: str, references: Mapping[str, str]) -> bool:
    if alert.get("institution") != by:
        return False
    told = alert.get("references") or {}
    common = [name for name in ("order", "visit") if told.get(name) and references.get(name)]
    return all(told[name] == references[name] for name in common)


def _class_of(alert: Mapping[str, Any] | None) -> str:
    if alert is None:
        return "none"
    name = str(alert.get("class", "other"))
    return name if name in CLASSES else "other"


def false_alarms(findings: Findings) -> int:
    """Alerts from causes that must raise none; zero on a sound platform."""
    return sum(findings.silent.values())


def write_report(
    figures: Mapping[str, int],
    findings: Findings,
    *,
    reasons: Mapping[str, int] | None = None,
    differences: Sequence[str] = (),
    seconds: float = 0.0,
    codes: int = 0,
) -> str:
    """The report as plain text.

    `figures`: boxes, scans, sales, institutions, claims_paid/held/refused and money_* in millionths of a yuan, as far
    as known. `reasons`: status → refused or held codes. `differences`: the auditor's. `codes` in `seconds`: the speed.
    """
    parts = [
        _heading("一盒一码一次支付 One box, one code, one paid claim"),
        *_counts(figures),
        _heading("结算 Claims"),
        *_claims(figures),
        *[f"    {name:<24}{count:>10,}" for name, count in sorted((reasons or {}).items(), key=lambda row: -row[1])],
        _heading("埋设违规 × 报警 Planted × alerted"),
        *_matrix(findings.matrix),
        *_recalls(figures, findings),
        _heading("误报：必须为零 False alarms: must be zero"),
        *_rows(findings.silent),
        _total("合计 total", false_alarms(findings)),
        _heading("情有可原，单独计数 Honest contradictions, counted apart"),
        *_rows(findings.apart),
        _heading("审计 Auditor"),
        *_audit(differences),
    ]
    if seconds and codes:
        parts += [
            _heading("速度 Speed"),
            f"  {codes:,} 码 codes / {seconds:.1f} s = {codes / seconds:,.0f} 码/秒 codes a second",
        ]
    return "\n".join(parts) + "\n"


def _heading(text: str) -> str:
    return f"\n{text}\n{'─' * width(text)}"


def width(text: str) -> int:
    """Columns that a text takes on a terminal; Chinese characters take two."""
    return sum(2 if ord(letter) >= 0x2E80 else 1 for letter in text)  # noqa: PLR2004  where East Asian wide letters begin


def _padded(text: str, columns: int) -> str:
    return text + " " * max(1, columns - width(text))


_COUNTS = (
    ("institutions", "机构 institutions"),
    ("boxes", "药盒 boxes"),
    ("uploads", "上传 uploads"),
    ("scans", "扫码 scans"),
    ("sales", "销售 sales"),
)


def _counts(figures: Mapping[str, int]) -> list[str]:
    return [f"  {_padded(name, 32)}{figures[key]:>14,}" for key, name in _COUNTS if key in figures]


def _claims(figures: Mapping[str, int]) -> list[str]:
    names = (("paid", "支付 paid"), ("held", "暂缓 held"), ("refused", "拒付 refused"))
    return [
        f"  {_padded(name, 32)}{figures.get(f'claims_{key}', 0):>14,}"
        f"{figures.get(f'money_{key}', 0) / 1_000_000:>20,.2f} 元 yuan"
        for key, name in names
    ]


def _matrix(matrix: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Only classes that occur get a column, so that the table fits a terminal."""
    used = [name for name in CLASSES if name in FRAUDS or any(row[name] for row in matrix.values())]
    columns = [NAMES[name] for name in used]
    lines = ["  " + _padded("", 22) + "".join(_padded(name, width(name) + 2) for name in columns)]
    for kind, row in matrix.items():
        cells = "".join(
            _padded(f"{row[name]:>{width(text)},}", width(text) + 2) for name, text in zip(used, columns, strict=True)
        )
        lines.append("  " + _padded(NAMES[kind], 22) + cells.rstrip())
    return lines


_RECALLS = (
    ("orders", "指令 orders"),
    ("orders_lifted", "其中已解除 of these lifted"),
    ("refused_by_order", "指令后拒付 claims refused after an order"),
)


def _recalls(figures: Mapping[str, int], findings: Findings) -> list[str]:
    if not figures.get("orders"):
        return []
    alerts = sum(row["recalled"] for row in findings.matrix.values())
    counts = [_total(name, figures.get(key, 0)) for key, name in _RECALLS]
    return [_heading("召回 Recalls"), *counts, _total("指令后报警 alerts after an order", alerts)]


def _rows(counts: Mapping[str, int]) -> list[str]:
    return [_total(NAMES.get(name, name), count) for name, count in counts.items()]


def _total(name: str, count: int) -> str:
    return f"  {_padded(name, 44)}{count:>8,}"


def _audit(differences: Sequence[str]) -> list[str]:
    if not differences:
        return ["  账目一致 the books agree"]
    shown = [f"  {difference}" for difference in differences[:20]]
    more = len(differences) - len(shown)
    return [f"  {len(differences)} 处不一致 differences:", *shown, *([f"  … {more} more"] if more else [])]
