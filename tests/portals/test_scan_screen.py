"""The scan screen in a real browser: offline and back, each scan once with its own time; undo, cartons, refusals."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from desk_people import Desks
from portal import Visit, axe, eventually
from story import GTIN, HOSPITAL_A, HOSPITAL_B, MAKER, PHARMACY_P, PHARMACY_Q, REGULATOR, WHOLE

from suyuan.ledger.events import Event

CHINA = timezone(timedelta(hours=8))
GS = "\x1d"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Desks]:
    """A portal of its own: its journal is read when it has stopped."""
    desks = Desks(tmp_path / "node")
    desks.start()
    yield desks
    desks.stop()


_PRESS = """(keys) => {
  for (const { type = "keydown", ...key } of keys) {
    document.activeElement.dispatchEvent(new KeyboardEvent(type, { bubbles: true, cancelable: true, ...key }));
  }
}"""


class Desk:
    """Somebody with a scanner before the screen."""

    def __init__(self, desks: Desks, browser: Any, name: str, **context: Any) -> None:
        self.desks = desks
        self.visit: Visit = desks.visit(browser, name, **context)
        self.page = self.visit.page
        self.bodies: list[str] = []
        self.page.on("request", self._note)
        self.open()

    def _note(self, request: Any) -> None:
        if request.url.endswith("/desk/send"):
            self.bodies.append(request.post_data)

    def open(self, path: str = "/scan") -> None:
        self.page.goto(path)
        self.page.wait_for_selector("body[data-ready]")
        self.page.wait_for_selector("body[data-network=online]")

    def scan(self, code: str) -> None:
        """As a scanner types: no pause between keys, the separator as Ctrl+], Enter at the end."""
        keys = [{"key": "]", "code": "BracketRight", "ctrlKey": True} if one == GS else {"key": one} for one in code]
        self.press([*keys, {"key": "Enter"}])

    def press(self, keys: list[dict[str, Any]]) -> None:
        """Keys one after the other, in the page itself: over the wire a busy machine would falter between them."""
        self.page.evaluate(_PRESS, keys)

    def scan_by_real_keys(self, code: str) -> None:
        """The same by the browser's own keyboard, with all that a key does by itself."""
        for character in code:
            self.page.keyboard.press("Control+]" if character == GS else character)
        self.page.keyboard.press("Enter")

    def scan_and_read(self, code: str) -> str:
        """Scan, and what the screen says once it knows."""
        with self.page.expect_response("**/desk/check"):
            self.scan(code)
        self.page.wait_for_timeout(50)
        return self.word()

    def word(self) -> str:
        return str(self.page.inner_text("#word"))

    def tone(self) -> str:
        return str(self.page.get_attribute("#latest", "data-tone"))

    def count(self) -> int:
        return int(self.page.inner_text("#count"))

    def pending(self) -> int:
        return int(self.page.get_attribute("#pending", "data-count") or 0)

    def send(self) -> None:
        """Send the basket and wait for its answer."""
        with self.page.expect_response("**/desk/send"):
            self.page.keyboard.press("F9")
        eventually(lambda: self.pending() == 0)

    def kept(self) -> None:
        """The service worker has what the page needs without a network."""
        self.page.evaluate("navigator.serviceWorker.ready")
        eventually(lambda: self.page.evaluate("caches.keys().then((names) => names.length)") == 1)


def box(number: int) -> str:
    return f"8234567{number:013d}"


def key(number: int) -> str:
    return f"trace20:{box(number)}"


def about(events: list[Event], *keys: str) -> list[tuple[str, str, str]]:
    return [(event.key, event.kind, event.status) for event in events if event.key in keys]


