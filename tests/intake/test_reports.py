"""Citizens' reports: what is kept, what is sealed, who may move them on, and what comes twice."""

import io
import string
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from story import PHARMACY_P, Story

from suyuan.carry import export_node, import_node
from suyuan.catalogue.catalogue import Catalogue
from suyuan.intake.photos import PhotoRefused, clean_photo
from suyuan.intake.report_number import ALPHABET, number_of, read_number, spelled
from suyuan.intake.reports import (
    Report,
    ReportRefused,
    StepRefused,
    open_contact,
    open_photo,
    open_words,
    read_report,
    take_report,
    take_step,
)
from suyuan.ledger.events import encoder
from suyuan.lookup.citizen import check
from suyuan.lookup.story import tell
from suyuan.lookup.totals import count_all
from suyuan.node import Node
from suyuan.views.follow import Views
from suyuan.views.reports import ReportsView, ReportsWanted, count_by_state, reports_before, reports_of_boxes

INSPECTOR = "S44000000001"
TOKEN = "form-0123456789abcdef"


def photo(*, place: bool = False, form: str = "JPEG", size: tuple[int, int] = (640, 480)) -> bytes:
    """A picture as a phone sends it; with the place where it was taken, if asked for."""
    picture = Image.new("RGB", size, "teal")
    exif = Image.Exif()
    if place:
        exif[0x010F] = "Phone of Zhang San"
        exif.get_ifd(0x8825)[2] = (23.0, 7.0, 46.0)
    file = io.BytesIO()
    picture.save(file, form, exif=exif)
    return file.getvalue()


def report(code: str = "", **said: object) -> Report:
    values: dict[str, object] = {
        "token": TOKEN,
        "code": code,
        "region": "440100",
        "institution": PHARMACY_P,
        "place": "张三大药房",
        "traits": ("sold_before", "print"),
        "words": "盒子上的字是模糊的，我叫张三",
        "contact": "13800138000",
        **said,
    }
    return msgspec.convert(values, Report)


def test_a_report_is_kept_whole_and_nothing_of_its_words_stands_in_the_clear() -> None:
    story = Story()
    box = story.new_box()
    taken = take_report(story.desk, report(box, photos=(photo(place=True), photo(form="PNG"))))
    file = read_report(story.desk.ledger, spelled(taken.receipt).lower())
    assert file is not None
    assert (file.state, file.code, file.region, file.institution) == ("received", box, "440100", PHARMACY_P)
    assert open_words(story.desk, file).words == "盒子上的字是模糊的，我叫张三"
    assert [open_photo(story.desk, file, place)[:2] for place in (0, 1)] == [b"\xff\xd8"] * 2
    stored = b"".join(encoder.encode(event) for event in story.events())
    sealed = b"".join(story.journal.document(name) or b"" for name in [file.document, file.contact, *file.photos])
    for secret in ("张三", "13800138000", "模糊", "Zhang San"):
        assert secret.encode() not in stored + sealed


def test_a_report_stands_in_the_history_of_its_code_and_changes_nothing_about_the_box() -> None:
    story = Story()
    box, other = story.new_box(), story.new_box()
    for code in (box, other):
        story.report_sale(PHARMACY_P, code, visit=code)
    before = check(story.desk.ledger, story.desk.catalogue, box)
    receipt = take_report(story.desk, report(box)).receipt
    told = tell(story.desk.ledger, story.desk.catalogue, box).chapters
    assert [chapter.references for chapter in told if chapter.kind == "reported"] == [{"report": receipt}]
    assert check(story.desk.ledger, story.desk.catalogue, box) == before
    assert story.settle(PHARMACY_P, box, visit=box).verdict == story.settle(PHARMACY_P, other, visit=other).verdict


@pytest.mark.parametrize("code", ["", "nothing known", "9" * 20, "00000000000000000000", "6901234567892"])
def test_a_report_without_the_code_of_a_box_is_taken_and_says_nothing_of_any_box(code: str) -> None:
    story = Story()
    taken = take_report(story.desk, report(code))
    assert {event.key for event in story.events()} == {f"report:{taken.receipt}"}
    assert check(story.desk.ledger, story.desk.catalogue, code).outcome != "none"


def test_what_was_typed_for_a_code_and_is_none_is_sealed_too() -> None:
    story = Story()
    receipt = take_report(story.desk, report("张三13800138000")).receipt
    file = read_report(story.desk.ledger, receipt)
    assert file is not None
    assert (file.code, open_words(story.desk, file).code) == ("", "张三13800138000")
    assert b"13800138000" not in b"".join(encoder.encode(event) for event in story.events())


def test_a_code_with_two_readings_is_linked_under_review_so_that_no_reading_gains_by_it() -> None:
    story = Story()
    lost = "0106901234567892" + "10ABCDEFGH17300101" + "21SN123456"  # the separators behind lot and serial were lost
    story.report_sale(PHARMACY_P, lost)
    take_report(story.desk, report(lost))
    [linked] = [event for event in story.events() if event.kind == "reported" and not event.key.startswith("report:")]
    assert linked.reasons == ("code_review",)


