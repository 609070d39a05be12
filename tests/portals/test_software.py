"""Scanner software is watched by version: who stands out is marked, and who sends too often is slowed."""

from pathlib import Path

import httpx
import pytest
from access_people import Browser, with_people
from live_watch import moment, new_code
from portal import FAR_INSPECTOR, INSPECTOR, Portal, eventually
from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, Story

from suyuan.portals.limits import Limits
from suyuan.portals.problem import Refused
from suyuan.settings import Settings, SettingsWrong, rates_of_software
from suyuan.views.follow import Views
from suyuan.views.software import FLAG_SCANS_MIN, SoftwareView, _judged, software_by_alerts

GOOD, BAD = "Acme/Till/2.0", "Acme/Till/3.1"


def sell(client: httpx.Client, codes: list[str], receipt: str, software: str) -> httpx.Response:
    sale = {"time": moment(), "lines": [{"codes": codes}], "references": {"receipt": receipt}}
    headers = {"x-client-software": software} if software else {}
    return client.post("/api/v1/sales", json={"sales": [sale]}, headers=headers)


def test_a_version_whose_alert_rate_is_far_above_the_others_is_marked_for_officials_and_the_operator(
    tmp_path: Path,
) -> None:
    with with_people(tmp_path / "node") as portal:
        sold = [new_code() for _ in range(220)]
        fresh = [new_code() for _ in range(220)]
        with portal.client(HOSPITAL_A) as first, portal.client(PHARMACY_P) as second:
            assert sell(first, sold, "R1", GOOD).status_code == 200
            assert sell(first, fresh, "R2", "").status_code == 200
            # The faulty version sends boxes that somebody else sold.
            assert sell(second, sold, "R3", BAD).status_code == 200
        with portal.client(INSPECTOR) as inspector, portal.client(FAR_INSPECTOR) as far:
            found = eventually(lambda: _listed(inspector, 3))
            assert [(one["software"], one["flagged"]) for one in found] == [(BAD, True), ("", False), (GOOD, False)]
            assert (found[0]["scans"], found[0]["alerts"], found[0]["alerts_per_10000"]) == (220, 220, 10_000)
            assert _listed(far, 0) == [], "what was scanned in another province is not theirs"
        with (
            Browser(portal, "administrator") as operator,
            Browser(portal, "clerk") as clerk,
            Browser(portal, "inspector") as official,
        ):
            page = operator.get("/admin/software", headers={"accept-language": "en"}).text
            assert BAD in page
            assert page.count("stands out") == 1
            assert "明显偏高" in operator.get("/admin/software?days=0&lang=zh").text
            assert operator.get("/admin/software?days=3").status_code == 422
            assert operator.client.get("/api/v1/software").status_code == 403, "records are none of theirs"
            assert clerk.get("/software").status_code == clerk.get("/admin/software").status_code == 403
            assert BAD in official.get("/software").text


def _listed(client: httpx.Client, count: int) -> list[dict[str, object]] | None:
    answer: list[dict[str, object]] = client.get("/api/v1/software").json()["software"]
    return answer if len(answer) == count else None


def test_few_scans_or_nobody_beside_it_mark_nothing() -> None:
    many, few = FLAG_SCANS_MIN, FLAG_SCANS_MIN - 1
    assert _judged(("v", many, 0, many), (many * 11, many)).flagged
    assert not _judged(("v", few, 0, few), (many * 11, few)).flagged
    assert not _judged(("v", many, 0, many), (many + few, many)).flagged
    assert not _judged(("v", many, 0, many), (many, many)).flagged, "alone"
    # Three times the others, but of so few that it may be chance.
    assert not _judged(("v", many, 0, 4), (many * 101, 104)).flagged
    assert _judged(("v", many * 100, 0, 400), (many * 200, 500)).flagged


def test_the_list_counts_scans_alerts_and_technical_errors_by_day_and_place_once() -> None:
    story = Story()
    box = story.new_box()
    story.report_sale(HOSPITAL_A, box)
    story.wait(days=1)
    story.report_sale(HOSPITAL_B, box, person="person 2")
    views = Views.open(None, story.journal, (SoftwareView(),))
    views.catch_up()
    with views.read() as connection:
        (everything,) = software_by_alerts(connection)
        assert (everything.scans, everything.alerts, everything.errors) == (2, 1, 0)
        assert software_by_alerts(connection, first="9999-01-01") == []
        assert software_by_alerts(connection, region="99") == []
    views.close()


def test_a_version_may_be_slowed_by_name_or_beginning_and_others_go_on() -> None:
    limits = Limits(Settings(software_rates="Acme/* = 3/minute; Acme/Till/3.1 = 1/minute", rate_software="5/minute"))
    for version, allowed in ((BAD, 1), (GOOD, 3), ("Other/1", 5)):
        for _ in range(allowed):
            limits.check_software(version)
        with pytest.raises(Refused) as refused:
            limits.check_software(version)
        assert (refused.value.error.code, refused.value.where) == ("too_often", "software")
    for _ in range(10):
        limits.check_software("")


def test_rates_of_software_that_cannot_be_read_are_refused_with_an_example() -> None:
    assert rates_of_software(" a/b/1 = 1/second ;; b=c/* =2/day") == {"a/b/1": "1/second", "b=c/*": "2/day"}
    for wrong in ("a/b/1", "= 1/second", "a/b/1 = often", "a/b/1 = 0/second"):
        with pytest.raises(SettingsWrong, match="Supplier/Till"):
            rates_of_software(wrong)


def test_an_upload_of_a_slowed_version_is_refused_and_says_when_to_come_again(tmp_path: Path) -> None:
    settings = f'policy = "strict"\nblock_cache_mb = 16\nsoftware_rates = "{BAD} = 1/minute"\n'
    with Portal(tmp_path / "node", settings) as portal, portal.client(HOSPITAL_A) as client:
        assert sell(client, [new_code()], "R1", BAD).status_code == 200
        refused = sell(client, [new_code()], "R2", BAD)
        assert (refused.status_code, refused.json()["code"], refused.json()["where"]) == (429, "too_often", "software")
        assert "retry-after" in refused.headers
        assert sell(client, [new_code()], "R2", GOOD).status_code == 200
        asked = client.get("/api/v1/me", headers={"x-client-software": BAD})
        assert asked.status_code == 200, "questions are not slowed"
