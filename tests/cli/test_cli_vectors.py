"""Events made by others: every valid document goes in, and what stays out of it has its reason."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from cli_shell import MAKER, Shell

VECTORS = Path(__file__).resolve().parents[2].parent / "shared" / "vectors"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="the shared vectors are not beside this repository")

TAKEN = {"ObjectEvent", "AggregationEvent"}
TRANSACTION, TRANSFORMATION, ASSOCIATION = (
    f"{kind}Event is not taken yet" for kind in ("Transaction", "Transformation", "Association")
)
ERROR = "Withdrawing an event by an error declaration is not taken yet"
SENSOR = "The event names no code; sensor data are not taken yet"


def documents(*kinds: str) -> list[Path]:
    """The valid JSON documents with Object or Aggregation events."""
    with (VECTORS / "INDEX.tsv").open(encoding="utf-8", newline="") as index:
        listed = list(csv.DictReader(index, delimiter="\t", quoting=csv.QUOTE_NONE))
    valid = [row for row in listed if row["kind"] in kinds and row["label"] == "valid"]
    paths = [VECTORS / row["path"] for row in valid if row["path"].startswith("openepcis-test-resources/")]
    return [path for path in paths if types(json.loads(path.read_bytes())) & TAKEN]


def types(body: object) -> set[str]:
    """The types of all events in a document."""
    if isinstance(body, list):
        return set().union(*map(types, body))
    if not isinstance(body, dict):
        return set()
    return {str(body.get("type"))}.union(*(types(body[name]) for name in HOLDERS if name in body))


HOLDERS = ("epcisBody", "queryResults", "resultsBody", "eventList")


@pytest.mark.parametrize(
    ("kind", "files", "counts", "not_taken"),
    [
        (
            "capture-doc/json",
            22,
            (63, 17, 11),
            {ERROR: 3, TRANSACTION: 2, TRANSFORMATION: 2, ASSOCIATION: 2, SENSOR: 2},
        ),
        ("query-doc/json", 6, (13, 3, 9), {ERROR: 1, TRANSACTION: 2, TRANSFORMATION: 2, ASSOCIATION: 2, SENSOR: 2}),
        ("bare-event/json", 2, (2, 0, 0), {}),
    ],
)
def test_every_valid_document_with_object_or_aggregation_events_goes_in(
    shell: Shell, kind: str, files: int, counts: tuple[int, int, int], not_taken: dict[str, int]
) -> None:
    paths = documents(kind)
    rejects = shell.home / "rejects.jsonl"
    ran = shell("ingest", *paths, "--by", MAKER, "--rejects", rejects, "--format", "json")
    [summary] = ran.values
    reasons: Counter[str] = Counter()
    for line in rejects.read_bytes().splitlines() if rejects.exists() else ():
        reasons.update(re.findall(r"eventList\[\d+\][.\w]*: (.*?)(?=; eventList|$)", json.loads(line)["_reason"]))
    taken = (summary["accepted"], summary["repeated"], summary["rejected"])
    assert (len(paths), taken, dict(reasons)) == (files, counts, not_taken)
    assert summary["conflicts"] == 0


def test_the_story_of_a_box_in_one_of_them_is_told(shell: Shell) -> None:
    path = next(path for path in documents("capture-doc/json") if path.name == "ObjectEvent.json")
    assert shell("ingest", path, "--by", MAKER).code == 0
    events = json.loads(path.read_bytes())["epcisBody"]["eventList"]
    story = shell.ask("trace", events[0]["epcList"][0])
    assert story["system"] == "gs1"
    assert story["key"] == "gs1:10614141073464:2017"
    [chapter] = story["chapters"]
    assert (chapter["kind"], chapter["institution"]) == ("shipped", MAKER)
    assert chapter["event_time"] == "2005-04-04T10:33:31.116000+08:00"