def test_a_code_that_nobody_ever_uploaded_gets_no_history_by_being_reported() -> None:
    story = Story()
    box = story.new_box()
    before = check(story.desk.ledger, story.desk.catalogue, box)
    take_report(story.desk, report(box))
    assert all(event.key.startswith("report:") for event in story.events())
    assert count_all(story.journal)[0].boxes == 0
    assert check(story.desk.ledger, story.desk.catalogue, box) == before


def test_the_same_form_sent_twice_is_one_report_and_one_with_other_words_is_told_so() -> None:
    story = Story()
    box = story.new_box()
    first = take_report(story.desk, report(box))
    again = take_report(story.desk, report(box))
    changed = take_report(story.desk, report(box, words="something else"))
    assert (first.first, again.first, changed.first) == (True, False, False)
    assert (again.changed, changed.changed) == (False, True)
    assert first.receipt == again.receipt == changed.receipt
    assert take_report(story.desk, report(box, token=TOKEN + "2")).receipt != first.receipt
    file = read_report(story.desk.ledger, first.receipt)
    assert file is not None
    assert open_words(story.desk, file).words.startswith("盒子")


def test_many_threads_that_send_one_form_make_one_report() -> None:
    story = Story()
    box, receipts = story.new_box(), []

    def send() -> None:
        receipts.append(take_report(story.desk, report(box)).receipt)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 8
    assert len(set(receipts)) == 1
    assert [event.sequence for event in story.events() if event.key == f"report:{receipts[0]}"] == [1, 2]


def test_what_cannot_be_used_is_told_field_by_field_and_nothing_is_written() -> None:
    story = Story()
    wrong = report(
        institution="张三",
        region="999999",
        traits=("rude",),
        words="x" * 3000,
        happened=story.now * 2,
        photos=(b"GIF89a",) * 6,
        token="",
    )
    with pytest.raises(ReportRefused) as refused:
        take_report(story.desk, wrong)
    fields = {fault.field for fault in refused.value.faults}
    assert fields == {"token", "institution", "region", "traits", "words", "happened", "photos"}
    assert not story.events()
    assert take_report(story.desk, report()).first


def test_a_report_moves_on_step_by_step_and_the_answer_is_public() -> None:
    story = Story()
    receipt = take_report(story.desk, report(story.new_box())).receipt
    with pytest.raises(StepRefused, match="follow"):
        take_step(story.desk, receipt, "checking", INSPECTOR)
    for step, words in (("taken_up", ""), ("checking", "已联系药店"), ("answered", "药品为正品，系重复扫码。")):
        assert take_step(story.desk, receipt, step, INSPECTOR, words).state == step
    before = len(story.events())
    file = take_step(story.desk, receipt, "answered", INSPECTOR, "药品为正品，系重复扫码。")
    assert len(story.events()) == before, "the same step twice is one step"
    assert [step.state for step in file.steps] == ["taken_up", "checking", "answered"]
    assert file.steps[-1].words == "药品为正品，系重复扫码。"
    assert take_step(story.desk, receipt, "checking", INSPECTOR, "复核").state == "checking"


@pytest.mark.parametrize(
    ("step", "words", "region"),
    [
        ("answered", "", ""),
        ("answered", "请致电13800138000", ""),
        ("taken_up", "身份证 11010519491231002X", ""),
        ("passed_on", "", "999999"),
        ("closed", "", ""),
        ("taken_up", "x" * 1001, ""),
    ],
)
def test_a_step_that_should_not_be_public_or_leads_nowhere_is_refused(step: str, words: str, region: str) -> None:
    story = Story()
    receipt = take_report(story.desk, report()).receipt
    take_step(story.desk, receipt, "taken_up", INSPECTOR)
    before = len(story.events())
    with pytest.raises(StepRefused):
        take_step(story.desk, receipt, step, INSPECTOR, words, region=region)
    assert len(story.events()) == before
    with pytest.raises(StepRefused, match="no report"):
        take_step(story.desk, number_of(b"12345678"), "taken_up", INSPECTOR)


def test_a_report_passed_on_waits_anew_in_the_other_region() -> None:
    story = Story()
    receipt = take_report(story.desk, report()).receipt
    file = take_step(story.desk, receipt, "passed_on", INSPECTOR, "转北京市处理", region="110000")
    assert (file.state, file.region) == ("received", "110000")


def test_the_contact_is_opened_with_a_reason_that_stays_in_the_history() -> None:
    story = Story()
    receipt = take_report(story.desk, report()).receipt
    file = read_report(story.desk.ledger, receipt)
    assert file is not None
    with pytest.raises(StepRefused, match="why"):
        open_contact(story.desk, file, INSPECTOR, " ")
    assert open_contact(story.desk, file, INSPECTOR, "核实购买时间", person="li") == "13800138000"
    file = read_report(story.desk.ledger, receipt)
    assert file is not None
    assert [(one.by, one.person, one.words) for one in file.openings] == [(INSPECTOR, "li", "核实购买时间")]
    assert file.state == "received"


