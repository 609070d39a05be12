"""Who sees what of a box's story: the same chapters, cut to what a reader may know. Plain functions of values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from suyuan.lookup.story import Chapter, Story

Reader = Literal["institution", "firm", "agency", "inspector", "drug_regulator"]

PERSONAL = frozenset({"settlement", "order", "visit", "receipt", "prescription", "original"})
"""Numbers that lead to a person."""
SELLING = frozenset({"sold", "claimed", "returned", "cancelled", "reversed"})

HANDLED = SELLING | {"produced", "packed", "unpacked", "shipped", "received"}
"""What is said of a carton by who has it in hand: to count or refuse one that is another's tells nobody its boxes."""

OFFICIAL = frozenset({"inspector", "drug_regulator"})


class Aside(NamedTuple):
    """What stands beside a chapter and not in it: pseudonyms, and the fund that was asked."""

    person: str = ""
    prescriber: str = ""
    fund: str = ""


Asides = Mapping[tuple[str, int], Aside]
"""By the key of a history and the sequence in it."""


class SeenChapter(msgspec.Struct, kw_only=True):
    """One event, as far as the reader may know it. What is not to be known is empty."""

    number: int
    """Place among what is shown, from 1."""
    event_time: str
    """A moment; of others' sales only the month, such as `2026-03`."""
    arrived: str
    kind: str
    institution: str
    kind_of_place: str
    """pharmacy, hospital or other: all that is told of a place which is not named."""
    region: str
    place_name: str
    status: str
    reasons: tuple[str, ...]
    verdict: str
    quantity: str
    references: dict[str, str]
    counterparty: str
    carton: str
    parent: str
    reading: str
    alert: str
    alert_class: str
    relates: int
    corrects: int
    joins: int
    """Numbers of other chapters shown here; 0 for none, or for one that is not shown."""
    reason: str
    lot: str
    expiry: str
    person: str
    """Pseudonym, for an inspector who gave a reason."""
    prescriber: str
    elsewhere: bool
    """True where this is another's, of which only kind of place and month are told."""


class SeenStory(msgspec.Struct, kw_only=True):
    """A story as one reader sees it."""

    code: str
    system: str
    key: str
    product: str
    readings: tuple[str, ...]
    problems: tuple[str, ...]
    cartons: tuple[str, ...]
    children: tuple[str, ...]
    holds: tuple[str, ...]
    chapters: list[SeenChapter]
    hidden: int
    """For authorities: chapters that belong to other regions. Others do not learn how many there are."""


class Sight(NamedTuple):
    """Who reads, and how far that one sees."""

    reader: Reader
    parties: frozenset[str] = frozenset()
    """For institutions and firms: whose own records are seen."""
    region: str = ""
    """For officials: the digits with which division codes begin."""
    fund: str = ""
    """For an agency: its fund; empty for all."""
    persons: bool = False
    """Pseudonyms are shown: an inspector with a reason."""


def see(story: Story, sight: Sight, asides: Asides) -> SeenStory:
    """The story cut to what the reader may know."""
    shown = _shown(story, sight, asides)
    places = {_mark(story, chapter): number for number, (chapter, _) in enumerate(shown, start=1)}
    official = sight.reader in OFFICIAL
    handled = official or any(one.kind in HANDLED for one, banded in shown if not banded)
    return SeenStory(
        code=story.code,
        system=story.system,
        key=story.key,
        product=story.product,
        readings=story.readings,
        problems=story.problems,
        cartons=story.cartons if shown or official else (),
        children=story.children if handled else (),
        holds=story.holds,
        chapters=[
            _elsewhere(number, chapter) if banded else _told(story, chapter, sight, asides, places)
            for number, (chapter, banded) in enumerate(shown, start=1)
        ],
        hidden=len(story.chapters) - len(shown) if official else 0,
    )


def _mark(story: Story, chapter: Chapter) -> tuple[str, int]:
    """The history and sequence of a chapter."""
    return (chapter.carton or chapter.reading or story.key, chapter.sequence)