def post(desks: Desks, party: str, path: str, body: Any) -> Any:
    with desks.client(party) as client:
        answer = client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_scans_made_without_a_network_survive_a_reload_and_come_once_with_their_own_times(
    desks: Desks, browser: Any
) -> None:
    desk = Desk(desks, browser, "ann")
    desk.kept()
    begun = datetime.now(CHINA)
    desk.visit.context.set_offline(True)
    desk.scan(box(1))
    desk.scan(f"]d201{GTIN}10LOT1{GS}21SN000001")
    eventually(lambda: desk.count() == 2)
    ended = datetime.now(CHINA)
    desk.page.reload()
    desk.page.wait_for_selector("body[data-ready]")
    desk.page.wait_for_selector("body[data-network=offline]")
    eventually(lambda: desk.count() == 2)
    desk.page.keyboard.press("F9")
    eventually(lambda: desk.pending() == 2)
    desk.scan(box(2))
    desk.page.keyboard.press("F9")
    eventually(lambda: desk.pending() == 3)
    desk.page.wait_for_timeout(1500)  # what is sent is sent later than it was scanned
    desk.page.reload()
    desk.page.wait_for_selector("body[data-ready]")
    desk.visit.context.set_offline(False)
    eventually(lambda: desk.pending() == 0, 20)
    faults = [fault for fault in desk.visit.faults if "ERR_INTERNET_DISCONNECTED" not in fault]
    assert faults == []
    desks.stop()
    keys = (key(1), f"gs1:{GTIN}:SN000001", key(2))
    events = [event for event in desks.facts("received") if event.key in keys]
    assert [event.key for event in events] == list(keys), "in the order of scanning, one each"
    for event in events[:2]:
        scanned = datetime.fromtimestamp(event.event_time / 1e6, CHINA)
        assert begun <= scanned <= ended
        assert event.arrived - event.event_time > 1_000_000
    assert events[1].lot == "LOT1"


_LOSE_ONE_ANSWER = """() => {
  const real = window.fetch;
  window.fetch = async (address, ...more) => {
    const answer = await real(address, ...more);
    if (!String(address).endsWith("/desk/send") || window.lost) return answer;
    window.lost = answer.status;
    throw new TypeError("connection reset");
  };
}"""


def test_a_basket_whose_answer_was_lost_is_sent_again_and_changes_nothing(desks: Desks, browser: Any) -> None:
    desk = Desk(desks, browser, "ann")
    desk.page.evaluate(_LOSE_ONE_ANSWER)
    desk.scan_and_read(box(1))
    desk.scan_and_read(box(2))
    desk.page.keyboard.press("F9")
    eventually(lambda: desk.pending() == 0 and len(desk.bodies) == 2, 20)
    assert desk.page.evaluate("window.lost") == 200, "it was taken, and its answer lost"
    assert len(set(desk.bodies)) == 1, "it is sent again byte for byte"
    desks.stop()
    assert about(desks.facts(), key(1), key(2)) == [(key(1), "received", "accepted"), (key(2), "received", "accepted")]


def test_a_session_that_ended_keeps_the_scans_until_somebody_of_the_same_institution_signs_in(
    desks: Desks, browser: Any
) -> None:
    desk = Desk(desks, browser, "ann")
    desk.scan_and_read(box(1))
    desks.end_session("ann")
    desk.page.keyboard.press("F9")
    desk.page.wait_for_selector("body[data-network=signed_out]")
    assert desk.pending() == 1
    assert desk.page.is_visible("#again")
    # Somebody of another institution sits down at the same machine: nothing of it is sent or shown.
    desks.let_in(desk.visit, "bob")
    desk.open()
    assert desk.page.inner_text("#who") == PHARMACY_Q
    assert box(1) not in desk.page.inner_text("main")
    assert desk.page.is_visible("#others")
    desks.sign_in("ann")
    desks.let_in(desk.visit, "ann")
    desk.open()
    eventually(lambda: desk.pending() == 0)
    desks.stop()
    assert [(event.actor, event.key) for event in desks.facts("received")] == [(PHARMACY_P, key(1))]


def test_the_last_scan_is_undone_before_it_is_sent_and_after(desks: Desks, browser: Any) -> None:
    desk = Desk(desks, browser, "ann")
    for number in (1, 2, 3):
        desk.scan_and_read(box(number))
    desk.page.keyboard.press("F8")
    eventually(lambda: desk.count() == 2)
    desk.send()
    with desk.page.expect_response("**/desk/send"):
        desk.page.keyboard.press("F8")
    eventually(lambda: desk.pending() == 0)
    desks.stop()
    facts = about(desks.facts(), key(1), key(2), key(3))
    assert facts == [
        (key(1), "received", "accepted"),
        (key(2), "received", "accepted"),
        (key(2), "corrected", "accepted"),
    ]


