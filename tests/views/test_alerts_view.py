"""The list of alerts: its numbers, whose an alert is, what is done about it, and what each side may see."""

import gc
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from story import HOSPITAL_A, HOSPITAL_B, HOSPITAL_FAR, PHARMACY_P, Story

from suyuan.intake.answers_to_alerts import Step, TakenStep, answer_alert
from suyuan.ledger.handling import Standing
from suyuan.views.alerts import (
    Alert,
    AlertsView,
    AlertsWanted,
    alerts_after,
    alerts_before,
    count_alerts,
    find_alert,
    fits,
    newest_number,
    own_side,
    steps_about,
    steps_for,
)
from suyuan.views.follow import Views

GUANGDONG, BEIJING = "44", "11"
INSPECTOR = "S44000000001"


class Field:
    """A story with its list of alerts."""

    def __init__(self, path: Path | None = None) -> None:
        self.story = Story()
        self.views = Views.open(path, self.story.journal, (AlertsView(),))

    def sold_twice(self, first: str, second: str) -> Alert:
        """One box sold at two places; the alert that tells of it."""
        box = self.story.new_box()
        self.story.report_sale(first, box)
        self.story.wait(minutes=1)
        self.story.report_sale(second, box, person="person 2")
        return self.all()[-1]

    def all(self, **wanted: object) -> list[Alert]:
        self.views.catch_up()
        with self.views.read() as connection:
            return alerts_after(connection, 0, 100, AlertsWanted(**wanted))  # type: ignore[arg-type]

    def step(self, alert: Alert, kind: str, actor: str = INSPECTOR, **said: str) -> TakenStep:
        return answer_alert(
            self.story.desk,
            Step(alert=alert.id, kind=kind, actor=actor, **said),  # type: ignore[arg-type]
        )

    def one(self, alert: Alert, **wanted: object) -> Alert | None:
        self.views.catch_up()
        with self.views.read() as connection:
            return find_alert(connection, alert.id, AlertsWanted(**wanted))  # type: ignore[arg-type]

    def state(self, alert: Alert) -> str:
        found = self.one(alert)
        assert found is not None
        return found.state

    def steps(self, alert: Alert) -> list[Standing]:
        self.views.catch_up()
        with self.views.read() as connection:
            return steps_about(connection, alert.id)


@pytest.fixture
def field() -> Field:
    return Field()


def test_alerts_are_numbered_in_the_order_in_which_they_arose(field: Field) -> None:
    found = [field.sold_twice(HOSPITAL_A, PHARMACY_P) for _ in range(5)]
    assert [alert.number for alert in found] == [1, 2, 3, 4, 5]
    assert len({alert.id for alert in found}) == 5
    first = found[0]
    assert (first.institution, first.other_institution) == (PHARMACY_P, HOSPITAL_A)
    assert (first.alert_class, first.kind, first.state) == ("clone", "sold", "new")
    assert first.gap == abs(first.event_time - first.other_time) > 0
    with field.views.read() as connection:
        assert newest_number(connection) == 5
        assert [alert.number for alert in alerts_after(connection, 2, 2)] == [3, 4]
        assert [alert.number for alert in alerts_before(connection, 0, 2, AlertsWanted())] == [5, 4]
        assert [alert.number for alert in alerts_before(connection, 4, 9, AlertsWanted())] == [3, 2, 1]
        assert alerts_before(connection, 1, 9, AlertsWanted()) == []


@pytest.mark.parametrize("wanted", [{}, {"scope_region": "44"}, {"institution": PHARMACY_P}])
def test_reading_on_leaves_nothing_to_the_collector_of_cycles(field: Field, wanted: dict[str, str]) -> None:
    """A server collects seldom; a busy stream reads on thousands of times a minute."""
    field.sold_twice(HOSPITAL_A, PHARMACY_P)
    for _ in range(2):  # what is made once is made by the first round
        gc.collect()
        for _ in range(50):
            assert len(field.all(**wanted)) == 1
        left = gc.collect()
    assert left < 50


def test_what_fails_in_a_list_is_told_without_what_it_had_in_hand(field: Field) -> None:
    field.views.catch_up()
    with field.views._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alerts")
        connection.exec_driver_sql("CREATE TABLE alerts (number INTEGER)")
    with pytest.raises(OperationalError, match="21 values were supplied") as failed:
        field.sold_twice(HOSPITAL_A, PHARMACY_P)
    assert PHARMACY_P not in str(failed.value)


