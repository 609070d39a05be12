"""A firm sees where its own goods went, in numbers that give no small cell away, and gets its uploads back."""

import csv
import io
import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from access_people import PASSWORD
from nhsa_till import message, sale
from portal import AGENCY, Portal, Visit, axe, content, eventually
from story import HOSPITAL_A, MAKER, REGULATOR

from suyuan.catalogue.parties import Party
from suyuan.catalogue.prefixes import Prefix
from suyuan.formats import nhsa
from suyuan.node import Node
from suyuan.portals.codec import to_json

PRODUCT, OTHERS = "trace20:8234567", "trace20:8123456"
OTHER_FIRM = "M00000000002"
COUNTIES = {"440104": (8, 8, 8, 8, 8), "440105": (9,), "440303": (15, 15), "110105": (1,)}
"""Boxes that each pharmacy of a county sells in a week: one county told alone, two told together, one not at all."""
TOLD = [("province", "440000", 39), ("county", "440104", 40)]
WEEKS = 3
NOW = datetime.now(UTC).isoformat()

_serials = itertools.count(5_000_000_000_001)


def monday(weeks_ago: int) -> datetime:
    today = datetime.now(UTC).replace(hour=4, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday(), weeks=weeks_ago)


def sell(node: Node, place: str, boxes: int, when: datetime) -> None:
    rows = [
        sale(f"8234567{next(_serials)}", psn_no=str(number), sel_retn_time=f"{when:%Y-%m-%d 12:00:00}")
        for number in range(boxes)
    ]
    outcome = node.take(nhsa.read(to_json(message("3505A", {"selinfoDetail": rows}, place))), place)
    assert not outcome.fatal


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """Three weeks of sales, told when they were closed already; the feed has come to this week."""
    portal = Portal(tmp_path_factory.mktemp("firm") / "node")
    now = [0]
    with Node.open(portal.folder, lambda: now[0]) as node:
        reference = content()
        reference.prefixes = [Prefix(PRODUCT, "示例药", "24粒", holder=MAKER), Prefix(OTHERS, holder=OTHER_FIRM)]
        reference.parties.append(Party(OTHER_FIRM, kind="manufacturer", region="310101"))
        node.tables.save_catalogue(reference)
        node.reload_catalogue()
        for name, institution in (("firm", MAKER), ("empty", HOSPITAL_A)):
            node.tables.add_person(name, "firm", institution)
            node.tables.set_password(name, PASSWORD)
        issued = node.tables.create_credential(OTHER_FIRM)
        portal.keys[OTHER_FIRM] = f"{issued.id}.{issued.secret}"
        for week in range(WEEKS + 1, 1, -1):
            begin = monday(week)
            now[0] = round(begin.timestamp() * 1_000_000)
            for county, shops in COUNTIES.items():
                for number, boxes in enumerate(shops):
                    now[0] += 60_000_000
                    sell(node, f"P{county}{number + 1:05d}", boxes, begin)
        now[0] = round(datetime.now(UTC).timestamp() * 1_000_000)
        sell(node, HOSPITAL_A, 1, datetime.now(UTC))
    with portal:
        yield portal


def cubes(portal: Portal, party: str = MAKER, product: str = PRODUCT) -> dict[tuple[str, str], list[Any]]:
    """Everything the interface tells of a product, page by page."""
    found: dict[tuple[str, str], list[Any]] = {}
    with portal.client(party) as client:
        after = ""
        while True:
            page = client.get("/api/v1/flow", params={"product": product, "after": after, "limit": 104}).json()
            for cube in page["cubes"]:
                told = [(one["level"], one["region"], one["boxes"]) for one in cube["counties"]]
                found[cube["week"], cube["measure"]] = told
            after = page["next"]
            if not after:
                return found


@pytest.mark.slow
def test_a_node_that_knows_nothing_yet_tells_nothing_and_has_no_next_page(tmp_path: Path) -> None:
    portal = Portal(tmp_path / "node")
    with Node.open(portal.folder) as node:
        reference = content()
        reference.prefixes = [Prefix(PRODUCT, "示例药", "24粒", holder=MAKER)]
        node.tables.save_catalogue(reference)
    with portal, portal.client(MAKER) as client:
        told = client.get("/api/v1/flow", params={"product": PRODUCT}).json()
        assert (told["cubes"], told["next"]) == ([], "")


def test_a_firm_is_told_large_counties_alone_small_ones_together_and_the_rest_not(goods: Portal) -> None:
    found = eventually(lambda: cubes(goods))
    assert len(found) == WEEKS
    for (_, measure), told in found.items():
        assert measure == "sold"
        assert sorted(told) == sorted(TOLD)
    everything = {boxes for told in found.values() for _, _, boxes in told}
    assert not everything & {1, 9, 15, 30, 40 + 39 + 1, 10, 31}, "no small cell, and no total that would give one"