def _shown(story: Story, sight: Sight, asides: Asides) -> list[tuple[Chapter, bool]]:
    """The chapters that are shown, each with whether it is only told as something that happened elsewhere."""
    full = {
        _mark(story, chapter)
        for chapter in story.chapters
        if _is_own(chapter, sight, asides.get(_mark(story, chapter), Aside()))
    }
    against = _against(story, full)
    if sight.reader == "inspector":
        # Both sides of a conflict are told to both authorities (R23).
        return [(one, False) for one in story.chapters if _mark(story, one) in full | against]
    if sight.reader == "institution":
        return [(one, _mark(story, one) not in full) for one in story.chapters if _mark(story, one) in full | against]
    return [(one, False) for one in story.chapters if _mark(story, one) in full]


def _is_own(chapter: Chapter, sight: Sight, aside: Aside) -> bool:
    if sight.reader in {"institution", "firm"}:
        return chapter.institution in sight.parties
    in_region = chapter.region.startswith(sight.region)
    if sight.reader == "agency":
        return in_region and chapter.kind in SELLING and bool(aside.fund) and sight.fund in {"", aside.fund}
    return in_region


def _against(story: Story, full: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """What the reader's own alerted facts stand against, and whose alerted facts stand against the reader's own."""
    full = set(full)
    found: set[tuple[str, int]] = set()
    for chapter in story.chapters:
        mark = _mark(story, chapter)
        other = (mark[0], chapter.relates)
        if not chapter.alert or not chapter.relates or chapter.kind not in SELLING:
            continue
        if mark in full and other not in full:
            found.add(other)
        elif other in full and mark not in full:
            found.add(mark)
    return found


def _told(
    story: Story, chapter: Chapter, sight: Sight, asides: Asides, places: Mapping[tuple[str, int], int]
) -> SeenChapter:
    mark = _mark(story, chapter)
    aside = asides.get(mark, Aside()) if sight.reader == "inspector" and sight.persons else Aside()
    references = chapter.references
    if sight.reader == "drug_regulator" or (sight.reader == "inspector" and not sight.persons):
        references = {name: value for name, value in references.items() if name not in PERSONAL}
    return SeenChapter(
        number=places[mark],
        event_time=chapter.event_time,
        arrived=chapter.arrived,
        kind=chapter.kind,
        institution=chapter.institution,
        kind_of_place="",
        region=chapter.region,
        place_name=chapter.place_name,
        status=chapter.status,
        reasons=chapter.reasons,
        verdict=chapter.verdict,
        quantity=chapter.quantity,
        references=references,
        counterparty=chapter.counterparty,
        carton=chapter.carton,
        parent=chapter.parent,
        reading=chapter.reading,
        alert=chapter.alert,
        alert_class=chapter.alert_class,
        relates=places.get((mark[0], chapter.relates), 0) if chapter.relates else 0,
        corrects=places.get((mark[0], chapter.corrects), 0) if chapter.corrects else 0,
        joins=places.get((mark[0], chapter.joins), 0) if chapter.joins else 0,
        reason=chapter.reason,
        lot=chapter.lot,
        expiry=chapter.expiry,
        person=aside.person,
        prescriber=aside.prescriber,
        elsewhere=False,
    )


def _elsewhere(number: int, chapter: Chapter) -> SeenChapter:
    """Another's sale: that there is one, the kind of place, the month."""
    return SeenChapter(
        number=number,
        event_time=chapter.event_time[:7],
        arrived="",
        kind=chapter.kind,
        institution="",
        kind_of_place=kind_of_place(chapter.institution),
        region="",
        place_name="",
        status="",
        reasons=(),
        verdict="",
        quantity="",
        references={},
        counterparty="",
        carton="",
        parent="",
        reading="",
        alert="",
        alert_class="",
        relates=0,
        corrects=0,
        joins=0,
        reason="",
        lot="",
        expiry="",
        person="",
        prescriber="",
        elsewhere=True,
    )


def kind_of_place(institution: str) -> str:
    """The kind that an institution's code begins with."""
    return {"P": "pharmacy", "H": "hospital"}.get(institution[:1], "other")


def histories_in(story: Story) -> Sequence[str]:
    """Keys of all histories that the chapters come from."""
    return tuple(dict.fromkeys(_mark(story, chapter)[0] for chapter in story.chapters))
