"""R21: lots without serials repeat, are counted, and are held or expired like boxes; implants link to a patient."""

from story import HOSPITAL_A, HOSPITAL_B, IMPLANT, Line, Story, statuses

LOT = "(01)06931234567899(10)LOT7"


def test_a_lot_repeats_on_lines_and_places_without_a_conflict() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product=IMPLANT, quantity="2"), Line(product=IMPLANT)])
    verdict = story.settle(HOSPITAL_A, LOT, LOT)
    assert (verdict.verdict, statuses(verdict)) == ("pay", [["accepted"], ["accepted"]])
    assert story.settle(HOSPITAL_B, LOT).verdict == "pay"
    assert story.report_sale(HOSPITAL_A, LOT, visit="V1", product=IMPLANT) == "accepted"
    assert story.alerts() == []


def test_uses_of_a_lot_are_counted_and_given_back() -> None:
    story = Story()

    def used() -> int:
        prefix = f"balance:lot:{HOSPITAL_A}:"
        last = {event.key: event.detail["used"] for event in story.events() if event.key.startswith(prefix)}
        return sum(last.values())

    story.fees(HOSPITAL_A, [Line(product=IMPLANT, quantity="3")])
    settlement = story.settle(HOSPITAL_A, LOT).settlement
    assert used() == 3
    story.cancel(HOSPITAL_A, settlement)
    assert used() == 0


def test_a_billed_lot_of_another_product_is_held() -> None:
    story = Story()
    story.fees(HOSPITAL_A, [Line(product="C9999999999999999999")])
    verdict = story.settle(HOSPITAL_A, LOT)
    assert (verdict.verdict, statuses(verdict)) == ("hold", [["product_differs"]])
    assert story.alerts() == ["product_differs"]
    story.wait(days=16)
    [end] = [event for event in story.events() if event.kind == "due" and event.key.startswith("claim:")]
    assert end.verdict == "pay"


def test_an_implant_is_linked_to_a_pseudonymous_patient() -> None:
    story = Story()
    story.report_sale(HOSPITAL_A, LOT, visit="V1", product=IMPLANT, person="440100199001011234")
    [line] = [event for event in story.events() if event.key.startswith("line:")]
    assert line.person.startswith("p1")
    assert "199001011234" not in line.person