@pytest.mark.slow
def test_nobody_else_is_told_of_them_and_a_product_is_proven_by_its_registration_alone(goods: Portal) -> None:
    eventually(lambda: cubes(goods))
    for party, product in ((OTHER_FIRM, PRODUCT), (MAKER, OTHERS), (MAKER, "trace20:8345678"), (MAKER, "x")):
        with goods.client(party) as client:
            refused = client.get("/api/v1/flow", params={"product": product})
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    with goods.client(OTHER_FIRM) as client:
        assert [one["product"] for one in client.get("/api/v1/flow/products").json()["products"]] == [OTHERS]
    for party in ("", HOSPITAL_A, AGENCY, REGULATOR):
        with goods.client(party) as client:
            for path in ("/api/v1/flow?product=" + PRODUCT, "/api/v1/flow/products", "/api/v1/flow/uploads"):
                assert client.get(path).status_code == (401 if not party else 403)


@pytest.mark.slow
def test_filters_and_other_cuts_of_the_numbers_are_refused(goods: Portal) -> None:
    with goods.client(MAKER) as client:
        for more in ({"region": "440105"}, {"institution": HOSPITAL_A}, {"week": "2026-W11"}, {"limit": "0"}):
            assert client.get("/api/v1/flow", params={"product": PRODUCT, **more}).status_code == 422


@pytest.mark.slow
def test_what_comes_later_changes_no_week_that_was_told(goods: Portal) -> None:
    before = eventually(lambda: cubes(goods))
    late = [sale(f"8234567{next(_serials)}", sel_retn_time=f"{monday(3):%Y-%m-%d 12:00:00}") for _ in range(12)]
    with goods.client(HOSPITAL_A) as client:
        given = client.post("/fsi/api/rsfComIfsService/callService", json=message("3505A", {"selinfoDetail": late}))
        assert given.json()["infcode"] == 0
    uploaded = len(uploads(goods))
    with goods.client(MAKER) as client:
        scans = {"scans": [{"kind": "produced", "time": NOW, "code": f"8234567{next(_serials)}"}]}
        assert client.post("/api/v1/scans", json=scans).json()["summary"]["accepted"] == 1
    eventually(lambda: len(uploads(goods)) > uploaded)
    assert cubes(goods) == before


def uploads(portal: Portal, party: str = MAKER, limit: int = 500) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with portal.client(party) as client:
        after = ""
        while True:
            page = client.get("/api/v1/flow/uploads", params={"after": after, "limit": limit}).json()
            found += page["uploads"]
            after = page["next"]
            if not after:
                return found


@pytest.mark.slow
def test_a_firm_gets_back_what_it_uploaded_byte_for_byte_and_nothing_of_others(goods: Portal) -> None:
    sent = to_json(
        {"id": "U1", "scans": [{"kind": "produced", "time": NOW, "code": f"8234567{next(_serials)}", "lot": "批1"}]}
    )
    with goods.client(MAKER, headers={"content-type": "application/json"}) as client:
        assert client.post("/api/v1/scans", content=sent).json()["summary"]["accepted"] == 1
    back = eventually(lambda: [one for one in uploads(goods, limit=1) if one["content"] == sent.decode()])
    assert len(back) == 1
    assert back[0]["encoding"] == "text"
    assert date.fromisoformat(back[0]["received"][:10])
    assert not any(one["content"] == sent.decode() for one in uploads(goods, OTHER_FIRM))


@pytest.mark.browser
@pytest.mark.slow
def test_the_page_shows_tables_and_charts_and_gives_the_same_as_a_file(goods: Portal, browser: Any) -> None:
    eventually(lambda: cubes(goods))
    visit = Visit(browser, goods)
    visit.sign_in("firm", PASSWORD)
    page = visit.page
    page.goto("/firm")
    assert page.locator("tbody tr").count() == WEEKS * len(TOLD)
    assert page.locator("svg rect").count() == WEEKS
    assert "广东省其他区县合计" in page.inner_text("table")
    assert "荔湾" not in page.inner_text("table"), "440103 sold nothing"
    with page.expect_download() as waiting:
        page.click("text=下载表格")
    path = waiting.value.path()
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    assert len(rows) == WEEKS * len(TOLD)
    assert {int(row["boxes"]) for row in rows} == {39, 40}
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.goto("/preferences?lang=en&next=/firm")
    assert "other counties together" in page.inner_text("table")
    page.goto("/preferences?elder=1&next=/firm")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert axe(page) == []
    visit.check()


@pytest.mark.browser
@pytest.mark.slow
def test_a_firm_without_a_registered_prefix_is_told_how_to_get_one(goods: Portal, browser: Any) -> None:
    visit = Visit(browser, goods)
    visit.sign_in("empty", PASSWORD)
    visit.page.goto("/firm")
    assert "尚无已登记" in visit.page.inner_text("main")
    assert axe(visit.page) == []
    visit.check()