def test_a_list_made_again_has_the_same_numbers_states_and_steps(tmp_path: Path) -> None:
    field = Field(tmp_path / "views.sqlite")
    alerts = [field.sold_twice(HOSPITAL_A, PHARMACY_P) for _ in range(3)]
    field.step(alerts[0], "seen", person="王")
    field.step(alerts[1], "contested", PHARMACY_P, text="扫错了")
    field.step(alerts[2], "seen")
    field.step(alerts[2], "undone")
    before, steps = field.all(), [field.steps(alert) for alert in alerts]
    assert [alert.state for alert in before] == ["seen", "contested", "new"]
    field.views.close()
    again = Views.open(None, field.story.journal, (AlertsView(),))
    again.catch_up()
    with again.read() as connection:
        assert alerts_after(connection, 0, 100) == before
        assert [steps_about(connection, alert.id) for alert in alerts] == steps
    again.close()


def test_an_inspector_sees_alerts_with_either_side_in_the_region_and_no_others(field: Field) -> None:
    inside = field.sold_twice(HOSPITAL_A, HOSPITAL_B)
    outward = field.sold_twice(HOSPITAL_A, HOSPITAL_FAR)
    inward = field.sold_twice(HOSPITAL_FAR, HOSPITAL_A)
    far = field.sold_twice(HOSPITAL_FAR, HOSPITAL_FAR)
    assert field.all(scope_region=GUANGDONG) == [inside, outward, inward]
    assert field.all(scope_region=BEIJING) == [outward, inward, far]
    assert field.all(scope_region="4401") == [inside, outward, inward]
    assert field.all(scope_region="4403") == []
    assert field.all() == [inside, outward, inward, far]
    assert field.one(far, scope_region=GUANGDONG) is None
    assert field.one(outward, scope_region=GUANGDONG) == outward


def test_a_filter_only_ever_narrows_the_scope(field: Field) -> None:
    inside = field.sold_twice(HOSPITAL_A, HOSPITAL_B)
    field.sold_twice(HOSPITAL_FAR, HOSPITAL_FAR)
    assert field.all(scope_region=GUANGDONG, region="11") == []
    assert field.all(scope_region=GUANGDONG, institution=HOSPITAL_FAR) == []
    assert field.all(scope_parties=frozenset({HOSPITAL_B}), institution=HOSPITAL_A) == [inside]
    assert field.all(scope_parties=frozenset()) == []
    assert field.all(scope_fund="employee") == []


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"scope_region": GUANGDONG},
        {"scope_region": "4401", "classes": ("clone",)},
        {"scope_parties": frozenset({HOSPITAL_A})},
        {"scope_parties": frozenset({HOSPITAL_A, HOSPITAL_FAR})},
        {"institution": HOSPITAL_FAR, "region": "44"},
        {"classes": ("swap", "repeated_settlement")},
        {"kinds": ("claimed",)},
        {"states": ("new",)},
        {"arrived_from": 1},
        {"arrived_before": 1},
        {"text": "nothing"},
    ],
)
def test_one_alert_at_hand_fits_as_the_query_says(field: Field, wanted: dict[str, object]) -> None:
    sides = (HOSPITAL_A, HOSPITAL_B, HOSPITAL_FAR)
    everything = [field.sold_twice(first, second) for first in sides for second in sides]
    asked = AlertsWanted(**wanted)  # type: ignore[arg-type]
    expected = [alert for alert in everything if fits(alert, asked)]
    assert field.all(**wanted) == expected
    with field.views.read() as connection:
        assert alerts_before(connection, 0, 100, asked) == expected[::-1]
        assert count_alerts(connection, asked) == len(expected)


def test_an_agency_sees_the_alerts_of_its_own_funds_claims(field: Field) -> None:
    for fund in ("310", "410"):
        box = field.story.new_box()
        field.story.settle(HOSPITAL_A, box, fund=fund, order=f"A{fund}", visit=f"A{fund}")
        field.story.settle(PHARMACY_P, box, fund=fund, order=f"P{fund}", visit=f"P{fund}", person="person 2")
    employee, injury = field.all()
    assert (employee.fund, injury.fund) == ("employee", "work_injury")
    assert field.all(scope_fund="employee") == [employee]
    assert field.all(scope_fund="work_injury", scope_region=GUANGDONG) == [injury]


