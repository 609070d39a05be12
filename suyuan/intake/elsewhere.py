"""R23: what other provinces said of the boxes of a claim, asked of the nation before it is judged."""

from collections.abc import Iterable
from typing import NamedTuple

from suyuan.intake.claim_lines import PreparedClaim
from suyuan.intake.desk import Desk
from suyuan.ledger.admission import Fact
from suyuan.ledger.events import Event
from suyuan.ledger.keys import elsewhere_key
from suyuan.settlement.claim_file import ClaimFile


class Heard(NamedTuple):
    """What was asked, and what the nation answered."""

    asked: frozenset[str] = frozenset()
    """Boxes that it answered for; empty where no answer came."""
    told: dict[str, list[Event]] = {}

    def covers(self, facts: Iterable[Fact]) -> bool:
        """Whether the nation answered for every box among these facts."""
        return all(key in self.asked for fact in facts for key in boxes_of(fact))


UNHEARD = Heard()


def boxes_of(fact: Fact) -> tuple[str, ...]:
    """The boxes that a fact names; none for a line without one."""
    return () if fact.key.startswith("line:") else (fact.key, *fact.readings)


def keys_elsewhere(facts: Iterable[Fact]) -> set[str]:
    """Where what others said of the boxes of sales and claims is kept."""
    return {elsewhere_key(key) for fact in facts if fact.kind in {"sold", "claimed"} for key in boxes_of(fact)}


def ask_for(desk: Desk, claims: Iterable[PreparedClaim]) -> Heard:
    """Ask the nation once for all boxes of these claims; nothing is asked where there are none."""
    if not desk.elsewhere or desk.nation is None:
        return UNHEARD
    claims = list(claims)
    keys = {key for claim in claims for _, facts in claim.sent for fact in facts for key in boxes_of(fact)}
    files = {claim.key for claim in claims if claim.waits}
    for history in desk.ledger.journal.fetch(files).values() if files else ():
        # Hospitals often settle without codes: those of the visit's sale reports will be paid.
        keys |= {report.key for report in ClaimFile.of(history.events).unclaimed_reports()}
    told = desk.nation.ask(keys) if keys else None
    return UNHEARD if told is None else Heard(frozenset(keys), told)
