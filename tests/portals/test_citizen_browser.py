"""The citizen's pages in a real Chromium: camera, photo, typing, elder version, weight, and nothing from elsewhere."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ageing import ageing_faults, enlarged_faults, unreachable
from fake_camera import film, flags
from playwright.sync_api import expect
from portal import CHROMIUM, FLAGS, Portal, Visit, axe
from shelf import Shelf, fill

from suyuan.codes.barcode import Symbology, draw, draw_sheet

pytestmark = pytest.mark.browser

BYTES_MAX = 20 * 1024
"""What the page may weigh before scanning starts, as sent."""

PICTURES = os.environ.get("SUYUAN_PICTURES", "")
"""A folder: screenshots for the docs are written there."""


@pytest.fixture(scope="module")
def shelved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Portal, Shelf]]:
    portal = Portal(tmp_path_factory.mktemp("citizen") / "node", 'policy = "strict"\n')
    shelf = fill(portal)
    with portal:
        yield portal, shelf


@pytest.fixture(scope="module")
def portal(shelved: tuple[Portal, Shelf]) -> Portal:
    return shelved[0]


@pytest.fixture(scope="module")
def shelf(shelved: tuple[Portal, Shelf]) -> Shelf:
    return shelved[1]


def title(page: Any) -> str:
    return str(page.locator("h1").inner_text())


def test_typing_groups_the_digits_counts_them_and_finds_a_slip(portal: Portal, shelf: Shelf, browser: Any) -> None:
    visit = Visit(browser, portal)
    page = visit.page
    page.goto("/")
    field, count = page.get_by_label("输入追溯码"), page.locator("#count")
    field.press_sequentially(shelf.one[:13])
    assert field.input_value() == f"{shelf.one[:4]} {shelf.one[4:8]} {shelf.one[8:12]} {shelf.one[12]}"
    expect(count).to_contain_text("还差7位")
    field.press_sequentially(shelf.one[13:])
    expect(count).to_contain_text("可以查询")
    expect(count).to_have_class("hint good")
    field.fill("八一二三 ４５６七")
    expect(field).to_have_value("8123 4567")
    field.fill("")
    field.press_sequentially("8O23")
    expect(count).to_contain_text("看混")
    field.fill(f"{shelf.one[:-2]}O{shelf.one[-1]}")
    field.press("Enter")
    page.wait_for_url("**/check?code=*")
    assert title(page) == "没有认出这个码"
    page.get_by_role("link", name=shelf.one).click()
    assert title(page) == "有1条销售记录，是您买的吗？"
    visit.check()


@pytest.mark.slow
def test_the_answer_follows_what_the_citizen_says(portal: Portal, shelf: Shelf, browser: Any) -> None:
    visit = Visit(browser, portal)
    page = visit.page
    page.goto(f"/check?code={shelf.one}")
    page.get_by_role("link", name="不是我买的").click()
    assert title(page) == "不是您购买的：请反映情况"
    page.get_by_role("link", name="是我买的", exact=True).click()
    assert title(page) == "是您购买的：属正常销售"
    visit.check()


class Scan(NamedTuple):
    """What the camera is shown, and the verdict that it must lead to."""

    symbology: Symbology
    kind: str
    expected: str
    turned: float = 0


SCANS = [
    Scan("datamatrix", "one", "有1条销售记录，是您买的吗？"),
    Scan("code128", "several", "这盒药有多条销售记录"),
    Scan("qr", "none", "未查询到产品销售信息"),
]
MORE_SCANS = [
    Scan("gs1_datamatrix", "gs1", "有1条销售记录，是您买的吗？"),
    Scan("code128", "one", "有1条销售记录，是您买的吗？", turned=22),
    Scan("datamatrix", "recalled", "涉及召回或停售，请停止使用"),
    Scan("datamatrix", "expired", "已过有效期，请不要使用"),
    Scan("gs1_datamatrix", "lot", "这是批次码，同批产品共用"),
    Scan("code128", "retail", "这是商品条码，不是追溯码"),
    Scan("code128", "virtual", "这是虚拟码，没有流通记录"),
    Scan("qr", "unknown", "没有认出这个码"),
    Scan("gs1_datamatrix", "carton", "这是外箱码，不是药盒上的码"),
]


def scans() -> Iterator[Any]:
    for scan in SCANS:
        yield pytest.param(scan, id=f"{scan.symbology}-{scan.kind}")
    for scan in MORE_SCANS:
        yield pytest.param(scan, id=f"{scan.symbology}-{scan.kind}-{scan.turned}", marks=pytest.mark.slow)


@pytest.mark.parametrize("scan", list(scans()))
@pytest.mark.slow
def test_the_camera_reads_a_code_and_leads_to_its_outcome(
    portal: Portal, shelf: Shelf, browser: Any, tmp_path: Path, scan: Scan
) -> None:
    width = 560 if scan.symbology == "code128" else 320
    picture = draw(getattr(shelf, scan.kind), scan.symbology, 6)
    camera = film(picture, tmp_path / "camera.y4m", scan.turned, width)
    filming = browser.browser_type.launch(
        executable_path=CHROMIUM, args=[*FLAGS, *flags(camera)], chromium_sandbox=False
    )
    try:
        visit = Visit(filming, portal)
        visit.page.goto("/")
        visit.page.get_by_role("button", name="打开相机扫码").click()
        visit.page.wait_for_url("**/check?code=*", timeout=20_000)
        assert title(visit.page) == scan.expected
        visit.check()
    finally:
        filming.close()


@pytest.mark.slow
def test_a_camera_that_is_refused_or_missing_says_so_and_closes_with_escape(portal: Portal, browser: Any) -> None:
    visit = Visit(browser, portal)
    page = visit.page
    page.goto("/")
    page.get_by_role("button", name="打开相机扫码").click()
    expect(page.locator("#seeing")).to_contain_text("改用照片")
    page.keyboard.press("Escape")
    assert page.get_by_role("button", name="打开相机扫码").evaluate("e => e === document.activeElement")
    assert not page.locator("#viewer").is_visible()
    visit.check()


@pytest.mark.slow
def test_a_photo_is_read_on_the_device_and_one_without_a_code_is_offered_to_the_server(
    portal: Portal, shelf: Shelf, browser: Any
) -> None:
    visit = Visit(browser, portal)
    page = visit.page
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.goto("/")
    both = draw_sheet([shelf.retail, shelf.several], "code128", columns=1)
    page.set_input_files("#photo", {"name": "box.png", "mimeType": "image/png", "buffer": both})
    page.wait_for_url("**/check?code=*")
    assert title(page) == "这盒药有多条销售记录"
    page.goto("/")
    page.set_input_files("#photo", {"name": "x.png", "mimeType": "image/png", "buffer": b"no picture"})
    expect(page.locator("#reading")).to_contain_text("上传识别")
    assert set(sent) == {"GET"}
    page.get_by_role("button", name="上传照片识别").click()
    page.wait_for_url("**/check/photo")
    assert "JPEG" in page.locator("[role=alert]").inner_text()
    visit.faults = [fault for fault in visit.faults if "422" not in fault]
    visit.check()


@pytest.mark.slow
def test_without_scripts_typing_and_photo_still_lead_to_the_answer(portal: Portal, shelf: Shelf, browser: Any) -> None:
    visit = Visit(browser, portal, java_script_enabled=False)
    page = visit.page
    page.goto("/")
    assert not page.get_by_role("button", name="打开相机扫码").is_visible()
    page.get_by_label("输入追溯码").fill(shelf.several)
    page.get_by_role("button", name="查询", exact=True).click()
    assert title(page) == "这盒药有多条销售记录"
    page.get_by_role("link", name="不是我买的").click()
    assert "依法要求赔偿" in page.locator(".ask").inner_text()
    page.goto("/")
    picture = {"name": "box.png", "mimeType": "image/png", "buffer": draw(shelf.one)}
    page.set_input_files("#photo", picture)
    page.get_by_role("button", name="上传照片识别").click()
    assert title(page) == "有1条销售记录，是您买的吗？"
    visit.check()


@pytest.mark.slow
def test_what_was_looked_up_stays_on_the_device_until_it_is_cleared(portal: Portal, shelf: Shelf, browser: Any) -> None:
    visit = Visit(browser, portal)
    page = visit.page
    page.goto("/")
    assert not page.locator("#history").is_visible()
    for code in (shelf.one, shelf.several, shelf.one):
        page.goto(f"/check?code={code}")
    page.goto("/")
    assert page.locator("#history li").count() == 2
    assert shelf.one in page.locator("#history li").first.inner_text()
    page.get_by_role("button", name="清空").click()
    assert not page.locator("#history").is_visible()
    assert page.evaluate("localStorage.length") == 0
    assert visit.context.cookies() == []
    visit.check()


def test_the_page_weighs_little_before_scanning_and_fetches_the_reader_only_then(
    portal: Portal, shelf: Shelf, browser: Any
) -> None:
    for path in ("/", f"/check?code={shelf.split}"):
        visit = Visit(browser, portal)
        page = visit.page
        asked: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        wire = visit.context.new_cdp_session(page)
        wire.send("Network.enable")
        weights: list[float] = []
        wire.on("Network.loadingFinished", lambda event, weights=weights: weights.append(event["encodedDataLength"]))
        page.goto(path, wait_until="networkidle")
        assert len(asked) >= 4
        assert not any("zxing" in url or "scanner" in url for url in asked)
        assert sum(weights) <= BYTES_MAX, f"{path}: {sum(weights)} bytes in {len(weights)} files"
        visit.check()


@pytest.mark.slow
def test_text_of_a_code_runs_nothing(portal: Portal, browser: Any) -> None:
    visit = Visit(browser, portal)
    page = visit.page
    attack = "\"><script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"
    page.goto(f"/check?code={attack}")
    page.goto("/")
    assert page.locator("#history li").count() == 1
    assert page.evaluate("window.ran") is None
    assert not page.locator("img").count()
    visit.check()
    # And where somebody got markup in after all, the policy stops it.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=data: onerror=\"window.ran = 1\">')")
    page.evaluate(
        "() => { const one = document.createElement('script'); one.textContent = 'window.ran = 1'; "
        "document.body.append(one); }"
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None


PAGES = ("/", "one", "several", "recalled", "retail", "unknown", "none", "carton")


@pytest.mark.parametrize("elder", [False, True], ids=["standard", "elder"])
@pytest.mark.slow
def test_the_numbers_for_old_eyes_and_hands_are_kept_on_every_page(
    portal: Portal, shelf: Shelf, browser: Any, *, elder: bool
) -> None:
    visit = Visit(browser, portal)
    page = visit.page
    page.goto("/")
    if elder:
        page.get_by_role("link", name="长辈版").click()
        assert page.get_by_role("link", name="标准版").is_visible()
    for kind in PAGES:
        page.goto(kind if kind == "/" else f"/check?code={getattr(shelf, kind)}")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert ageing_faults(page, elder=elder) == [], kind
        assert axe(page) == [], kind
        assert enlarged_faults(page) == [], kind
    visit.check()


@pytest.mark.slow
def test_small_type_and_narrow_targets_would_be_found(portal: Portal, browser: Any) -> None:
    page = Visit(browser, portal).page
    frame = (
        "<html lang=zh-CN><style>*{font:%s sans-serif}</style><body><a href=/ class=switch>长辈版</a>%s</body></html>"
    )
    wide = "<style>.switch,button{display:inline-block;min-width:60px;min-height:60px}</style>"
    page.set_content(frame % ("20px/1.6", f"{wide}<p>字</p><button>好</button>"))
    assert ageing_faults(page, elder=False) == []
    page.set_content(frame % ("13px/1.1", f"{wide}<p>字</p>"))
    assert {fault.partition(" of ")[0].partition(" 1")[0] for fault in ageing_faults(page, elder=False)} == {
        "text",
        "line height",
    }
    page.set_content(frame % ("20px/1.6", "<p>字</p><button>好</button><div style='width:900px'>宽</div>"))
    found = "\n".join(ageing_faults(page, elder=False))
    assert "target of" in found
    assert "wider than its window" in found
    assert "no switch named 标准版" in "\n".join(ageing_faults(page, elder=True))


@pytest.mark.slow
def test_everything_is_reached_by_the_keyboard(portal: Portal, shelf: Shelf, browser: Any) -> None:
    for path in ("/", f"/check?code={shelf.one}"):
        visit = Visit(browser, portal, viewport={"width": 1280, "height": 800})
        visit.page.goto(path)
        assert unreachable(visit.page) == []
        visit.check()


@pytest.mark.skipif(not PICTURES, reason="pictures for the docs are drawn on request")
@pytest.mark.slow
def test_pictures_for_the_docs(portal: Portal, shelf: Shelf, browser: Any) -> None:
    for name, path, elder in (
        ("citizen-first", "/", False),
        ("citizen-answer", f"/check?code={shelf.several}", False),
        ("citizen-elder", f"/check?code={shelf.one}", True),
    ):
        visit = Visit(browser, portal)
        if elder:
            visit.page.goto("/preferences?elder=1")
        visit.page.goto(path)
        visit.page.screenshot(path=Path(PICTURES) / f"{name}.png")
        visit.check()
