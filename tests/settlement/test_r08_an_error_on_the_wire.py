"""R8: an error on the wire means unknown: the same claim sent again finds itself and succeeds."""

from collections.abc import Mapping, Sequence

import pytest
from story import HOSPITAL_A, Story

from suyuan.ledger.events import Event
from suyuan.storage.memory import MemoryJournal


class _Wire(MemoryJournal):
    """Breaks before or after the append, as the sender cannot tell."""

    breaks = ""

    def append(
        self, events: Sequence[Event], expected: Mapping[str, int], documents: Mapping[str, bytes] | None = None
    ) -> bytes | list[str]:
        if self.breaks == "before":
            raise ConnectionError
        answer = super().append(events, expected, documents)
        if self.breaks == "after":
            raise ConnectionError
        return answer


@pytest.mark.parametrize("breaks", ["before", "after"])
@pytest.mark.parametrize("msgid", ["", "m1"], ids=["new msgid", "same msgid"])
def test_a_claim_whose_answer_was_lost_is_sent_again_and_paid_once(breaks: str, msgid: str) -> None:
    wire = _Wire()
    story = Story(journal=wire)
    box = story.new_box()
    wire.breaks = breaks
    with pytest.raises(ConnectionError):
        story.settle(HOSPITAL_A, box, msgid=msgid)
    wire.breaks = ""
    verdict = story.settle(HOSPITAL_A, box, msgid=msgid)
    assert (verdict.verdict, verdict.first) == ("pay", breaks == "before")
    assert verdict.settlement
    assert story.paid(box) == 1
    assert len(story.history(box)) == 1
