"""The report: a confusion matrix, false alarms by cause, and lines that stand straight in two scripts."""

from pathlib import Path

import msgspec

from suyuan.simulation.report import CLASSES, NAMES, compare, false_alarms, width, write_report
from suyuan.simulation.truth import APART, FRAUDS, PLANTED, SILENT, Deed, Truth


def deed(role: str, by: str, order: str) -> Deed:
    values = {
        "role": role,
        "by": by,
        "infno": "2102",
        "msgid": "m",
        "code": "8",
        "at": 1,
        "references": {"order": order},
    }
    return msgspec.convert(values, Deed)


def story(kind: str, key: str, *deeds: Deed, planted: bool = False) -> Truth:
    return Truth(
        id=f"{kind}-1", kind=kind, planted=planted, codes=["8"], keys=[key], institutions=[], deeds=list(deeds)
    )


def alert(name: str, box: str, by: str, order: str = "") -> dict[str, object]:
    return {"class": name, "box": box, "institution": by, "references": {"order": order} if order else {}}


def test_each_questioned_message_finds_its_own_alert() -> None:
    swap = story("swap", "b1", deed("honest", "A", "1"), deed("questioned", "A", "2"), deed("questioned", "A", "3"))
    swap.planted = True
    missed = story("clone", "b2", deed("honest", "A", "1"), deed("questioned", "B", "2"), planted=True)
    mistaken = story("resale", "b3", deed("questioned", "C", "2"), planted=True)
    alerts = [alert("swap", "b1", "A", "3"), alert("swap", "b1", "A", "2"), alert("clone", "b3", "C")]
    findings = compare([swap, missed, mistaken], alerts)
    assert findings.matrix["swap"]["swap"] == 2
    assert findings.matrix["clone"]["none"] == 1
    assert findings.matrix["resale"]["clone"] == 1
    assert sum(sum(row.values()) for row in findings.matrix.values()) == 4
    assert findings.followed == 0
    assert false_alarms(findings) == 0


def test_an_alert_about_another_order_or_place_is_no_hit_but_is_counted() -> None:
    truth = story("swap", "b1", deed("questioned", "A", "2"), planted=True)
    findings = compare([truth], [alert("swap", "b1", "A", "9"), alert("swap", "b1", "B")])
    assert findings.matrix["swap"]["none"] == 1
    assert findings.followed == 2


def test_false_alarms_are_counted_by_cause_and_mis_scans_apart() -> None:
    truths = [
        story("late_upload", "b1"),
        story("mis_scan", "b1"),
        story("retry", "b2"),
        story("unreversed_return", "b3"),
    ]
    alerts = [alert("clone", "b1", "A"), alert("swap", "b2", "A"), alert("swap", "b3", "A"), alert("swap", "b9", "A")]
    findings = compare(truths, alerts)
    assert findings.apart["mis_scan"] == 1
    assert findings.apart["unreversed_return"] == 1
    assert findings.silent["retry"] == 1
    assert findings.silent["late_upload"] == 0
    assert findings.silent["everyday"] == 1
    assert false_alarms(findings) == 2


def test_a_class_of_a_newer_platform_counts_as_other() -> None:
    truth = story("swap", "b1", deed("questioned", "A", "2"), planted=True)
    findings = compare([truth], [alert("never_heard_of", "b1", "A", "2")])
    assert findings.matrix["swap"]["other"] == 1


def test_the_report_says_everything_in_both_languages() -> None:
    truth = story("swap", "b1", deed("questioned", "A", "2"), planted=True)
    findings = compare([truth], [alert("swap", "b1", "A", "2")])
    figures = {
        "boxes": 110_000,
        "scans": 250_000,
        "sales": 77_000,
        "claims_paid": 20_000,
        "money_paid": 1_234_567_890_000,
        "claims_refused": 12,
    }
    text = write_report(
        figures, findings, reasons={"conflict_sold": 12}, differences=["boxes differ"], seconds=10, codes=250_000
    )
    for part in (
        "药盒 boxes",
        "110,000",
        "1,234,567.89 元",
        "conflict_sold",
        "boxes differ",
        "25,000 码/秒",
        "must be zero",
    ):
        assert part in text
    assert all(NAMES[cause] in text for cause in (*SILENT, *APART, *FRAUDS))


def test_recalls_have_lines_of_their_own_where_there_were_orders() -> None:
    truth = story("recall", "b1", deed("honest", "A", "1"), deed("questioned", "A", "2"), planted=True)
    findings = compare([truth], [alert("recalled", "b1", "A", "2")])
    assert findings.matrix["recall"]["recalled"] == 1
    text = write_report({"orders": 3, "orders_lifted": 1, "refused_by_order": 7}, findings)
    lines = {line.strip().rpartition(" ")[0].strip(): line.rpartition(" ")[2] for line in text.splitlines()}
    assert lines["指令 orders"] == "3"
    assert lines["指令后拒付 claims refused after an order"] == "7"
    assert lines["指令后报警 alerts after an order"] == "1"
    assert "召回 Recalls" not in write_report({}, findings)


def test_an_alert_about_a_sale_before_its_recall_is_a_false_one() -> None:
    findings = compare([story("sold_before_recall", "b1", deed("honest", "A", "1"))], [alert("recalled", "b1", "A")])
    assert findings.silent["sold_before_recall"] == false_alarms(findings) == 1


def test_the_columns_of_the_matrix_stand_under_their_headings() -> None:
    truth = story("swap", "b1", deed("questioned", "A", "2"), planted=True)
    text = write_report({}, compare([truth], [])).splitlines()
    start = next(number for number, line in enumerate(text) if NAMES["none"] in line)
    heading, rows = text[start], text[start + 1 : start + 1 + len(PLANTED)]
    edge = width(heading.partition(NAMES["none"])[0] + NAMES["none"])
    assert all(width(row) == edge for row in rows)


def test_clean_books_are_called_so_and_long_lists_are_cut() -> None:
    findings = compare([], [])
    assert "the books agree" in write_report({}, findings)
    text = write_report({}, findings, differences=[f"difference {number}" for number in range(25)])
    assert "difference 19" in text
    assert "difference 20" not in text
    assert "5 more" in text


def test_every_class_and_cause_has_a_name() -> None:
    assert set(NAMES) >= {*CLASSES, *PLANTED, *SILENT, *APART, "everyday"}
    assert Path(__file__).exists()
