"""What the build puts into the wheel and the sdist, when it needs Node, and that it says when it has no compiler."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VENDOR = "suyuan/portals/static/vendor"
NATIVE = "suyuan/lake/native"
PLATFORM = sysconfig.get_platform().replace("-", "_").replace(".", "_")
BROWSER_CODE = ["echarts.min.js", "china.json", "zxing_reader.js", "zxing_reader.wasm"]


def npm(folder: Path, version: str, ends: int = 0) -> Path:
    """A folder for the path with an npm of that version, which fetches nothing."""
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo {version} && exit 0\nexit {ends}\n')
    program.chmod(0o755)
    return folder


def copy_of_the_build(folder: Path) -> Path:
    folder.mkdir()
    for name in ["hatch_build.py", "package.json", "package-lock.json", "requirements-build.lock"]:
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def ask(project: Path, path: Path | None, statement: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": str(path) if path else ""}
    command = [sys.executable, "-c", f"import hatch_build\n{statement}"]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_node_is_asked_for_only_where_no_usable_npm_is_on_the_path(tmp_path: Path) -> None:
    project = copy_of_the_build(tmp_path / "project")
    needs = "print(hatch_build.needs_node())"
    assert ask(project, npm(tmp_path / "new", "11.17.0"), needs).stdout == "False\n"
    assert ask(project, npm(tmp_path / "old", "6.14.8"), needs).stdout == "True\n"
    assert ask(project, None, needs).stdout == "True\n"


def test_the_build_stops_where_npm_fails_or_a_file_is_missing(tmp_path: Path) -> None:
    project = copy_of_the_build(tmp_path / "project")
    failed = ask(project, npm(tmp_path / "failing", "11.0.0", ends=7), "hatch_build.fetch()")
    assert "RuntimeError: npm ended with 7" in failed.stderr
    missing = ask(project, npm(tmp_path / "empty", "11.0.0"), "hatch_build.fetch()")
    assert "RuntimeError: echarts/dist/echarts.min.js is not among what npm fetched" in missing.stderr
    assert not (project / VENDOR).exists()


def test_the_build_says_what_to_do_where_no_compiler_is_or_the_one_named_fails(tmp_path: Path) -> None:
    project = copy_of_the_build(tmp_path / "project")
    shutil.copytree(ROOT / NATIVE, project / NATIVE, ignore=shutil.ignore_patterns("*.so"))
    none = ask(project, None, "hatch_build.compile_native()")
    assert (
        "RuntimeError: Suyuan seals events with a little C, and no C compiler is on the path: install one"
        in none.stderr
    )
    failing = ask(project, Path("/usr/bin"), "import os; os.environ['CC'] = 'false -x'; hatch_build.compile_native()")
    assert "RuntimeError: false -x -O3" in failing.stderr
    assert "ended with 1" in failing.stderr
    assert not list((project / NATIVE).glob("*.so"))
    assert not ask(project, Path("/usr/bin"), "hatch_build.compile_native()").returncode
    assert [path.name for path in (project / NATIVE).glob("*.so")] == ["segment.so"]


@pytest.mark.skipif(not (ROOT / VENDOR / "stamp").exists(), reason="not built yet: make .venv/dev.stamp")
def test_the_wheel_holds_the_browser_code_and_the_sdist_only_its_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        assert {f"{VENDOR}/{name}" for name in BROWSER_CODE} <= set(names)
        assert any(name.startswith(f"{VENDOR}/licences/") for name in names)
        assert "suyuan/catalogue/data/divisions.csv" in names
        assert "suyuan/py.typed" in names
        assert f"{NATIVE}/segment.so" in names
        assert not [name for name in names if name.startswith("tests/")]
    assert [name.name.split("-", 2)[2] for name in tmp_path.glob("*.whl")] == [f"py3-none-{PLATFORM}.whl"]
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        held = {name.partition("/")[2] for name in sdist.getnames()}
        assert {"package.json", "package-lock.json", "hatch_build.py", "requirements-build.lock"} <= held
        assert {f"{NATIVE}/segment.c", f"{NATIVE}/sha256.h"} <= held
        assert not [name for name in held if name.startswith(VENDOR) or name.endswith(".so")]
