"""Reporting a problem in a real Chromium on a phone-sized page: the form, its photos, the number, the answer."""

import base64
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ageing import ageing_faults, enlarged_faults, unreachable
from PIL import Image
from playwright.sync_api import expect
from portal import INSPECTOR, Portal, Visit, axe
from receipt_till import Till
from story import PHARMACY_P

from suyuan.codes.barcode import read_codes

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PICTURES = os.environ.get("SUYUAN_PICTURES", "")
"""A folder: screenshots for the docs are written there."""


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One running portal that takes many reports from here."""
    settings = 'policy = "strict"\nblock_cache_mb = 16\nrate_report = "1000/hour"\n'
    with Portal(tmp_path_factory.mktemp("portal") / "node", settings) as running:
        yield running


@pytest.fixture(scope="module")
def box(portal: Portal) -> str:
    with Till(portal, PHARMACY_P) as till:
        sold = till.new_box()
        till.sell("S1", sold)
        return sold


@pytest.fixture
def visit(portal: Portal, browser: Any) -> Iterator[Visit]:
    opened = Visit(browser, portal)
    yield opened
    opened.context.close()


def photo(side: int = 3000) -> dict[str, Any]:
    """A picture as a phone takes it: large, and with its place."""
    exif = Image.Exif()
    exif[0x010F] = "Phone of Zhang San"
    file = io.BytesIO()
    Image.effect_noise((side, side // 2), 40).convert("RGB").save(file, "JPEG", exif=exif)
    return {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}


def picture(visit: Visit, name: str) -> None:
    if PICTURES:
        visit.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def fill(page: Any) -> None:
    page.check("input[name=traits][value=print]")
    page.check("input[name=traits][value=sold_before]")
    page.fill("#words", "盒子上的追溯码像是重新贴过的")
    page.select_option("#region", label="广州市")


def test_a_citizen_reports_from_the_answer_and_follows_it_to_the_agencys_words(
    portal: Portal, visit: Visit, box: str
) -> None:
    page = visit.page
    page.goto(f"/check?code={box}&answer=not_mine")
    page.get_by_role("link", name="我要反映问题").first.click()
    expect(page.locator("#code")).to_have_value(box)
    page.locator("input[name=sale]").first.check()
    fill(page)
    page.set_input_files("#photos", [photo(), photo()])
    expect(page.locator("#photos-state")).to_contain_text("已选2张照片")
    expect(page.locator("#thumbnails img")).to_have_count(2)
    assert axe(page) == []
    picture(visit, "report")
    page.get_by_role("button", name="移除第2张照片").click()
    expect(page.locator("#thumbnails img")).to_have_count(1)
    page.click("#send")
    number = page.locator("#receipt-number").inner_text()
    expect(page.locator("[role=status]").first).to_have_text("您的反映已收到，请记下受理编号。")
    assert axe(page) == []
    with portal.client(INSPECTOR) as inspector:
        evidence = inspector.get(f"/api/v1/reports/{number}/evidence").json()
        assert evidence["report"]["institution"] == PHARMACY_P
        assert len(evidence["photos"]) == 1
        kept = Image.open(io.BytesIO(inspector.get(evidence["photos"][0]).content))
        assert not kept.getexif()
        assert max(kept.size) <= 2000
        for step, words in (
            ("taken_up", ""),
            ("checking", "已联系药店核实"),
            ("answered", "药品来源合法，系重复扫码。"),
        ):
            told = inspector.post(f"/api/v1/reports/{number}/steps", json={"step": step, "words": words})
            assert told.status_code == 200
    page.goto("/report")
    page.fill("#receipt", number.lower().replace("-", ""))
    page.get_by_role("button", name="查看进展").click()
    expect(page.locator("[aria-current=step]")).to_contain_text("已答复")
    expect(page.locator(".said .words").first).to_have_text("药品来源合法，系重复扫码。")
    address = base64.b64decode(page.locator("img.qr").get_attribute("src").partition(",")[2]).decode()
    assert address.startswith("<svg")
    shot = page.locator("img.qr").screenshot()
    [seen] = read_codes(shot)
    assert seen.text.endswith(f"{portal.address}/report/{number}")
    assert axe(page) == []
    picture(visit, "report-followed")
    visit.check()


def test_a_form_sent_twice_by_a_nervous_finger_and_again_by_the_way_back_is_one_report(
    portal: Portal, visit: Visit, box: str
) -> None:
    page = visit.page
    page.goto(f"/report?code={box}")
    fill(page)
    page.locator("#send").dblclick()
    number = page.locator("#receipt-number").inner_text()
    page.go_back()
    page.click("#send")
    page.wait_for_url("**/report/*sent=again")
    assert page.locator("#receipt-number").inner_text() == number
    page.go_back()
    page.fill("#words", "还有一件事")
    page.click("#send")
    page.wait_for_url("**/report/*sent=changed")
    page.get_by_role("link", name="打开新表单").click()
    fill(page)
    page.click("#send")
    page.wait_for_url("**/report/*sent=new")
    assert page.locator("#receipt-number").inner_text() != number
    visit.check()


def test_without_a_script_the_report_gets_its_number_too(portal: Portal, browser: Any, box: str) -> None:
    visit = Visit(browser, portal, java_script_enabled=False)
    page = visit.page
    page.goto(f"/report?code={box}")
    fill(page)
    page.set_input_files("#photos", [photo(600)])
    page.click("#send")
    expect(page.locator("#receipt-number")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("照片1")
    visit.check()
    visit.context.close()


def test_what_is_missing_is_told_above_the_form_and_each_word_leads_to_its_field(visit: Visit) -> None:
    page = visit.page
    page.goto("/report")
    page.click("#send")
    expect(page.locator("#faults")).to_be_focused()
    page.get_by_role("link", name="请选择发生地。").click()
    assert page.evaluate("location.hash") == "#region"
    assert axe(page) == []
    # The browser itself notes the status of the answer; nothing else may stand in the console.
    assert [fault for fault in visit.faults if "422" not in fault] == []


@pytest.mark.parametrize("elder", [False, True])
def test_form_follow_up_and_sheet_keep_the_numbers_for_ageing_eyes(visit: Visit, box: str, *, elder: bool) -> None:
    page = visit.page
    if elder:
        page.goto("/preferences?elder=1&next=/report")
    page.goto(f"/report?code={box}")
    fill(page)
    assert axe(page) == []
    assert ageing_faults(page, elder=elder) == []
    page.click("#send")
    expect(page.locator("#receipt-number")).to_be_visible()
    assert axe(page) == []
    assert ageing_faults(page, elder=elder) == []
    picture(visit, "report-elder" if elder else "report-received")
    page.goto(f"/compensation?code={box}")
    assert axe(page) == []
    assert ageing_faults(page, elder=elder) == []
    assert enlarged_faults(page) == []
    visit.check()


def test_every_part_of_the_form_is_reached_by_the_keyboard(visit: Visit, box: str) -> None:
    visit.page.goto(f"/report?code={box}")
    # Tab comes to one button of a group, arrows to the others.
    assert [one for one in unreachable(visit.page) if "radio" not in one] == []


def test_the_letter_alone_is_printed(visit: Visit, box: str) -> None:
    page = visit.page
    page.goto(f"/compensation?code={box}")
    page.emulate_media(media="print")
    expect(page.locator(".letter")).to_be_visible()
    for gone in (".top", "#keep", "#law", "[data-print]"):
        expect(page.locator(gone).first).to_be_hidden()
    visit.check()
