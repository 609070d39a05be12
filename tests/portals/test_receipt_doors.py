"""Receipts over HTTP: who gets one, what the check without a script says, and what comes of altered ones."""

import base64
from collections.abc import Iterator

import pytest
from portal import Portal
from receipt_till import Till
from story import HEAD_OFFICE, HOSPITAL_A, MAKER, PHARMACY_P, PHARMACY_Q

from suyuan.codes.barcode import read_codes
from suyuan.node import Node


@pytest.fixture
def till(portal: Portal) -> Iterator[Till]:
    with Till(portal, PHARMACY_P) as opened:
        yield opened


def test_a_till_gets_the_picture_that_holds_the_address_that_it_prints(till: Till, portal: Portal) -> None:
    box = till.new_box()
    till.sell("S1", box)
    receipt = till.issue(box, receipt="S1", draw=["svg", "png"], scale=3)
    [part] = receipt["parts"]
    assert part["address"] == f"{portal.address}/receipt#{part['token']}"
    # A signature is random: now and then a reader also sees bars of another kind in the picture.
    assert [seen for seen in read_codes(base64.b64decode(part["png"])) if seen.text.endswith(part["address"])]
    assert part["svg"].startswith("<svg")
    assert (receipt["boxes"], receipt["reversed"]) == (1, "none")
    assert "1盒" in receipt["text"]
    assert box not in str(receipt)
    assert till.issue(box)["id"] == receipt["id"]


def test_only_who_sold_it_or_speaks_for_them_gets_a_receipt(till: Till, portal: Portal) -> None:
    box = till.new_box()
    till.sell("S2", box)
    for party, status in ((PHARMACY_Q, 403), (MAKER, 403), (HEAD_OFFICE, 200)):
        with Till(portal, party) as another:
            assert another.ask(box, institution=PHARMACY_P).status_code == status
            assert another.ask(box).status_code == (403 if party == MAKER else 404)
    with portal.client() as nobody:
        assert nobody.post("/api/v1/receipts", json={"codes": [box]}).status_code == 401
    assert till.ask().status_code == 404
    assert till.ask(box, date="tomorrow").status_code == 422


def test_a_sale_is_named_by_its_message_too(till: Till) -> None:
    boxes = [till.new_box() for _ in range(3)]
    msgid = till.sell("S3", *boxes)
    assert till.issue(msgid=msgid)["id"] == till.issue(*boxes)["id"]


def test_a_sale_of_our_own_interface_is_named_by_the_id_of_its_upload(till: Till) -> None:
    box = till.new_box()
    sale = {"references": {"receipt": "S31"}, "time": "2026-11-20T10:00:00+08:00", "lines": [{"codes": [box]}]}
    told = till.client.post("/api/v1/sales", json={"id": "upload-0001", "sales": [sale]})
    assert told.status_code == 200, told.text
    assert till.issue(msgid="upload-0001")["id"] == till.issue(box)["id"]


def test_without_a_script_the_page_says_the_same(till: Till, portal: Portal) -> None:
    box, other = till.new_box(), till.new_box()
    till.sell("S4", box)
    [part] = till.issue(box, receipt="S4", draw=["png"])["parts"]
    with portal.client() as client:
        page = client.post("/receipt", data={"token": part["address"], "code": box})
        assert page.status_code == 200
        for words in ("由本平台签发", "仍然有效", "是：这盒药在这张小票上", PHARMACY_P):
            assert words in page.text
        assert "否：这盒药不在这张小票上" in client.post("/receipt", data={"token": part["token"], "code": other}).text
        assert "与小票号一致" in client.post("/receipt", data={"token": part["token"], "code": "S4"}).text
        photo = [("photo", ("a.png", base64.b64decode(part["png"]), "image/png"))]
        assert "由本平台签发" in client.post("/receipt", files=photo).text
        altered = part["token"][:-1] + ("1" if part["token"][-1] != "1" else "2")
        for text, words in ((altered, "内容被改动"), ("no token", "不是本平台的小票")):
            wrong = client.post("/receipt", data={"token": text})
            assert (wrong.status_code, words in wrong.text) == (422, True)
        blank = client.post("/receipt", files=[("photo", ("a.png", b"no picture", "image/png"))])
        assert "没有找到小票二维码" in blank.text


def test_a_return_after_issue_is_told_and_an_unknown_receipt_too(till: Till, portal: Portal) -> None:
    kept, returned = till.new_box(), till.new_box()
    till.sell("S5", kept, returned)
    receipt = till.issue(kept, returned)
    query = {"institution": PHARMACY_P, "id": receipt["id"]}
    with portal.client() as client:
        assert client.get("/api/v1/receipts/status", params=query).json()["reversed"] == "none"
        till.give_back("S5", returned)
        assert client.get("/api/v1/receipts/status", params=query).json()["reversed"] == "part"
        till.give_back("S5", kept)
        assert client.get("/api/v1/receipts/status", params=query).json()["reversed"] == "all"
        page = client.post("/receipt", data={"token": receipt["parts"][0]["token"]}).text
        assert "此小票不再证明购买" in page
        assert client.get("/api/v1/receipts/status", params={**query, "institution": HOSPITAL_A}).status_code == 404
        assert client.get("/api/v1/receipts/status", params={**query, "id": "x"}).status_code == 422


def test_the_token_reaches_no_log_and_no_page_keeps_it(till: Till, portal: Portal) -> None:
    box = till.new_box()
    till.sell("S6", box)
    [part] = till.issue(box)["parts"]
    with portal.client() as client:
        client.get("/receipt")
        client.post("/receipt", data={"token": part["token"]})
    assert part["token"][:40] not in portal.logged()
    assert box not in portal.logged()


@pytest.mark.slow
def test_a_receipt_survives_the_power_and_is_checked_with_the_same_key(till: Till, portal: Portal) -> None:
    box = till.new_box()
    till.sell("S7", box)
    receipt = till.issue(box)
    portal.kill()
    with Node.open(portal.folder) as node:
        public = node.signer.public
        assert node.signer.public == public
    portal.start()
    with portal.client() as client:
        assert "由本平台签发" in client.post("/receipt", data={"token": receipt["parts"][0]["token"]}).text
        query = {"institution": PHARMACY_P, "id": receipt["id"]}
        assert client.get("/api/v1/receipts/status", params=query).json()["reversed"] == "none"
