"""The written country: the same for the same seed, readable for every room, and true to its own truth file."""

import csv
from collections import Counter, defaultdict
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from suyuan.catalogue.exchange import read_rows
from suyuan.formats import nhsa, tables
from suyuan.simulation.country import Entry, write_country
from suyuan.simulation.noise import HIGH, LOW, noise_of
from suyuan.simulation.play import play_list, uploads
from suyuan.simulation.truth import APART, FRAUDS, PLANTED, SILENT, Deed, Totals, Truth

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

HEADER = (
    "infno",
    "msgid",
    "mdtrtarea_admvs",
    "recer_sys_code",
    "infver",
    "opter_type",
    "inf_time",
    "fixmedins_code",
    "input",
)

Message = tuple[Entry, dict[str, Any]]


@pytest.fixture(scope="module")
def messages(small_country: Path) -> list[Message]:
    entries = play_list(small_country)
    return [(entry, msgspec.json.decode(raw)) for entry, raw in uploads(small_country, entries) if entry.kind == "nhsa"]


@pytest.fixture(scope="module")
def truths(small_country: Path) -> list[Truth]:
    lines = (small_country / "truth.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Truth) for line in lines]


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        write_country(tmp_path / name, seed, institutions=12, boxes=200, days=20, noise=5)
    one, again, other = (files_in(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert one["uploads.jsonl"] != other["uploads.jsonl"]


def test_the_play_list_is_in_order_of_arrival_and_points_at_whole_messages(messages: list[Message]) -> None:
    arrivals = [entry.arrival for entry, _ in messages]
    assert arrivals == sorted(arrivals)
    for entry, body in messages:
        assert (body["infno"], body["msgid"], body["fixmedins_code"]) == (entry.infno, entry.msgid, entry.by)


def test_every_message_has_the_fields_of_the_envelope(messages: list[Message]) -> None:
    for _, body in messages:
        assert all(body.get(name) for name in HEADER), body
        assert len(body["msgid"]) == 30
        assert len(body["fixmedins_code"]) == 12


def test_every_message_and_table_is_read_without_a_fault(small_country: Path) -> None:
    for entry, raw in uploads(small_country, play_list(small_country)):
        if entry.kind == "nhsa":
            document = nhsa.read(raw)
            assert not document.fatal
            assert not document.problems, (document.problems, raw)
            assert document.records
        elif entry.kind == "table":
            for document in tables.read([raw], entry.file, entry.by):
                assert not document.problems
                assert not document.fatal
                assert document.records


def test_all_transactions_of_the_interface_that_actors_use_occur(messages: list[Message]) -> None:
    seen = {body["infno"] for _, body in messages}
    assert seen >= {"2102", "2103", "2204", "2207", "2301", "2304", "3503A", "3505", "3505A", "3506", "3507"}


def test_purchases_carry_no_codes_and_fee_lines_neither(messages: list[Message]) -> None:
    for entry, body in messages:
        if entry.infno in {"3503A", "2204", "2301"}:
            assert "drug_trac_codg" not in msgspec.json.encode(body["input"]).decode()


def test_some_settle_before_dispensing_and_scan_later(messages: list[Message]) -> None:
    settled = [body["input"] for entry, body in messages if entry.infno == "2207"]
    waiting = [
        body for body in settled if body["data"]["minpacunt_drug_trac_cnt"] > len(body.get("drug_trac_info", []))
    ]
    assert waiting
    assert len(waiting) < len(settled)


def test_the_catalogue_is_read_back_without_a_fault(small_country: Path) -> None:
    for path in sorted((small_country / "catalogue").glob("*.csv")):
        reading = read_rows(path.stem, path.read_bytes())
        assert reading.rows
        assert not reading.rejected, (path.name, reading.faults[:3])


def test_everybody_who_sends_is_listed_with_a_real_division(small_country: Path) -> None:
    with (small_country / "catalogue" / "parties.csv").open(encoding="utf-8-sig", newline="") as lines:
        parties = {row["code"]: row for row in csv.DictReader(lines)}
    for entry in play_list(small_country):
        assert entry.by in parties
        assert len(parties[entry.by]["region"]) == 6


def test_a_whole_country_has_32_provinces_and_all_kinds_of_institutions(tmp_path: Path) -> None:
    summary = write_country(tmp_path, 1, institutions=320, boxes=100, days=14, frauds=0, noise=0)
    with (tmp_path / "catalogue" / "parties.csv").open(encoding="utf-8-sig", newline="") as lines:
        parties = [row for row in csv.DictReader(lines) if row["kind"] in {"hospital", "clinic", "pharmacy"}]
    assert summary.institutions == len(parties) == 320
    assert len({row["region"][:2] for row in parties}) == 32
    assert "66" in {row["region"][:2] for row in parties}
    assert {row["kind"] for row in parties} == {"hospital", "clinic", "pharmacy"}


# Truth


def test_planted_boxes_stand_in_one_story_only(truths: list[Truth]) -> None:
    stories: dict[str, list[Truth]] = defaultdict(list)
    for truth in truths:
        for key in truth.keys:
            stories[key].append(truth)
    planted = [key for key, told in stories.items() if any(truth.planted for truth in told)]
    assert planted
    for key in planted:
        assert len(stories[key]) == 1, (key, stories[key])


def test_every_kind_is_planted_and_every_noise_occurs(truths: list[Truth]) -> None:
    kinds = Counter(truth.kind for truth in truths)
    assert all(kinds[kind] >= 2 for kind in FRAUDS)
    assert set(kinds) == {*PLANTED, *SILENT, *APART}


def test_the_truth_speaks_of_messages_that_exist_and_name_the_code(
    truths: list[Truth], messages: list[Message]
) -> None:
    by_number = {(entry.by, entry.msgid): body for entry, body in messages}
    for truth in truths:
        for deed in truth.deeds:
            body = by_number[(deed.by, deed.msgid)]
            assert body["infno"] == deed.infno
            settles_first = deed.infno == "2207" and not body["input"].get("drug_trac_info")
            if deed.code and not settles_first:
                assert deed.code in msgspec.json.encode(body).decode()


def deeds_of(truths: list[Truth], kind: str) -> list[list[Deed]]:
    return [truth.deeds for truth in truths if truth.kind == kind]


def test_a_resold_box_was_settled_at_a_hospital_far_away_long_before(truths: list[Truth]) -> None:
    for first, second in deeds_of(truths, "resale"):
        assert (first.by[0], second.by[0]) == ("H", "P")
        assert first.by[1:3] != second.by[1:3]
        assert second.at - first.at > 3 * DAY
        assert (first.role, second.role) == ("honest", "questioned")


def test_a_swapped_code_stays_at_one_place_over_days(truths: list[Truth]) -> None:
    for deeds in deeds_of(truths, "swap"):
        assert len({deed.by for deed in deeds}) == 1
        assert [deed.role for deed in deeds] == ["honest"] + ["questioned"] * (len(deeds) - 1)
        assert len(deeds) >= 3
        gaps = [later.at - earlier.at for earlier, later in pairwise(deeds)]
        assert min(gaps) > DAY // 2


def test_a_cloned_code_surfaces_in_different_provinces_within_three_days(truths: list[Truth]) -> None:
    for deeds in deeds_of(truths, "clone"):
        assert len({deed.by[1:3] for deed in deeds}) == len(deeds) >= 2
        assert deeds[-1].at - deeds[0].at < 3 * DAY


def person_in(body: dict[str, Any]) -> str:
    content = body["input"]
    return str((content.get("druginfo") or content["data"])["psn_no"])


def test_a_repeated_settlement_is_by_one_person_within_an_hour(truths: list[Truth], messages: list[Message]) -> None:
    by_number = {(entry.by, entry.msgid): body for entry, body in messages}
    for first, second in deeds_of(truths, "repeated_settlement"):
        assert second.at - first.at < DAY // 24
        assert first.references["order"] != second.references["order"]
        assert person_in(by_number[(first.by, first.msgid)]) == person_in(by_number[(second.by, second.msgid)])


def test_one_box_on_two_lines_stands_twice_in_one_claim(truths: list[Truth], messages: list[Message]) -> None:
    by_number = {(entry.by, entry.msgid): body for entry, body in messages}
    for deeds in deeds_of(truths, "two_lines"):
        rows = by_number[(deeds[0].by, deeds[0].msgid)]["input"]["drug_trac_info"]
        lines = [row["feedetl_sn"] for row in rows if row["drug_trac_codg"] == deeds[0].code]
        assert len(lines) == len(set(lines)) == 2


def test_split_boxes_are_never_sold_beyond_their_units(
    truths: list[Truth], messages: list[Message], small_country: Path
) -> None:
    with (small_country / "catalogue" / "packages.csv").open(encoding="utf-8-sig", newline="") as lines:
        units = {row["product_key"]: int(row["units"]) for row in csv.DictReader(lines)}
    by_number = {(entry.by, entry.msgid): body for entry, body in messages}
    for truth in truths:
        if truth.kind == "split":
            rows = [by_number[(deed.by, deed.msgid)]["input"]["selinfo"] for deed in truth.deeds]
            assert all(row["trdn_flag"] == "1" for row in rows)
            system, _, rest = truth.keys[0].partition(":")
            product = f"{system}:{rest[:7] if system == 'trace20' else rest[:14]}"
            assert sum(Fraction(str(row["sel_retn_cnt"])) for row in rows) <= units[product]


Order = tuple[Entry, dict[str, str]]


def orders_of(folder: Path) -> list[Order]:
    tables = ((entry, raw) for entry, raw in uploads(folder, play_list(folder)) if entry.infno.startswith("hold_"))
    return [(entry, row) for entry, raw in tables for row in csv.DictReader(raw.decode().splitlines())]


def test_a_maker_recalls_a_batch_and_a_box_and_lifts_an_order_again(small_country: Path) -> None:
    orders = orders_of(small_country)
    first = {entry.file: (entry, row) for entry, row in reversed(orders)}
    assert len(orders) == 2 * len(first) == 8
    said = [(row["kind"], row["scope"], bool(row["lot"])) for _, row in first.values()]
    assert Counter(said) == {
        ("hold_set", "batch", True): 2,
        ("hold_set", "code", False): 1,
        ("hold_lifted", "batch", True): 1,
    }
    for entry, row in first.values():
        assert moment(row["event_time"][:19].replace("T", " ")) + 8 * 3_600_000_000 < entry.arrival


def test_recalled_boxes_are_sold_before_the_order_and_questioned_after_it(
    small_country: Path, truths: list[Truth]
) -> None:
    decided = {
        row["scope"] + row["lot"]: entry.arrival
        for entry, row in reversed(orders_of(small_country))
        if row["kind"] == "hold_set"
    }
    arrival = {(entry.by, entry.msgid): entry.arrival for entry in play_list(small_country)}
    batch = next(truth for truth in truths if truth.note == "batch")
    asked = [deed for deed in batch.deeds if deed.role == "questioned"]
    assert any(deed.infno in {"2102", "2207"} for deed in asked)
    known = min(arrival[(deed.by, deed.msgid)] for deed in asked)
    order = max(at for scope, at in decided.items() if scope.startswith("batch"))
    assert known > order
    before = next(truth for truth in truths if truth.kind == "sold_before_recall")
    assert all(deed.role == "honest" and deed.at < order - HOUR * 2 // 3 for deed in before.deeds)
    assert any(arrival[(deed.by, deed.msgid)] > order for deed in before.deeds)
    assert not set(batch.keys) & set(before.keys)


def test_a_reversal_overtakes_its_settlement(truths: list[Truth], messages: list[Message]) -> None:
    arrival = {(entry.by, entry.msgid): entry.arrival for entry, _ in messages}
    reversals = {
        (entry.by, body["input"]["data"]["omsgid"]): entry.arrival
        for entry, body in messages
        if body["infno"] == "2601"
    }
    told = deeds_of(truths, "reversed_first")
    assert told
    for slow, again in told:
        assert reversals[(slow.by, slow.msgid)] < arrival[(slow.by, slow.msgid)] < arrival[(again.by, again.msgid)]


def test_a_family_shops_in_the_same_minutes_for_a_box_each(truths: list[Truth]) -> None:
    for one, other in deeds_of(truths, "family"):
        assert one.by == other.by
        assert other.at - one.at <= 2 * MINUTE
        assert one.code != other.code
        assert one.references["visit"] != other.references["visit"]


def test_herbs_cost_what_ten_grams_cost(truths: list[Truth], messages: list[Message]) -> None:
    by_number = {(entry.by, entry.msgid): body for entry, body in messages}
    herbs = [by_number[(truth.deeds[0].by, truth.deeds[0].msgid)] for truth in truths if truth.note == "exempt"]
    amounts = [(body["input"].get("druginfo") or body["input"]["data"])["medfee_sumamt"] for body in herbs]
    assert amounts
    assert 0 < max(amounts) < 300


def said(body: dict[str, Any]) -> str:
    """What a message says, without the batch numbers."""
    text = msgspec.json.encode(body["input"]).decode()
    for row in _rows(body["input"]):
        text = text.replace(f'"{row.get("fixmedins_bchno")}"', '"#"')
    return text


def test_retries_say_the_same_under_new_numbers_or_byte_for_byte(truths: list[Truth], messages: list[Message]) -> None:
    notes = [truth.note.split(" ", 2) for truth in truths if truth.kind == "retry" and truth.note[0].isdigit()]
    assert {style for _, _, style in notes} == {"same bytes", "new numbers"}
    for infno, msgid, style in notes:
        again = [body for _, body in messages if body["msgid"] == msgid]
        assert len(again) == (2 if style == "same bytes" else 1)
        same = [
            body
            for _, body in messages
            if body["infno"] == infno and body["fixmedins_code"] == again[0]["fixmedins_code"]
        ]
        assert sum(said(body) == said(again[0]) for body in same) >= 2


def _rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for node in content.values() for row in (node if isinstance(node, list) else [node])]


def test_whole_files_are_sent_twice_and_some_batches_hold_a_row_twice(
    small_country: Path, messages: list[Message], truths: list[Truth]
) -> None:
    files = Counter(entry.file for entry in play_list(small_country) if entry.kind != "nhsa")
    assert any(count == 2 for count in files.values())
    doubled = [
        body
        for entry, body in messages
        if entry.infno == "3505A"
        and any(count > 1 for count in Counter(map(repr, body["input"]["selinfoDetail"])).values())
    ]
    assert doubled
    assert any(truth.kind == "equal_lines" for truth in truths)


def test_declared_old_stock_is_never_oversold(
    small_country: Path, truths: list[Truth], messages: list[Message]
) -> None:
    with (small_country / "catalogue" / "no_code.csv").open(encoding="utf-8-sig", newline="") as lines:
        declared = {(row["institution"], row["nhsa"]): int(row["quantity"]) for row in csv.DictReader(lines)}
    visits = {(truth.institutions[0], truth.deeds[0].references["visit"]) for truth in truths if truth.note == "legacy"}
    sold: Counter[tuple[str, str]] = Counter()
    for entry, body in messages:
        if entry.infno in {"3505", "3505A"}:
            for row in _rows(body["input"]):
                if (entry.by, row["mdtrt_sn"]) in visits:
                    sold[(entry.by, row["med_list_codg"])] += row["sel_retn_cnt"]
    assert all(count <= declared[key] for key, count in sold.items())


def test_late_uploads_arrive_after_what_they_tell_of(truths: list[Truth], messages: list[Message]) -> None:
    late = {
        tuple(truth.note.split()[:2]) for truth in truths if truth.kind == "late_upload" and truth.note[0].isdigit()
    }
    delays = [
        entry.arrival - moment(body["inf_time"]) for entry, body in messages if (entry.infno, entry.msgid) in late
    ]
    assert delays
    assert min(delays) >= DAY // 6


def moment(written: str) -> int:
    return int(datetime.fromisoformat(f"{written}+08:00").timestamp()) * 1_000_000


def test_the_totals_count_what_the_truth_tells(small_country: Path, truths: list[Truth]) -> None:
    totals = msgspec.json.decode((small_country / "truth_totals.json").read_bytes(), type=Totals)
    assert totals.boxes == 500
    assert totals.institutions == 20
    assert totals.stories == dict(sorted(Counter(truth.kind for truth in truths).items()))
    assert totals.claims == totals.claims_paid + totals.claims_held + totals.claims_refused
    refused = sum(totals.questioned.values())
    assert totals.claims_refused >= refused - totals.questioned["resale"]


# Levels of noise


def test_levels_of_noise_are_low_high_or_a_multiple_of_low(tmp_path: Path) -> None:
    assert noise_of("low") == noise_of(1.0) == noise_of("1") == LOW
    assert noise_of("high") == HIGH
    assert noise_of(2.0).rescan == 2 * LOW.rescan
    summary = write_country(tmp_path, 1, institutions=20, boxes=500, days=30, noise=0)
    assert set(summary.stories) == {*PLANTED, "sold_before_recall", "lifted_order"}


@pytest.mark.parametrize("level", ["loud", -1, "-0.5", float("nan")])
def test_another_level_of_noise_is_refused_with_words(tmp_path: Path, level: str | float) -> None:
    with pytest.raises(ValueError, match="say low, high, or a number"):
        write_country(tmp_path, 1, noise=level)
    assert not list(tmp_path.iterdir())


def test_too_few_days_or_institutions_are_refused_with_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 14 days"):
        write_country(tmp_path, 1, days=3)
    with pytest.raises(ValueError, match="at least 10"):
        write_country(tmp_path, 1, institutions=9)


@pytest.mark.parametrize(("institutions", "boxes"), [(10, 10), (10, 0), (11, 60)])
def test_the_smallest_countries_can_be_written(tmp_path: Path, institutions: int, boxes: int) -> None:
    summary = write_country(tmp_path, 1, institutions=institutions, boxes=boxes, days=14, noise="high")
    assert summary.uploads == len(play_list(tmp_path))
