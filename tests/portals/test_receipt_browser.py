"""The check of a receipt in a real Chromium: signed, altered, given back, and with the network and the server gone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ageing import ageing_faults, enlarged_faults
from playwright.sync_api import expect
from portal import Portal, Visit, axe
from receipt_till import Till
from story import PHARMACY_P

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GTIN_BOX = "(01)06901234567892(21)SN77"


@pytest.fixture
def till(portal: Portal) -> Iterator[Till]:
    with Till(portal, PHARMACY_P) as opened:
        yield opened


@pytest.fixture
def visit(portal: Portal, browser: Any) -> Iterator[Visit]:
    opened = Visit(browser, portal)
    yield opened
    opened.context.close()


def answer(visit: Visit) -> Any:
    return visit.page.locator("#title")


def test_the_page_proves_what_the_receipt_binds_and_tells_its_boxes_from_others(till: Till, visit: Visit) -> None:
    boxes, other = [till.new_box(), till.new_box(), GTIN_BOX], till.new_box()
    till.sell("S1", *boxes)
    [part] = till.issue(*boxes, receipt="S1")["parts"]
    page = visit.page
    page.goto(part["address"])
    expect(answer(visit)).to_have_text("由本平台签发，未被改动")
    expect(page.locator("#standing")).to_contain_text("仍然有效")
    expect(page.locator("#facts")).to_contain_text("2026年11月20日 10:00")
    expect(page.locator("#facts")).to_contain_text("药品盒数3")
    spaced = " ".join(boxes[0][place : place + 4] for place in range(0, 20, 4))
    scanned = "]d20106901234567892172812311010LOT1\x1d21SN77"
    for typed, told in (
        (spaced, "是：这盒药在这张小票上"),
        (boxes[2], "是：这盒药在这张小票上"),
        (scanned.replace("10LOT1", "LOT1"), "是：这盒药在这张小票上"),
        ("https://id.gs1.org/01/06901234567892/21/SN77", "是：这盒药在这张小票上"),
        ("S1", "是：与小票号一致"),
        (other, "否：这盒药不在这张小票上"),
        ("", "请先输入追溯码。"),
        ("other kind of code", "此类编码需由平台核对，请使用下面的表单。"),
    ):
        page.evaluate("text => { document.getElementById('box').value = text; }", typed)
        page.click("#ask button")
        expect(page.locator("#on")).to_have_text(told)
    assert axe(page) == []
    visit.check()


def test_an_altered_token_a_cut_one_and_no_token_are_told_apart(till: Till, visit: Visit) -> None:
    box = till.new_box()
    till.sell("S2", box)
    address = till.issue(box)["parts"][0]["address"]
    middle = len(address) - 100
    altered = address[:middle] + str((int(address[middle]) + 1) % 10) + address[middle + 1 :]
    page = visit.page
    page.goto(address)
    expect(answer(visit)).to_have_text("由本平台签发，未被改动")
    for wrong, told in (
        (altered, "内容被改动或不完整"),
        (address[:-2], "内容被改动或不完整"),
        (address.partition("#")[0] + "#12345", "这不是本平台的小票"),
    ):
        # Another fragment of the same page is no new load: the page must look again by itself.
        page.goto(wrong)
        expect(answer(visit)).to_have_text(told)
        expect(page.locator("#ask")).to_be_hidden()
        assert axe(page) == []
    page.goto(address)
    expect(answer(visit)).to_have_text("由本平台签发，未被改动")
    visit.check()


def test_a_key_of_another_node_is_not_taken_for_ours(till: Till, visit: Visit, browser: Any, tmp_path: Path) -> None:
    box = till.new_box()
    till.sell("S3", box)
    address = till.issue(box)["parts"][0]["address"]
    with Portal(tmp_path / "other") as other:
        away = Visit(browser, other)
        away.page.goto("/receipt#" + address.partition("#")[2])
        expect(away.page.locator("#title")).to_have_text("由其他节点签发")
        away.check()
        away.context.close()


def test_a_return_since_is_told_in_words_and_colour(till: Till, visit: Visit) -> None:
    box = till.new_box()
    till.sell("S4", box)
    address = till.issue(box)["parts"][0]["address"]
    till.give_back("S4", box)
    visit.page.goto(address)
    expect(visit.page.locator("#standing")).to_contain_text("该次销售已退货或撤销")
    expect(visit.page.locator("#verdict")).to_have_class("verdict bad")
    expect(visit.page.locator("#facts")).to_contain_text("签发时无退货")
    assert axe(visit.page) == []
    visit.check()


def test_without_a_network_and_without_the_server_the_page_still_proves_the_binding(
    browser: Any, tmp_path: Path
) -> None:
    with Portal(tmp_path / "node") as portal, Till(portal, PHARMACY_P) as till:
        first, second, other = till.new_box(), till.new_box(), till.new_box()
        till.sell("S5", first)
        till.sell("S6", second)
        addresses = [till.issue(box)["parts"][0]["address"] for box in (first, second)]
        visit = Visit(browser, portal)
        page = visit.page
        page.goto(addresses[0])
        expect(page.locator("#offline")).to_have_text("已可离线使用")
        visit.check()
        visit.context.set_offline(True)
        portal.kill()
        # A receipt that this device has never seen, in a tab of its own.
        page = visit.open()
        page.goto(addresses[1])
        expect(page.locator("#title")).to_have_text("由本平台签发，未被改动")
        expect(page.locator("#standing")).to_contain_text("没有网络，未查询退货情况")
        for typed, told in ((second, "是：这盒药在这张小票上"), (other, "否：这盒药不在这张小票上")):
            page.fill("#box", typed)
            page.click("#ask button")
            expect(page.locator("#on")).to_have_text(told)
        last = addresses[1][-1]
        page.goto(addresses[1][:-1] + str((int(last) + 1) % 10))
        expect(page.locator("#title")).to_have_text("内容被改动或不完整")
        assert axe(page) == []
        visit.context.close()
        portal.start()


def test_a_browser_without_a_script_gets_the_same_answer_from_the_server(
    till: Till, portal: Portal, browser: Any
) -> None:
    box = till.new_box()
    till.sell("S7", box)
    address = till.issue(box)["parts"][0]["address"]
    visit = Visit(browser, portal, java_script_enabled=False)
    visit.page.goto(address)
    visit.page.click("summary")
    visit.page.fill("#token", address)
    visit.page.fill("#code", box)
    visit.page.click("#by-hand button")
    expect(answer(visit)).to_have_text("由本平台签发，未被改动")
    expect(visit.page.locator(".verdict .on")).to_contain_text("是：这盒药在这张小票上")
    visit.check()
    visit.context.close()


@pytest.mark.parametrize("elder", [False, True])
def test_the_page_keeps_the_numbers_for_ageing_eyes(till: Till, visit: Visit, elder: bool) -> None:  # noqa: FBT001  a parameter of the test
    box = till.new_box()
    till.sell(f"S8{elder}", box)
    address = till.issue(box)["parts"][0]["address"]
    if elder:
        visit.page.goto("/preferences?elder=1&next=/receipt")
    visit.page.goto(address)
    expect(visit.page.locator("#standing")).to_contain_text("仍然有效")
    assert ageing_faults(visit.page, elder=elder) == []
    visit.page.fill("#box", box)
    visit.page.click("#ask button")
    expect(visit.page.locator("#on")).to_contain_text("是")
    assert axe(visit.page) == []
    assert ageing_faults(visit.page, elder=elder) == []
    assert enlarged_faults(visit.page) == []
    visit.check()