def test_each_outcome_has_its_word_colour_and_sound(desks: Desks, browser: Any) -> None:
    post(desks, PHARMACY_Q, "sales", _sale(box(5)))
    post(desks, MAKER, "scans", _produced(box(6), "L1", "2020-01-01"))
    post(desks, REGULATOR, "holds", {"orders": [{"scope": "code", "code": box(7), "reason": "召回"}]})
    desk = Desk(desks, browser, "ann")
    assert (desk.scan_and_read(box(1)), desk.tone()) == ("正常，未见发货记录", "good")
    desk.scan(box(1))
    eventually(lambda: desk.tone() == "duplicate")
    assert (desk.word(), desk.count()) == ("本单已扫过", 1)
    sold = desk.scan_and_read(box(5))
    assert (sold, desk.tone()) == ("已在其他机构售出", "bad")
    words = desk.page.inner_text("#latest")
    assert "某药店" in words
    assert re.search(r"20\d\d-\d\d", words)
    assert PHARMACY_Q not in desk.page.content(), "the other side is never named"
    assert (desk.scan_and_read(box(6)), desk.tone()) == ("已过有效期", "bad")
    assert (desk.scan_and_read(box(7)), desk.tone()) == ("召回、停售或被盗", "bad")
    assert (desk.scan_and_read("89999990000000000001"), desk.tone()) == ("标识码未知，未对应品种", "warn")
    before = desk.count()
    desk.scan("6901234567892")
    eventually(lambda: desk.word() == "这是商品条码（69码），不是追溯码。")
    assert (desk.count(), desk.page.get_attribute("body", "data-beep")) == (before, "bad")


def _sale(code: str) -> dict[str, Any]:
    line = {"line": "1", "product": WHOLE, "codes": [code]}
    return {"sales": [{"time": "2026-03-09T10:00:00+08:00", "references": {"receipt": "R1"}, "lines": [line]}]}


def _produced(code: str, lot: str, expiry: str) -> dict[str, Any]:
    made = {"kind": "produced", "code": code, "time": "2026-01-01T08:00:00+08:00", "lot": lot, "expiry": expiry}
    return {"scans": [made]}


CARTON = "00361234500000000016"


def test_a_carton_shows_its_boxes_and_a_partial_one_is_received_box_by_box(desks: Desks, browser: Any) -> None:
    packed = [box(number) for number in (11, 12, 13)]
    filled = {"action": "packed", "parent": CARTON, "children": packed, "time": "2026-03-09T08:00:00+08:00"}
    post(desks, MAKER, "packages", {"packages": [filled]})
    shipped = {"kind": "shipped", "code": CARTON, "time": "2026-03-09T08:30:00+08:00", "counterparty": PHARMACY_P}
    post(desks, MAKER, "scans", {"scans": [shipped]})
    desk = Desk(desks, browser, "ann")
    assert (desk.scan_and_read(CARTON), desk.tone(), desk.count()) == ("正常", "good", 3)
    desk.scan(box(12))
    eventually(lambda: desk.tone() == "duplicate")
    desk.page.click("#rows summary")
    desk.page.uncheck(f".carton li:has(code:text-is('{box(12)}')) input")
    eventually(lambda: desk.count() == 2)
    assert "3盒中的2盒" in desk.page.inner_text("#rows summary")
    desk.send()
    desks.stop()
    received = [event.key for event in desks.facts("received")]
    assert received == [key(11), key(13)]


def test_a_refused_box_is_kept_as_evidence_with_its_reason(desks: Desks, browser: Any) -> None:
    post(desks, PHARMACY_Q, "sales", _sale(box(5)))
    desk = Desk(desks, browser, "ann")
    desk.page.keyboard.press("F6")
    desk.page.fill("#delivery", "DN-4711")
    desk.scan_and_read(box(5))
    assert "拒收" in desk.page.inner_text("#rows li")
    desk.scan_and_read(box(1))
    desk.page.keyboard.press("F7")
    assert axe(desk.page) == []
    desk.page.select_option("#reason", label="包装开启或破损")
    desk.page.fill("#words", "封签破损，随货单无此批号")
    desk.page.click("#refuseform button[type=submit]")
    desk.scan_and_read(box(2))
    desk.send()
    desks.stop()
    told = {event.key: event for event in desks.facts() if event.kind in {"received", "refused"}}
    assert [told[key(number)].kind for number in (5, 1, 2)] == ["refused", "refused", "received"]
    assert told[key(1)].detail == {"reason": "包装开启或破损: 封签破损，随货单无此批号"}
    assert told[key(1)].references["delivery"] == "DN-4711"
    assert told[key(5)].detail == {"reason": "已在其他机构售出"}