def test_an_institution_sees_its_own_side_and_of_the_other_only_kind_and_month(field: Field) -> None:
    alert = field.sold_twice(HOSPITAL_FAR, PHARMACY_P)
    questioned, earlier = own_side(alert, PHARMACY_P), own_side(alert, HOSPITAL_FAR)
    assert questioned.questioned
    assert questioned.elsewhere
    assert (questioned.kind_of_place, questioned.month) == ("hospital", "2026-03")
    assert not earlier.questioned
    assert earlier.kind_of_place == "pharmacy"
    for side, partner in ((questioned, HOSPITAL_FAR), (earlier, PHARMACY_P)):
        assert partner not in str(side)
        assert partner[1:7] not in str(side).replace(side.institution, "")
    here = own_side(field.sold_twice(PHARMACY_P, PHARMACY_P), PHARMACY_P)
    assert not here.elsewhere


def test_handling_goes_from_new_to_closed_and_the_last_step_can_be_undone(field: Field) -> None:
    alert = field.sold_twice(HOSPITAL_A, PHARMACY_P)
    assert field.step(alert, "seen").state == "seen"
    assert field.step(alert, "asked", text="请说明", to=PHARMACY_P).state == "asked"
    assert field.step(alert, "contested", PHARMACY_P, text="误扫").state == "contested"
    assert field.step(alert, "closed", finding="explained", text="核对进货单").state == "closed"
    assert field.state(alert) == "closed"
    assert field.step(alert, "closed", finding="irregular").status == "not_now"
    assert field.step(alert, "undone").state == "contested"
    assert field.step(alert, "undone").status == "not_now", "the latest step now is the institution's"
    assert field.step(alert, "undone", PHARMACY_P).state == "asked"
    assert [(step.kind, step.undone) for step in field.steps(alert)] == [
        ("seen", False),
        ("asked", False),
        ("contested", True),
        ("closed", True),
    ]
    assert field.all(states=("closed",)) == []
    assert [one.id for one in field.all(states=("asked",))] == [alert.id]


def test_a_step_sent_again_changes_nothing(field: Field) -> None:
    alert = field.sold_twice(HOSPITAL_A, PHARMACY_P)
    for _ in range(2):
        field.step(alert, "contested", PHARMACY_P, text="误扫")
    assert field.step(alert, "contested", PHARMACY_P, text="误扫 ").status == "first_answer"
    assert len(field.steps(alert)) == 1
    assert field.step(alert, "contested", PHARMACY_P, text="另有说明").status == "accepted"
    assert len(field.steps(alert)) == 2


@pytest.mark.parametrize(
    ("kind", "actor", "said", "status"),
    [
        ("contested", HOSPITAL_FAR, {"text": "不是我"}, "not_allowed"),
        ("contested", PHARMACY_P, {"text": " "}, "malformed"),
        ("contested", PHARMACY_P, {"text": "长" * 2001}, "malformed"),
        ("asked", INSPECTOR, {"text": "请说明", "to": HOSPITAL_FAR}, "malformed"),
        ("asked", INSPECTOR, {"text": "", "to": PHARMACY_P}, "malformed"),
        ("closed", INSPECTOR, {"text": "结案"}, "malformed"),
        ("seen", INSPECTOR, {"finding": "explained"}, "malformed"),
        ("undone", INSPECTOR, {}, "not_now"),
    ],
)
def test_a_step_that_cannot_be_taken_says_why_and_leaves_nothing(
    field: Field, kind: str, actor: str, said: dict[str, str], status: str
) -> None:
    alert = field.sold_twice(HOSPITAL_A, PHARMACY_P)
    taken = field.step(alert, kind, actor, **said)
    assert (taken.status, taken.state) == (status, "new")
    assert taken.message
    assert field.steps(alert) == []


def test_a_step_about_no_alert_is_refused(field: Field) -> None:
    taken = answer_alert(field.story.desk, Step(alert="none", kind="seen", actor=INSPECTOR))
    assert taken.status == "unknown_alert"


def test_an_institution_never_sees_the_other_sides_words(field: Field) -> None:
    alert = field.sold_twice(HOSPITAL_A, PHARMACY_P)
    field.step(alert, "seen", person="王")
    field.step(alert, "asked", text="药店请说明", to=PHARMACY_P)
    field.step(alert, "contested", PHARMACY_P, text="误扫")
    field.step(alert, "contested", HOSPITAL_A, text="我院已售")
    field.step(alert, "closed", finding="mistake", text="药店误扫", person="王")
    steps = field.steps(alert)
    assert [step.kind for step in steps_for(steps, PHARMACY_P)] == ["asked", "contested", "closed"]
    assert [step.kind for step in steps_for(steps, HOSPITAL_A)] == ["contested", "closed"]
    assert "药店" not in str(steps_for(steps, HOSPITAL_A))
    assert "王" not in str(steps_for(steps, PHARMACY_P))
