"""`suyuan demo`: the whole main job on a small synthetic country, with a report and codes to try."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import cyclopts
import msgspec

import suyuan
from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, say, warn
from suyuan.cli.provinces import play_provinces
from suyuan.cli.serve import open_socket, serve_node
from suyuan.cli.simulate import Boxes, Days, Institutions, Noise
from suyuan.cli.visitors import invite_visitors
from suyuan.lookup.citizen import CitizenAnswer, check
from suyuan.lookup.story import tell
from suyuan.node import JOURNAL, LISTS, SECRETS, TABLES, Node, NodeUnusable, is_node
from suyuan.simulation.citizens import leave_traces
from suyuan.simulation.country import TRUTH
from suyuan.simulation.demo import Demonstration, SimulatedClock, demonstrate
from suyuan.simulation.truth import Truth
from suyuan.storage.audit import FILE as AUDIT

PROVINCES_MAX = 8
"""Each is a server with about 150 MB."""

MARK = "demo"
"""The meta value by which a demo knows that a folder is its own to replace."""

KEPT = (TABLES, LISTS, AUDIT)
"""Databases beside the journal."""

BLOCK_CACHE_MB = 64
"""A country fits beside this into 1 GiB, the memory that a demo may take."""

OTHER_CODES = (
    ("a retail barcode 商品条码", "6901234567892"),
    ("a batch code 批次码", "(01)09520000016326(10)260101"),
    ("not known 未知", "12345"),
)
"""Codes that are no box; each gets its own answer."""

SEARCHED = 3_000
"""Boxes looked at for an example; one of each everyday kind is among the first few."""


def demo(
    *,
    seed: Annotated[int, cyclopts.Parameter(help="Another seed is another country.")] = 1,
    noise: Noise = "high",
    institutions: Institutions = 320,
    boxes: Boxes = 100_000,
    days: Days = 60,
    serve: Annotated[bool, cyclopts.Parameter(help="Serve it over HTTP afterwards, until Ctrl+C.")] = True,
    port: Annotated[int, cyclopts.Parameter(help="Port to serve on; if it is taken, any that is free.")] = 8000,
    provinces: Annotated[
        int, cyclopts.Parameter(help="So many provinces and their nation instead, each a process of its own.")
    ] = 0,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Play a small synthetic country through a fresh node in --dir: uploads, claims, alerts, an audit, a report.

    Every upload is a message or file as real institutions send them. Exit code 1 if the independent auditor disagrees
    or an honest cause that must be silent raised an alert. With --provinces a smaller country is played over so many
    nodes and their nation, and it is 1 if the nation has not exactly what they have.
    """
    if provinces:
        if provinces not in range(2, PROVINCES_MAX + 1):
            raise NodeUnusable(f"--provinces may be 2 to {PROVINCES_MAX}")
        return play_provinces(provinces, seed, format)
    _clear(dir)
    with tempfile.TemporaryDirectory(prefix="suyuan-country-") as written:
        country = Path(written)
        warn(f"writing a country of {institutions} institutions and {boxes:,} boxes (seed {seed}, noise {noise}) …")
        failed = _write(country, seed=seed, noise=noise, institutions=institutions, boxes=boxes, days=days)
        if failed:
            return failed
        clock = SimulatedClock()
        with Node.open(dir, clock, block_cache_mb=BLOCK_CACHE_MB) as node:
            node.tables.set_meta(MARK, str(seed))
            done = _play(country, node, clock)
            examples = _examples(country, node)
    if format == "json":
        print_json({**msgspec.structs.asdict(done), "examples": examples, "sound": done.sound})
    else:
        say(done.report)
        _invite(examples, dir)
    if serve:
        _serve(dir, port, examples)
    return 0 if done.sound else 1


def _serve(folder: Path, port: int, examples: list["Example"]) -> None:
    """Serve the played country, and say who may come and what there is to see."""
    with Node.open(folder, block_cache_mb=BLOCK_CACHE_MB) as node:
        visitors = invite_visitors(node)
        opened = open_socket("127.0.0.1", port)
        address = f"http://127.0.0.1:{opened.getsockname()[1]}"
        rows = [(one.kind, f"{address}/check?{urlencode({'code': one.code})}") for one in examples]
        rows += [(kind, f"{address}/check?{urlencode({'code': code})}") for kind, code in OTHER_CODES]
        left = leave_traces(node, [one.code for one in examples])
        rows += [(one.what, f"{address}{one.path}") for one in left if "#" not in one.path]
        say("\n群众查询 As a citizen:")
        print_table(("kind of code", "address"), rows)
        for one in left:
            if "#" in one.path:
                say(f"{one.what}: {address}{one.path}")
        say("\n登录 Sign in (made for this demo alone):")
        people = [(one.who, one.name, one.password, f"{address}{one.page}") for one in visitors.accounts]
        print_table(("who", "name", "password", "page"), people)
        say("\n接口 As software: Authorization: Bearer …")
        print_table(("who", "party", "key"), [msgspec.structs.astuple(key) for key in visitors.keys])
        serve_node(node, opened)


