"""Counts by day and place agree with a fold of the whole journal, and are the same when made again."""

from datetime import timedelta

from story import HOSPITAL_A, HOSPITAL_FAR, MAKER, MONDAY, PHARMACY_P, Line, Story

from suyuan.lookup.totals import count_all
from suyuan.views.counts import CountsView, Period, Sums, sums, sums_by_day, sums_by_region
from suyuan.views.follow import Views

YUAN = 1_000_000


def a_week(story: Story) -> None:
    """Two days in two provinces: sales, claims paid, held and refused, a cancel, a return, a carton."""
    boxes = [story.new_box() for _ in range(6)]
    packed = [{"code": box, "parent": "00106901234500000011"} for box in boxes[:2]]
    story.send_table(MAKER, "packed", *packed)
    story.report_sale(HOSPITAL_A, boxes[0])
    story.settle(HOSPITAL_A, boxes[1], order="O1", visit="V1", amount=100)
    story.settle(PHARMACY_P, boxes[0], order="O2", visit="V2", person="person 2", amount=40)
    story.wait(days=1)
    story.settle(HOSPITAL_FAR, boxes[1], order="O3", visit="V3", person="person 3", amount=70)
    paid = story.settle(HOSPITAL_FAR, boxes[3], order="O4", visit="V4", amount=30)
    story.cancel(HOSPITAL_FAR, paid.settlement, "V4")
    story.report_sale(HOSPITAL_FAR, boxes[4], visit="V9")
    story.give_back(HOSPITAL_FAR, boxes[4], visit="V9")
    story.settle(HOSPITAL_A, lines=[Line((boxes[5],), amount=12.5)], order="O6", visit="V6", amount=12.5)


def counted(story: Story) -> Views:
    views = Views.open(None, story.journal, (CountsView(),))
    views.catch_up()
    return views


def test_the_counts_of_all_days_are_the_totals_of_the_journal() -> None:
    story = Story()
    a_week(story)
    totals, alerts = count_all(story.journal)
    with counted(story).read() as connection:
        found = sums(connection, Period())
    assert alerts
    assert totals.claims["refuse"]
    assert totals.cancelled == 1
    assert totals.returns == 1
    assert found.codes == totals.boxes + totals.cartons
    for name in (
        "scans",
        "sales",
        "line_sales",
        "returns",
        "claims",
        "money",
        "cancelled",
        "cancelled_money",
        "alerts",
    ):
        assert getattr(found, name) == getattr(totals, name), name
    assert found.alerts_all == len(alerts)
    assert found.institutions == 4


def test_days_and_provinces_share_the_counts_out_without_rest() -> None:
    story = Story()
    a_week(story)
    with counted(story).read() as connection:
        whole = sums(connection, Period())
        days, provinces = sums_by_day(connection, Period()), sums_by_region(connection, Period())
        first, second = (f"{MONDAY + timedelta(days=day):%Y-%m-%d}" for day in (0, 1))
        assert list(days) == [first, second]
        for shares in (days, provinces):
            assert sum(share.sales for share in shares.values()) == whole.sales
            assert sum(share.money["pay"] for share in shares.values()) == whole.money["pay"]
            assert sum(share.alerts_all for share in shares.values()) == whole.alerts_all
        assert provinces["11"].cancelled_money == 30 * YUAN
        assert sums(connection, Period(region="11")) == provinces["11"]
        assert sums(connection, Period(first=second)) == days[second]
        assert sums(connection, Period(last=first)) == days[first]
        assert sums(connection, Period(region="65")) == Sums()
        assert set(sums_by_region(connection, Period(region="44"), 6)) <= {"440100", "440000"}


def test_a_fund_narrows_money_and_claims_and_nothing_else() -> None:
    story = Story()
    story.settle(HOSPITAL_A, story.new_box(), order="O1", visit="V1", fund="310", amount=10)
    story.settle(HOSPITAL_A, story.new_box(), order="O2", visit="V2", fund="410", amount=25)
    with counted(story).read() as connection:
        own = sums(connection, Period(fund="work_injury"))
        assert own.claims["pay"] == 1
        assert own.money["pay"] == 25 * YUAN
        assert own.codes == 2


def test_a_list_taken_in_page_by_page_counts_nothing_twice() -> None:
    story = Story()
    a_week(story)
    paged = Views.open(None, story.journal, (CountsView(),))
    while paged.catch_up(most=1):
        pass
    with paged.read() as connection, counted(story).read() as other:
        assert sums_by_region(connection, Period(), 6) == sums_by_region(other, Period(), 6)
    paged.close()