def test_a_code_to_follow_is_filled_by_handing_the_box_out(desks: Desks, browser: Any) -> None:
    desk = Desk(desks, browser, "cai")
    fees = [{"line": "1", "references": {"order": "O2", "visit": "V2"}, "product": WHOLE, "quantity": "1"}]
    post(desks, HOSPITAL_A, "fee-lines", {"fee_lines": fees})
    with desks.client(HOSPITAL_A) as client:
        answer = client.post("/fsi/api/rsfComIfsService/callService", json=_settlement())
    assert answer.json()["infcode"] == 0, answer.text
    desk.page.goto("/institution/owed/awaiting")
    eventually(lambda: desk.page.reload() and desk.page.locator("a.mend").count() == 1)
    desk.page.click("a.mend")
    desk.page.wait_for_selector("body[data-network=online]")
    assert desk.page.input_value("#visit") == "V2"
    desk.scan_and_read(box(1))
    desk.send()
    desk.page.goto("/institution/owed/awaiting")
    eventually(lambda: desk.page.reload() and desk.page.locator("a.mend").count() == 0)
    desk.visit.check()


def _settlement() -> dict[str, Any]:
    data = {"psn_no": "N1", "chrg_bchno": "O2", "mdtrt_id": "V2", "insutype": "310", "medfee_sumamt": 50}
    return {
        "infno": "2207",
        "msgid": f"{HOSPITAL_A}000000000000000001",
        "insuplc_admdvs": "440100",
        "infver": "V1.0",
        "fixmedins_code": HOSPITAL_A,
        "input": {"data": {**data, "minpacunt_drug_trac_cnt": 1}, "drug_trac_info": []},
    }


def test_a_scan_is_read_whatever_has_the_focus_and_typing_by_hand_is_typing(desks: Desks, browser: Any) -> None:
    desk = Desk(desks, browser, "ann")
    desk.page.fill("#delivery", "DN-1")
    desk.page.focus("#delivery")
    with desk.page.expect_response("**/desk/check"):
        desk.scan_by_real_keys(f"01{GTIN}10A7{GS}21SN000001")
    eventually(lambda: f"(01){GTIN}(10)A7(21)SN000001" in desk.page.inner_text("#rows"))
    assert desk.page.input_value("#delivery") == "DN-1", "what the scanner typed is taken out again"
    desk.page.focus("#send")
    with desk.page.expect_response("**/desk/check"):
        desk.scan_by_real_keys(box(2))
    assert (desk.count(), desk.pending()) == (2, 0), "its Enter pressed no button"
    desk.page.focus("#code")
    desk.page.keyboard.type(box(3), delay=60)
    assert desk.count() == 2
    with desk.page.expect_response("**/desk/check"):
        desk.page.keyboard.press("Enter")
    eventually(lambda: desk.count() == 3)
    assert desk.page.input_value("#code") == ""
    # An input method that is on takes the keys for itself: the scanner is read from the keys themselves.
    desk.press([*({"key": "Process", "code": f"Digit{digit}"} for digit in box(4)), {"key": "Enter"}])
    eventually(lambda: desk.count() == 4)
    # The separator as Alt and its number on the keypad.
    alt = [{"key": one, "code": f"Numpad{one}", "altKey": True} for one in "029"]
    told: list[dict[str, Any]] = [{"key": "Alt", "altKey": True}, *alt, {"key": "Alt", "type": "keyup"}]
    plain: list[list[dict[str, Any]]] = [[{"key": one} for one in part] for part in (f"01{GTIN}10A1", "21SN000009")]
    desk.press([*plain[0], *told, *plain[1], {"key": "Enter"}])
    eventually(lambda: f"(01){GTIN}(10)A1(21)SN000009" in desk.page.inner_text("#rows"))
    desk.visit.check()


def test_the_screen_is_worked_by_keys_alone_and_has_no_fault_that_axe_would_name(desks: Desks, browser: Any) -> None:
    desk = Desk(desks, browser, "ann")
    desk.scan_and_read(box(1))
    for mode in ("F3", "F4", "F6", "F2"):
        desk.page.keyboard.press(mode)
        assert axe(desk.page) == []
    desk.page.keyboard.press("?")
    desk.page.wait_for_selector("#helping[open]")
    assert axe(desk.page) == []
    desk.page.keyboard.press("Escape")
    seen = set()
    for _ in range(40):
        desk.page.keyboard.press("Tab")
        seen.add(desk.page.evaluate("document.activeElement.id || document.activeElement.dataset.mode || ''"))
    assert {"in", "delivery", "supplier", "code", "send", "undo", "sound", "help"} <= seen
    desk.page.set_viewport_size({"width": 375, "height": 740})
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 375
    assert axe(desk.page) == []
    desk.visit.check()


