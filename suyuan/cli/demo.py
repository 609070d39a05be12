"""`suyuan demo`: the whole main job on a small synthetic country, with a report and codes to try."""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, say, warn
from suyuan.lookup.citizen import check
from suyuan.node import Node
from suyuan.simulation.country import TRUTH, write_country
from suyuan.simulation.demo import Demonstration, SimulatedClock, demonstrate
from suyuan.simulation.truth import Truth

MARK = "demo"
"""The meta value by which a demo knows that a folder is its own to replace."""


def demo(
    *,
    seed: Annotated[int, cyclopts.Parameter(help="Another seed is another country.")] = 1,
    noise: Annotated[str, cyclopts.Parameter(help="Honest noise: low, high, or a factor.")] = "high",
    institutions: Annotated[int, cyclopts.Parameter(help="Hospitals, clinics and pharmacies.")] = 320,
    boxes: Annotated[int, cyclopts.Parameter(help="Boxes produced.")] = 110_000,
    days: Annotated[int, cyclopts.Parameter(help="Length of the period; at least 14.")] = 60,
    serve: Annotated[bool, cyclopts.Parameter(help="Serve pages afterwards, where the program has them.")] = True,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Play a small synthetic country through a fresh node in --dir: uploads, claims, alerts, an audit, a report.

    Every upload is a message or file as real institutions send them. Exit code 1 if the independent auditor disagrees
    or an honest cause that must be silent raised an alert.
    """
    _clear(dir)
    with tempfile.TemporaryDirectory(prefix="suyuan-country-") as written:
        country = Path(written)
        warn(f"writing a country of {institutions} institutions and {boxes:,} boxes (seed {seed}, noise {noise}) …")
        try:
            write_country(country, seed, institutions=institutions, boxes=boxes, days=days, noise=noise)
        except ValueError as error:
            raise cyclopts.ValidationError(msg=str(error)) from error
        clock = SimulatedClock()
        with Node.open(dir, clock) as node:
            node.tables.set_meta(MARK, str(seed))
            done = _play(country, node, clock)
            examples = _examples(country, node)
    if format == "json":
        print_json({**msgspec.structs.asdict(done), "examples": examples, "sound": done.sound})
    else:
        say(done.report)
        _invite(examples, dir)
    if not serve:
        warn("served nothing, as asked")
    return 0 if done.sound else 1


def _clear(folder: Path) -> None:
    """A demo replaces an earlier demo; it never touches anything else."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    with Node.open(folder) as node:
        ours = node.tables.meta(MARK) is not None
    if not ours:
        raise FileExistsError(17, "holds something else than an earlier demo; choose another folder with --dir", str(folder))
    shutil.rmtree(folder)


def _play(country: Path, node: Node, clock: SimulatedClock) -> Demonstration:
    if not sys.stderr.isatty():
        return demonstrate(country, node, clock)
    from rich.progress import Progress  # noqa: PLC0415  only for a terminal

    with Progress(transient=True) as bar:
        task = bar.add_task("uploads", total=None)
        step: Callable[[int, int], None] = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        return demonstrate(country, node, clock, step)


def _examples(country: Path, node: Node) -> dict[str, str]:
    """A code of each kind to try, checked against the node so that what is promised is what is shown."""
    truths = [msgspec.json.decode(line, type=Truth) for line in (country / TRUTH).read_bytes().splitlines()]
    wanted = {"sold twice 二次销售": "resale", "swapped 串换": "swap", "copied 假码": "clone", "split pack 拆零": "split"}
    examples: dict[str, str] = {}
    for words, kind in wanted.items():
        codes = [code for truth in truths if truth.kind == kind for code in truth.codes]
        expected = "one" if kind == "split" else "several"
        for code in codes:
            if check(node.ledger, node.catalogue, code).outcome == expected:
                examples[words] = code
                break
    examples |= _plain_examples(node)
    return examples


def _plain_examples(node: Node) -> dict[str, str]:
    """A clean box, an unsold one, a carton and a box under recall, found by looking through the journal."""
    found: dict[str, str] = {}
    for key in node.journal.keys("trace20:8"):
        answer = check(node.ledger, node.catalogue, key.partition(":")[2])
        word = {"one": "clean 正常", "none": "not sold yet 未售", "carton": "a carton 箱码"}.get(answer.outcome, "")
        if answer.holds:
            word = "recalled 召回"
        if word and not any(sale.split for sale in answer.sales):
            found.setdefault(word, answer.code)
        if len(found) == 4:  # noqa: PLR2004  one of each
            break
    return found


def _invite(examples: dict[str, Any], folder: Path) -> None:
    where = "" if folder == DEFAULT_FOLDER else f" --dir {folder}"
    prefix = ".venv/bin/suyuan" if Path(".venv/bin/suyuan").exists() else "suyuan"
    say("\nTry 试一试:")
    rows = [(words, f"{prefix} check {code}{where}") for words, code in examples.items()]
    rows += [("its story 全程", f"{prefix} trace {next(iter(examples.values()), '')}{where}")]
    print_table(("kind of code", "command"), rows)
