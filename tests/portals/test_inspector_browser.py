"""The live page in a real browser: alerts as they come, keys, filters, pause, the map with its inset, and axe."""

import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from live_watch import sell_twice
from portal import axe
from story import HOSPITAL_A, HOSPITAL_FAR, PHARMACY_P, PHARMACY_Q
from watch_room import WatchRoom

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOADS = 16
"""A stream that connects in seven loads of eight was once a feed that nobody trusted."""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchRoom]:
    with WatchRoom(tmp_path_factory.mktemp("room") / "node") as running:
        yield running


def live(page: Any) -> None:
    """Wait until the stream is open."""
    page.locator("#connection.live").wait_for()


def test_an_alert_raised_elsewhere_appears_by_itself(room: WatchRoom, browser: Any) -> None:
    visit = room.visit(browser, "guangdong")
    page = visit.page
    page.goto("/inspector")
    live(page)
    code = sell_twice(room, HOSPITAL_A, PHARMACY_P)
    row = page.locator("#feed .item", has_text=code)
    row.wait_for()
    assert "疑似复制码" in row.inner_text()
    assert page.locator("#feed .item").first.locator("code").inner_text() == code
    # The figures follow by themselves, a moment later.
    page.locator("[data-figure=alerts]", has_text=re.compile("[1-9]")).wait_for()
    row.locator("a").click()
    page.wait_for_url("**/inspector/alerts/*")
    assert page.locator("h1").inner_text().startswith("疑似复制码")
    visit.check()


def test_the_stream_connects_at_every_load(room: WatchRoom, browser: Any) -> None:
    visit = room.visit(browser, "guangdong")
    for _ in range(LOADS):
        visit.page.goto("/inspector")
        live(visit.page)
    code = sell_twice(room, HOSPITAL_A, PHARMACY_P)
    visit.page.locator("#feed .item", has_text=code).wait_for()
    assert visit.page.locator("#feed .item", has_text=code).count() == 1
    visit.check()


def test_a_pause_holds_new_alerts_back_until_it_ends(room: WatchRoom, browser: Any) -> None:
    visit = room.visit(browser, "guangdong")
    page = visit.page
    page.goto("/inspector")
    live(page)
    page.keyboard.press("p")
    code = sell_twice(room, HOSPITAL_A, PHARMACY_P)
    page.get_by_role("button", name="有1条新预警").wait_for()
    assert page.locator("#feed .item", has_text=code).count() == 0
    page.keyboard.press("p")
    page.locator("#feed .item", has_text=code).wait_for()
    assert page.locator("#sound").get_attribute("aria-pressed") == "false", "no sound before it is asked for"
    visit.check()


def test_keys_move_open_and_filter_without_a_mouse(room: WatchRoom, browser: Any) -> None:
    for _ in range(2):
        sell_twice(room, HOSPITAL_A, PHARMACY_P)
    visit = room.visit(browser, "guangdong")
    page = visit.page
    page.goto("/inspector")
    page.locator("#feed .item").nth(1).wait_for()
    focused = "document.activeElement.getAttribute('href') || document.activeElement.id"
    links = [page.locator("#feed .item a").nth(place).get_attribute("href") for place in range(2)]
    page.keyboard.press("j")
    assert page.evaluate(focused) == links[0]
    page.keyboard.press("j")
    assert page.evaluate(focused) == links[1]
    page.keyboard.press("k")
    assert page.evaluate(focused) == links[0]
    page.keyboard.press("/")
    assert page.evaluate(focused) == "f-region"
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{links[0]}")
    visit.check()


def test_filters_are_kept_in_the_address_and_saved_under_a_name(room: WatchRoom, browser: Any) -> None:
    visit = room.visit(browser, "nation")
    page = visit.page
    page.goto("/inspector")
    page.select_option("#f-class", "clone")
    page.select_option("#f-region", "440000")
    page.get_by_role("button", name="筛选", exact=True).click()
    page.wait_for_url("**class=clone**")
    live(page)
    page.fill("#save-name", "广东复制码")
    page.get_by_role("button", name="保存筛选").click()
    shown = sell_twice(room, HOSPITAL_A, PHARMACY_P)
    hidden = sell_twice(room, PHARMACY_Q, PHARMACY_Q)
    far = sell_twice(room, HOSPITAL_FAR, HOSPITAL_FAR)
    again = sell_twice(room, HOSPITAL_A, PHARMACY_P)
    page.locator("#feed .item", has_text=again).wait_for()
    text = page.locator("#feed").inner_text()
    assert shown in text
    assert hidden not in text
    assert far not in text
    page.goto("/inspector")
    page.get_by_role("link", name="广东复制码").click()
    page.wait_for_url("**region=440000**")
    assert page.locator("#f-class").input_value() == "clone"
    page.get_by_role("button", name="删除: 广东复制码").click()
    assert page.get_by_role("link", name="广东复制码").count() == 0
    visit.check()


