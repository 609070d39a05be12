"""What is done about an alert: each step a fact of the alert, and where it stands as the fold of its steps."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from suyuan.ledger.events import Event

StepKind = Literal["seen", "asked", "contested", "closed"]
STATES = ("new", "seen", "asked", "contested", "closed")
"""What an alert may be: the latest step that was not undone, `new` before any."""

FINDINGS: dict[str, tuple[str, str]] = {
    "explained": ("The explanation holds: nothing was wrong.", "解释成立，未发现问题"),
    "mistake": ("A mistake in scanning, data or software.", "扫码、数据或软件差错"),
    "irregular": ("Irregular; handed over for a decision.", "核实存在问题，移交处理"),
    "unproven": ("Not enough evidence either way.", "证据不足，无法认定"),
}
"""How an inspector may close an alert: word → English, Chinese. None of them is a sanction."""


class Standing(msgspec.Struct, frozen=True):
    """One step as it was written, and whether it was undone since."""

    sequence: int
    kind: str
    actor: str
    person: str
    at: int
    text: str
    finding: str
    to: str = ""
    undone: bool = False


def steps_of(events: Iterable[Event]) -> list[Standing]:
    """The steps among an alert's events, in order, undone ones too."""
    steps: dict[int, Standing] = {}
    for event in events:
        if event.kind == "reported":
            detail = event.detail
            steps[event.sequence] = Standing(
                event.sequence,
                detail["step"],
                event.actor,
                detail["person"],
                event.arrived,
                detail["text"],
                detail["finding"],
                detail["to"],
            )
        elif event.kind == "corrected" and event.corrects in steps:
            steps[event.corrects] = msgspec.structs.replace(steps[event.corrects], undone=True)
    return list(steps.values())


def state_of(steps: Iterable[Standing]) -> str:
    """Where the handling of an alert stands after these steps."""
    standing = [step.kind for step in steps if not step.undone]
    return standing[-1] if standing else "new"


def sides_of(raised: Event) -> tuple[str, ...]:
    """The institutions that an alert is about: the questioned one, then the one of the earlier sale."""
    earlier = (raised.detail or {}).get("earlier", {})
    return tuple(dict.fromkeys(side for side in (raised.actor, earlier.get("institution", "")) if side))
