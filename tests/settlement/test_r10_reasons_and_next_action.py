"""R10: every verdict carries every reason, the facts behind it, the next physical action, and how to contest."""

from story import HOSPITAL_A, HOSPITAL_B, PHARMACY_P, PHARMACY_SUSPENDED, SPLITTABLE, WHOLE, Line, Story

from suyuan.ledger.statuses import PRECEDENCE, STATUS, STATUSES, ordered


def test_reasons_stand_in_one_order_and_the_first_leads() -> None:
    assert ordered({"accepted", "held", "conflict_sold"}) == ("held", "conflict_sold", "accepted")
    assert ordered(set()) == ("accepted",)
    assert list(PRECEDENCE) == [status.name for status in STATUSES]


def test_a_code_with_several_faults_says_all_of_them() -> None:
    story = Story()
    box = story.new_box(SPLITTABLE)
    story.settle(HOSPITAL_A, box)
    verdict = story.settle(PHARMACY_SUSPENDED, lines=[Line((box,), WHOLE)])
    [code] = verdict.lines[0].codes
    assert code.reasons == ("institution_suspended", "conflict_sold", "product_differs")
    assert code.status == "institution_suspended"
    for reason in code.reasons:
        assert STATUS[reason].meaning_zh in code.message
    assert sorted(story.alerts()) == ["clone", "product_differs", "suspended"]


def test_each_verdict_names_the_next_physical_action_and_how_to_contest() -> None:
    story = Story()
    box = story.new_box()
    story.settle(HOSPITAL_A, box)
    refused = story.settle(HOSPITAL_B, box)
    assert refused.lines[0].codes[0].next_action == STATUS["conflict_sold"].next_action_zh
    assert "5个工作日" in refused.contest
    assert not story.settle(HOSPITAL_B, story.new_box()).contest
    assert all(status.next_action and status.next_action_zh for status in STATUSES)


def test_a_rescan_is_judged_at_once() -> None:
    story = Story()
    taken, free = story.new_box(), story.new_box()
    story.settle(HOSPITAL_A, taken)
    assert story.settle(PHARMACY_P, taken).verdict == "refuse"
    assert story.settle(PHARMACY_P, free).verdict == "pay"