def test_a_server_that_comes_back_is_found_again_and_nothing_is_missed(room: WatchRoom, browser: Any) -> None:
    visit = room.visit(browser, "guangdong")
    page = visit.page
    page.goto("/inspector")
    live(page)
    room.kill()
    page.locator("#connection:not(.live)").wait_for()
    room.start()
    code = sell_twice(room, HOSPITAL_A, PHARMACY_P)
    page.locator("#feed .item", has_text=code).wait_for(timeout=30_000)
    live(page)
    # The broken connection itself is the one thing that the console may tell of.
    assert all("ERR_" in fault for fault in visit.faults), visit.faults


def test_the_map_is_drawn_with_the_islands_of_the_south_china_sea(room: WatchRoom, browser: Any) -> None:
    sell_twice(room, HOSPITAL_A, PHARMACY_P)
    visit = room.visit(browser, "nation")
    page = visit.page
    page.goto("/inspector")
    page.locator("#map[data-drawn]").wait_for()
    assert page.evaluate("echarts.getMap('china').geoJSON.features.length") == 34
    # The inset is not in the file: the library adds it to a map of this very name, in the lower right.
    ink = page.evaluate(
        """() => {
          const canvas = document.querySelector('#map canvas');
          const pen = canvas.getContext('2d');
          const inset = echarts.getInstanceByDom(document.getElementById('map'))
            .getModel().getSeriesByIndex(0).coordinateSystem.regions.find((one) => one.name === '南海诸岛');
          const [wide, high] = [canvas.width / 2, canvas.height * 0.4];
          const pixels = pen.getImageData(wide, canvas.height - high, wide, high).data;
          let dark = 0;
          for (let place = 3; place < pixels.length; place += 4) dark += pixels[place] > 0 ? 1 : 0;
          return [Boolean(inset), dark];
        }"""
    )
    assert ink[0], "the inset is among the regions of the map"
    assert ink[1] > 500
    assert page.locator("#twin tbody tr").count() >= 1
    page.get_by_role("button", name="销售").click()
    assert page.locator("[data-measure=sales]").get_attribute("aria-pressed") == "true"
    visit.check()


@pytest.mark.parametrize("width", [1280, 375])
def test_every_page_is_accessible_and_fits_the_screen(room: WatchRoom, browser: Any, width: int) -> None:
    code = sell_twice(room, HOSPITAL_A, PHARMACY_P)
    visit = room.visit(browser, "guangdong", viewport={"width": width, "height": 800})
    page = visit.page
    page.goto("/inspector")
    page.locator("#map[data-drawn]").wait_for()
    item = page.locator("#feed .item", has_text=code)
    item.wait_for()
    _check(page, width)
    item.locator("a").click()
    page.wait_for_url("**/inspector/alerts/*")
    _check(page, width)
    page.goto(f"/inspector/code?code={code}")
    page.locator(".story details summary").first.click()
    _check(page, width)
    with room.client() as citizen:
        body = {
            "token": secrets.token_hex(16),
            "code": code,
            "region": "440100",
            "traits": ["print"],
            "words": "字迹不清",
        }
        receipt = citizen.post("/api/v1/reports", json=body).json()["receipt"]
    page.goto(f"/inspector/reports/{receipt}")
    _check(page, width)
    visit.check()


def test_the_elder_version_is_larger_and_still_fits(room: WatchRoom, browser: Any) -> None:
    visit = room.visit(browser, "guangdong", viewport={"width": 375, "height": 800})
    page = visit.page
    page.goto("/preferences?elder=1&next=/inspector")
    page.locator("#map[data-drawn]").wait_for()
    _check(page, 375, target=60)
    visit.check()


def _check(page: Any, width: int, target: int = 44) -> None:
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page itself never scrolls sideways"
    small = page.evaluate(
        """(target) => [...document.querySelectorAll('button, select, input:not([type=hidden]), .button, .item a')]
          .filter((one) => one.offsetParent && one.getBoundingClientRect().height < target)
          .map((one) => one.outerHTML.slice(0, 80))""",
        target,
    )
    assert small == []


def test_handling_works_with_the_mouse_and_prints(room: WatchRoom, browser: Any) -> None:
    code = sell_twice(room, HOSPITAL_A, PHARMACY_P)
    visit = room.visit(browser, "guangdong")
    page = visit.page
    page.goto("/inspector")
    page.locator("#feed .item", has_text=code).locator("a").click()
    page.get_by_role("button", name="已查看").click()
    page.locator(".steps", has_text="已查看").wait_for()
    page.fill("#question", "请说明进货来源")
    page.get_by_role("button", name="发出询问").click()
    page.locator(".steps", has_text="请说明进货来源").wait_for()
    page.select_option("#finding", "explained")
    page.get_by_role("button", name="办结", exact=True).click()
    page.locator(".steps", has_text="解释成立").wait_for()
    page.emulate_media(media="print")
    assert not page.locator(".forms").is_visible()
    assert page.locator(".steps").is_visible()
    visit.check()