def test_what_is_kept_for_the_time_without_a_network_holds_nothing_of_anybody(desks: Desks, browser: Any) -> None:
    desk = Desk(desks, browser, "ann")
    desk.kept()
    desk.scan_and_read(box(1))
    desk.send()
    texts = desk.page.evaluate(
        """async () => {
          const caches_ = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
          const kept = (await Promise.all(caches_.map((one) => one.matchAll()))).flat();
          return Promise.all(kept.map((answer) => answer.text()));
        }"""
    )
    kept = json.dumps(texts, ensure_ascii=False)
    assert "扫码入库" in kept
    for word in (PHARMACY_P, ">ann<", box(1), "form_token"):
        assert word not in kept


def test_the_desk_refuses_what_is_not_its_own(desks: Desks) -> None:
    scan = {"id": "scan-0001", "kind": "received", "code": box(1), "time": "2026-03-09T08:30:00+08:00"}
    with desks.client(PHARMACY_P) as client:
        sent = {"id": "basket-01", "institution": PHARMACY_Q, "scans": [scan]}
        refused = client.post("/api/v1/desk/send", json=sent)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
        taken = client.post("/api/v1/desk/send", json={**sent, "institution": PHARMACY_P}).json()
        assert [one["status"] for one in taken["results"]] == ["accepted"]
        again = client.post("/api/v1/desk/send", json={**sent, "institution": PHARMACY_P}).json()
        assert (again["repeated"], again["results"]) == (True, taken["results"])
        bad = {"id": "basket-02", "scans": [{**scan, "id": "scan-0002", "time": "yesterday at noon"}]}
        [result] = client.post("/api/v1/desk/send", json=bad).json()["results"]
        assert (result["status"], result["tone"]) == ("malformed", "bad")
    with desks.client(MAKER) as client:
        assert (
            client.post("/api/v1/desk/send", json={"id": "basket-03", "scans": [{**scan, "kind": "sold"}]}).status_code
            == 403
        )
    with desks.client() as client:
        assert client.get("/api/v1/desk/me").status_code == 401
        assert client.post("/api/v1/desk/check", json={"codes": [box(1)]}).status_code == 401
        assert client.get("/scan").status_code == 303
    with desks.client(HOSPITAL_B) as client:
        undo = {
            "id": "basket-04",
            "undo": [{"id": "scan-0001", "kind": "received", "time": "2026-03-09T09:00:00+08:00"}],
        }
        [result] = client.post("/api/v1/desk/send", json=undo).json()["results"]
        assert result["status"] == "undo_not_found"


def test_a_basket_that_was_refused_as_a_whole_waits_for_a_person(desks: Desks, browser: Any) -> None:
    desk = Desk(desks, browser, "ann")
    desk.page.evaluate(_REFUSE_ONE_BASKET)
    desk.scan_and_read(box(1))
    desk.page.keyboard.press("F9")
    desk.page.wait_for_selector("[data-state=failed]")
    assert "A field cannot be used" in desk.page.inner_text("[data-state=failed]")
    desk.page.get_by_role("button", name="重新提交").click()
    desk.page.wait_for_selector("[data-state=sent]")
    desks.stop()
    assert about(desks.facts(), key(1)) == [(key(1), "received", "accepted")]


_REFUSE_ONE_BASKET = """() => {
  const real = window.fetch;
  window.fetch = (address, options) => {
    if (!String(address).endsWith("/desk/send") || window.refused) return real(address, options);
    window.refused = true;
    return Promise.resolve(new Response(JSON.stringify({ title: "A field cannot be used." }), { status: 422 }));
  };
}"""


def test_a_box_and_then_its_carton_are_counted_once(desks: Desks, browser: Any) -> None:
    packed = [box(number) for number in (21, 22)]
    filled = {"action": "packed", "parent": CARTON, "children": packed, "time": "2026-03-09T08:00:00+08:00"}
    post(desks, MAKER, "packages", {"packages": [filled]})
    desk = Desk(desks, browser, "ann")
    desk.scan_and_read(box(21))
    desk.scan_and_read(CARTON)
    eventually(lambda: desk.count() == 2)
    desk.send()
    desks.stop()
    assert [event.key for event in desks.facts("received")] == [key(21), key(22)]


def test_a_device_whose_clock_is_wrong_is_told_so(desks: Desks, browser: Any) -> None:
    desk = Desk(desks, browser, "ann")
    assert not desk.page.is_visible("#clock")
    desk.page.evaluate(
        "{ const real = Date.now; Date.now = () => real() + 600_000; dispatchEvent(new Event('online')); }"
    )
    desk.page.wait_for_selector("#clock:not(.hidden)")
    assert "偏差10分钟" in desk.page.inner_text("#clock")