def _clear(folder: Path) -> None:
    """A demo replaces an earlier demo, and nothing else in the folder: settings stay."""
    if not is_node(folder):
        return
    with Node.open(folder) as node:
        ours = node.tables.meta(MARK) is not None
    if not ours:
        raise NodeUnusable(f"{folder} holds a node that no demo made: choose another folder with --dir")
    shutil.rmtree(folder / JOURNAL)
    for path in [folder / SECRETS, *(path for name in KEPT for path in folder.glob(f"{name}*"))]:
        path.unlink(missing_ok=True)


def _write(country: Path, **options: object) -> int:
    """Write the country in a process of its own, which gives its memory back; answers its exit code."""
    here = str(Path(suyuan.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-m", "suyuan", "simulate", str(country)]
    command += [f"--{name}={value}" for name, value in options.items()]
    return subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=False).returncode  # noqa: S603  our own program


def _play(country: Path, node: Node, clock: SimulatedClock) -> Demonstration:
    if not sys.stderr.isatty():
        return demonstrate(country, node, clock)
    from rich.progress import Progress  # noqa: PLC0415  only for a terminal

    with Progress(transient=True) as bar:
        task = bar.add_task("uploads", total=None)
        return demonstrate(country, node, clock, lambda done, total: bar.update(task, completed=done, total=total))


class Example(msgspec.Struct):
    """One code to try."""

    kind: str
    """What kind of code it is, in words."""
    ask: str
    """The command that shows it: check or trace."""
    code: str


def _examples(country: Path, node: Node) -> list[Example]:
    """A code of each kind to try, checked against the node so that what is promised is what is shown."""
    codes: dict[str, list[str]] = {}
    for line in (country / TRUTH).read_bytes().splitlines():
        truth = msgspec.json.decode(line, type=Truth)
        codes.setdefault(truth.kind, []).extend(truth.codes)
    alerted = {"sold twice 二次销售": "resale", "swapped 串换": "swap", "copied 假码": "clone"}
    found = [*_plain(node)]
    for words, kind in alerted.items():
        found += _first(words, "trace", (code for code in codes.get(kind, ()) if kind in _alerts(node, code)))
    scanned_wrong = (code for code in codes.get("mis_scan", ()) if _answer(node, code).outcome == "several")
    found += _first("two sales 两次销售", "check", scanned_wrong)
    found += _first("recalled 召回", "check", (code for code in codes.get("recall", ()) if _answer(node, code).holds))
    found += _first("split pack 拆零", "check", (code for code in codes.get("split", ()) if _is_split(node, code)))
    return found


def _first(words: str, ask: str, codes: Iterable[str]) -> Iterator[Example]:
    """The first of the codes, as an example; none where there is none."""
    yield from (Example(words, ask, code) for code in islice(codes, 1))


def _alerts(node: Node, code: str) -> set[str]:
    return {chapter.alert_class for chapter in tell(node.ledger, node.catalogue, code).chapters}


def _plain(node: Node) -> Iterator[Example]:
    """A box sold once, one not sold, one that came in a carton, and a carton, found by looking through the journal."""
    told: set[str] = set()
    for key in islice(node.journal.keys("trace20:8"), SEARCHED):
        code = key.partition(":")[2]
        words = _kind_of(node, code, told)
        if words:
            told.add(words)
            yield Example(words, "trace" if words == _PLAIN["packed"] else "check", code)
        if len(told) == len(_PLAIN):
            return


_PLAIN = {"one": "clean 正常", "none": "not sold yet 未售", "carton": "a carton 箱码", "packed": "in a carton 箱内"}


def _kind_of(node: Node, code: str, told: set[str]) -> str:
    """Of what this code is an example that has not been told yet; empty for none."""
    answer = _answer(node, code)
    if answer.holds or any(sale.split for sale in answer.sales):
        return ""
    words = _PLAIN.get(answer.outcome, "")
    if words and words not in told:
        return words
    packed = _PLAIN["packed"] not in told and tell(node.ledger, node.catalogue, code).cartons
    return _PLAIN["packed"] if packed else ""


def _answer(node: Node, code: str) -> CitizenAnswer:
    return check(node.ledger, node.catalogue, code)


def _is_split(node: Node, code: str) -> bool:
    answer = _answer(node, code)
    return answer.outcome == "one" and any(sale.split for sale in answer.sales)


def _invite(examples: list[Example], folder: Path) -> None:
    """Commands to try, as they can be pasted into a shell."""
    program = ".venv/bin/suyuan" if Path(".venv/bin/suyuan").exists() else "suyuan"
    where = [] if folder == DEFAULT_FOLDER else ["--dir", str(folder)]
    rows = [(one.kind, shlex.join([program, one.ask, one.code, *where])) for one in examples]
    say("\nTry 试一试:")
    print_table(("kind of code", "command"), rows)
