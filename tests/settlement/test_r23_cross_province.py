"""R23, as far as one node goes: scan policy follows the place of care, the insured area is kept for the recovery."""

from story import HOSPITAL_FAR, Story

from suyuan.settlement.policy import Policy, Step


def test_the_policy_is_that_of_the_place_of_care_and_the_insured_area_is_kept() -> None:
    here_only = Policy(name="here", steps=(Step("2000-01-01", "enforce", region="44"),))
    story = Story(policy=here_only)
    box = story.new_box()
    story.settle(HOSPITAL_FAR, box, order="O1")
    # The person is insured in 44, where scans are enforced; the hospital is in 11, where they are observed.
    assert story.settle(HOSPITAL_FAR, box, order="O2").verdict == "pay"
    [first, _] = [event for event in story.events() if event.key.startswith("claim:") and event.price]
    assert (first.region, first.detail["insured_area"]) == ("110100", "440100")
