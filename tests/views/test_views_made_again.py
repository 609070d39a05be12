"""Lists followed upload by upload are those made again from the feed at once, whatever was uploaded and undone."""

import os
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from sayings import GROUPS, Pen
from story import HOSPITAL_A, LEGACY, REGULATOR, Story

from suyuan.intake import take
from suyuan.intake.answers_to_alerts import Step, answer_alert
from suyuan.intake.no_code import Decision, NoCodeRequest, ask_no_code, decide_no_code
from suyuan.intake.reports import Report, take_report, take_step
from suyuan.views import VIEWS
from suyuan.views.follow import Views


def _tables(views: Views) -> dict[str, list[Any]]:
    """Every row of every table; sums that came back to nothing may stand there or not."""
    with views.read() as connection:
        names = set(sa.inspect(connection).get_table_names()) - {"cursors"}
        rows = {name: connection.execute(sa.text(f'SELECT * FROM "{name}"')).all() for name in names}
    sums = {"uploads_coverage", "uploads_batches"}
    return {
        name: sorted(repr(row) for row in found if name not in sums or any(row[-3:])) for name, found in rows.items()
    }


def _officials(story: Story, code: str) -> None:
    """Somebody reports the box, and officials do what they do about reports, alerts and stock without codes."""
    token = f"a form opened at {story.now}"
    taken = take_report(story.desk, Report(token=token, code=code, region="440100", traits=("other",)))
    take_step(story.desk, taken.receipt, "taken_up", REGULATOR)
    asked = NoCodeRequest(
        institution=HOSPITAL_A,
        region="440100",
        nhsa=LEGACY,
        kind="legacy",
        quantity=1,
        reason=token,
        until="2026-12-31",
    )
    decide_no_code(story.desk, Decision(id=ask_no_code(story.desk, asked).id, accepted=True, actor=REGULATOR))
    for raised in [event for event in story.events() if event.kind == "alerted"]:
        about = raised.key.partition(":")[2]
        for kind, words, to in (("seen", "", ""), ("asked", "Why?", raised.actor), ("undone", "", "")):
            answer_alert(story.desk, Step(alert=about, kind=kind, actor=REGULATOR, text=words, to=to))  # type: ignore[arg-type]


def _compare(groups: list[Any]) -> None:
    story, pen = Story(), Pen()
    followed = Views.open(None, story.journal, VIEWS)
    for sayings, days in groups:
        for saying, _ in sayings:
            document = pen.write(saying)
            if document is not None:
                take(story.desk, document)
                followed.catch_up()
        _officials(story, pen.codes[days])
        story.wait(days=days, minutes=1)
        followed.catch_up()
        pen.now = story.now
    again = Views.open(None, story.journal, VIEWS)
    again.catch_up()
    assert _tables(again) == _tables(followed)
    followed.close()
    again.close()


@given(GROUPS)
@settings(max_examples=5)
def test_lists_made_again_at_once_are_those_that_followed(groups: list[Any]) -> None:
    _compare(groups)


@pytest.mark.slow
@given(groups=GROUPS)
@settings(max_examples=200 if os.environ.get("SUYUAN_LONG") == "1" else 80, report_multiple_bugs=False)
def test_many_lists_made_again_at_once_are_those_that_followed(groups: list[Any]) -> None:
    _compare(groups)
