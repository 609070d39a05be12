"""The proof of a sale in a real Chromium: checked on the device, altered files refused, readable for everybody."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ageing import ageing_faults, enlarged_faults
from playwright.sync_api import expect
from portal import Portal, Visit, axe
from sealed_portal import SEALED, WAITING, sealed_portal

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with sealed_portal(tmp_path_factory.mktemp("proof") / "node") as running:
        yield running


@pytest.fixture
def visit(portal: Portal, browser: Any) -> Iterator[Visit]:
    opened = Visit(browser, portal)
    yield opened
    opened.context.close()


def test_the_way_from_the_answer_to_the_proof_and_the_kept_file(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.goto(f"/check?code={SEALED}")
    page.click("text=这些记录未被改动的证明")
    expect(page.locator("#title")).to_have_text("这些销售记录已在签名账册中")
    expect(page.locator("#here-title")).to_have_text("已证明：由您的设备核对")
    expect(page.locator("#here-lines")).to_contain_text("2026年11月20日 10:00")
    with page.expect_download() as downloading:
        page.click("text=保存证明（文件）")
    kept = tmp_path / "proof.json"
    downloading.value.save_as(kept)
    good = kept.read_bytes()
    page.goto("/proof")
    page.set_input_files("#file", kept)
    expect(page.locator("#here-title")).to_have_text("已证明：由您的设备核对")
    for old, new, part in (
        (b'\\"sale', b'\\"salt', "records[0].leaf"),
        (b'"index": ', b'"index":  ', "file"),
        (b"time 20", b"time 30", "checkpoint"),
        (b'suyuan segment 1\\",0', b'suyuan segment 1\\",1', "records[0].segment"),
    ):
        assert old in good
        altered = tmp_path / f"{part}.json"
        altered.write_bytes(good.replace(old, new))
        page.set_input_files("#file", altered)
        expect(page.locator("#here-title")).to_have_text("未能证明：内容被改动或不完整")
        expect(page.locator("#here-lines")).to_contain_text(part)
    page.goto(f"/proof?code={WAITING}")
    expect(page.locator("#here-title")).to_have_text("本平台已签名，尚未封存")
    visit.check()


def test_without_a_script_the_platform_checks(visit: Visit, portal: Portal, browser: Any, tmp_path: Path) -> None:
    kept = tmp_path / "proof.json"
    with portal.client() as anybody:
        kept.write_bytes(anybody.get("/api/v1/proof", params={"code": SEALED}).content)
    plain = Visit(browser, portal, java_script_enabled=False)
    plain.page.goto("/proof")
    expect(plain.page.locator("#here")).to_be_hidden()
    plain.page.set_input_files("#file", kept)
    plain.page.click("main button[type=submit]")
    expect(plain.page.locator("#title")).to_have_text("已证明：文件与本平台签发时一致")
    plain.context.close()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_is_accessible_and_fit_for_elders(visit: Visit, language: str) -> None:
    page = visit.page
    for address in (f"/proof?code={SEALED}&", f"/proof?code={WAITING}&", "/proof?"):
        page.goto(f"{address}lang={language}")
        expect(page.locator("#title")).to_be_visible()
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto("/preferences?elder=1&next=/proof")
    page.goto(f"/proof?code={SEALED}&lang={language}")
    assert ageing_faults(page, elder=True) == []
    assert enlarged_faults(page) == []
    assert axe(page) == []
    visit.check()
