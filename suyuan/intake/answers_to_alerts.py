"""Answers to alerts: seen, asked, contested by an institution, closed with a finding; each step a fact of its alert."""

from typing import Literal

import msgspec

from suyuan.intake.desk import Desk
from suyuan.ledger.events import Event
from suyuan.ledger.handling import FINDINGS, Standing, StepKind, sides_of, state_of, steps_of
from suyuan.ledger.keys import alert_key, digest
from suyuan.ledger.ledger import Books

TEXT_MAX = 2000
"""Characters of an explanation, question or finding: about a written page."""
STEPS_MAX = 200
"""Steps on one alert; more is a program in a loop."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody does about an alert."""

    alert: str
    """Id, without the `alert:` of its key."""
    kind: StepKind | Literal["undone"]
    """`undone` takes back the speaker's own step, if it is the latest that stands."""
    actor: str
    """Party code of the speaker: an institution for `contested`, an authority else."""
    person: str = ""
    """Account name of who did it; empty for software."""
    region: str = ""
    text: str = ""
    """Question, explanation or grounds of the finding, in the speaker's words."""
    finding: str = ""
    """One of FINDINGS, for `closed` only."""
    to: str = ""
    """The institution that is asked, one of the alert's sides, for `asked` only."""


Refusal = Literal["first_answer", "unknown_alert", "not_allowed", "not_now", "malformed"]


class TakenStep(msgspec.Struct, frozen=True):
    """What became of a step."""

    status: Literal["accepted"] | Refusal
    state: str
    """The alert's state afterwards."""
    message: str = ""
    """Chinese, then English, where the step was not taken."""


def answer_alert(desk: Desk, step: Step) -> TakenStep:
    """Write one step about an alert, or say why not. The same step again changes nothing."""
    key = alert_key(step.alert)

    def decide(books: Books) -> TakenStep:
        events = books.past(key)
        raised = next((event for event in events if event.kind == "alerted"), None)
        if raised is None:
            return TakenStep("unknown_alert", "", "没有这条预警 There is no such alert.")
        steps = steps_of(events)
        refused = _refusal(raised, steps, step)
        if refused is not None:
            return refused
        latest = _latest(steps)
        if step.kind == "undone":
            assert latest is not None, "what may be undone exists"
            books.add(key, "corrected", corrects=latest.sequence, detail={"person": step.person}, **_who(step))
        else:
            detail = {
                "step": step.kind,
                "person": step.person,
                "text": step.text.strip(),
                "finding": step.finding,
                "to": step.to,
            }
            books.add(key, "reported", content=_content(step), detail=detail, **_who(step))
        return TakenStep("accepted", state_of(steps_of(books.past(key))))

    return desk.ledger.transact({key}, decide)


def _refusal(raised: Event, steps: list[Standing], step: Step) -> TakenStep | None:
    """Why a step is not taken, in order of precedence; None where it is."""
    state, latest = state_of(steps), _latest(steps)
    mine = latest if latest is not None and latest.actor == step.actor else None
    repeats = (step.kind == "seen" and state != "new") or (mine is not None and _says_the_same(mine, step))
    done = state == "closed" and step.kind in {"asked", "closed"}
    guards: tuple[tuple[bool, Refusal, str], ...] = (
        (
            _is_malformed(raised, step),
            "malformed",
            "请填写说明（不超过2000字）、对象或结论 Give a text, whom to ask, a finding.",
        ),
        (
            step.kind == "contested" and step.actor not in sides_of(raised),
            "not_allowed",
            "该预警与本机构无关 The alert is not about this institution.",
        ),
        (
            step.kind == "undone" and mine is None,
            "not_now",
            "只能撤销本方最后一步 Only your own last step can be undone.",
        ),
        (repeats, "first_answer", ""),
        (done, "not_now", "预警已办结，请先撤销 It is closed: undo that first."),
        (len(steps) >= STEPS_MAX, "not_now", "步骤过多 Too many steps on this alert."),
    )
    return next((TakenStep(status, state, message) for stands, status, message in guards if stands), None)


def _is_malformed(raised: Event, step: Step) -> bool:
    return (
        len(step.text) > TEXT_MAX
        or (step.finding in FINDINGS if step.kind == "closed" else bool(step.finding)) != (step.kind == "closed")
        or (step.to in sides_of(raised) if step.kind == "asked" else bool(step.to)) != (step.kind == "asked")
        or (step.kind in {"asked", "contested"} and not step.text.strip())
    )


def _latest(steps: list[Standing]) -> Standing | None:
    return next((step for step in reversed(steps) if not step.undone), None)


def _says_the_same(latest: Standing, step: Step) -> bool:
    return (latest.kind, latest.text, latest.finding, latest.to) == (
        step.kind,
        step.text.strip(),
        step.finding,
        step.to,
    )


def _content(step: Step) -> str:
    return digest(step.kind, step.text.strip(), step.finding, step.to)


def _who(step: Step) -> dict[str, str]:
    return {"actor": step.actor, "region": step.region}