def test_the_queue_shows_each_region_its_own_and_follows_every_step() -> None:
    story = Story()
    box = story.new_box()
    receipts = [
        take_report(story.desk, report(box, token=f"{TOKEN}{place}", region=region)).receipt
        for place, region in enumerate(("440100", "110101", "440300"))
    ]
    take_step(story.desk, receipts[0], "taken_up", INSPECTOR)
    views = Views.open(None, story.journal, (ReportsView(),))
    try:
        views.catch_up()
        with views.read() as connection:
            guangdong = ReportsWanted(scope_region="44")
            found = reports_before(connection, 0, 10, guangdong)
            assert [row.receipt for row in found] == [receipts[2], receipts[0]]
            assert [row.receipt for row in reports_before(connection, found[0].number, 10, guangdong)] == [receipts[0]]
            assert [row.region for row in reports_before(connection, 0, 10, ReportsWanted(scope_region="11"))] == [
                "110101"
            ]
            assert len(reports_of_boxes(connection, [f"trace20:{box}"], ReportsWanted())) == 3
            assert count_by_state(connection, guangdong) == {"received": 1, "taken_up": 1, "checking": 0, "answered": 0}
        take_step(story.desk, receipts[0], "passed_on", INSPECTOR, region="110000")
        views.catch_up()
        with views.read() as connection:
            assert [row.receipt for row in reports_before(connection, 0, 10, guangdong)] == [receipts[2]]
    finally:
        views.close()


def test_reports_with_their_photos_travel_with_the_node(tmp_path: Path) -> None:
    with Node.open(tmp_path / "old") as node:
        receipt = take_report(node.desk, report(photos=(photo(),))).receipt
        export_node(node, tmp_path / "all", secrets=True)
    import_node(tmp_path / "new", tmp_path / "all")
    with Node.open(tmp_path / "new") as node:
        file = read_report(node.ledger, receipt)
        assert file is not None
        assert open_photo(node.desk, file, 0).startswith(b"\xff\xd8")
        assert open_contact(node.desk, file, INSPECTOR, "why") == "13800138000"
        assert isinstance(node.catalogue, Catalogue)


# Receipt numbers


@given(st.binary(min_size=8, max_size=8), st.integers(0, 11), st.sampled_from(ALPHABET))
def test_one_wrong_character_of_a_receipt_number_is_found(raw: bytes, place: int, sign: str) -> None:
    number = number_of(raw)
    assert read_number(f" {spelled(number).lower()} ") == number
    if sign != number[place]:
        assert not read_number(number[:place] + sign + number[place + 1 :])


@given(st.binary(min_size=8, max_size=8), st.integers(0, 10), st.integers(1, 11))
def test_two_characters_that_changed_places_are_found(raw: bytes, first: int, apart: int) -> None:
    signs = list(number_of(raw))
    second = (first + apart) % 12
    signs[first], signs[second] = signs[second], signs[first]
    assert ("".join(signs) == number_of(raw)) == bool(read_number("".join(signs)))


@given(st.text(alphabet=string.printable, max_size=20))
def test_no_other_text_is_taken_for_a_number_that_it_does_not_spell(text: str) -> None:
    number = read_number(text)
    assert not number or spelled(number).replace("-", "") in "".join(text.upper().split()).replace("-", "")


# Photos


def test_a_photo_loses_its_place_and_camera_and_keeps_its_picture() -> None:
    raw = photo(place=True, size=(3000, 1000))
    assert Image.open(io.BytesIO(raw)).getexif()
    with Image.open(io.BytesIO(clean_photo(raw))) as cleaned:
        assert not cleaned.getexif()
        assert cleaned.size == (2000, 667)
        assert cleaned.format == "JPEG"


def test_a_photo_taken_sideways_stands_upright() -> None:
    picture, file, exif = Image.new("RGB", (40, 20), "white"), io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    picture.save(file, "JPEG", exif=exif)
    with Image.open(io.BytesIO(clean_photo(file.getvalue()))) as cleaned:
        assert cleaned.size == (20, 40)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<svg onload='x'/>",
        b"GIF89a\x01\x00\x01\x00",
        photo()[:200],
        b"\x00\x00\x00\x18ftypheic" + bytes(50),
        b"%PDF",
    ],
)
def test_what_is_no_photo_is_refused_in_words(raw: bytes) -> None:
    with pytest.raises(PhotoRefused, match=r"JPEG|photo"):
        clean_photo(raw)
    assert clean_photo(photo(form="WEBP")).startswith(b"\xff\xd8")


def test_a_small_file_that_unpacks_to_a_huge_picture_is_refused_before_it_is_unpacked() -> None:
    file = io.BytesIO()
    Image.new("1", (6_000, 6_000)).save(file, "PNG")
    assert len(file.getvalue()) < 200_000
    with pytest.raises(PhotoRefused, match="pixels"):
        clean_photo(file.getvalue())
