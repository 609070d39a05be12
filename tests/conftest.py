"""What holds for every test: the same examples each run, no network beyond this machine, no silent lack of samples."""

import gc
import os
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings
from postgres_server import PostgresServer

from suyuan import COLLECT_AFTER
from suyuan.storage import passwords

TESTS = Path(__file__).resolve().parent
SHARED = TESTS.parent.parent / "shared"

TRACED = ("codes", "ledger", "settlement", "intake", "lookup", "node", "views", "relay")
"""Folders of tests that coverage watches, where it is on: those near the rooms that it measures."""

MEMORY, ROOM = Path("/dev/shm"), 4 << 30
"""Where the fast tests keep their files, if so many bytes are free there: on a disk they wait for it half of the time.

A killed process leaves there what it would leave on a disk. The slow tests are on the disk.
"""

LONGEST = (
    "simulation/test_simulation_faults.py",
    "portals/test_quarantine.py",
    "portals/test_api_schema.py",
    "storage/test_storage_postgres.py",
    "storage/test_storage_migrations.py",
    "storage/test_storage_contract.py",
    "storage/test_storage_audit.py",
    "portals/test_access_callers.py",
    "portals/test_institution_pages.py",
    "carry/test_carry_backup.py",
    "lake/test_lake_columns.py",
    "views/test_alerts_view.py",
)
"""Files of tests to begin with, so that no worker is left alone with one of them at the end."""

# A busy machine is no fault of the code: nothing here depends on how long an example takes.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def pytest_configure(config: pytest.Config) -> None:
    """Tests that read the shared samples skip without them; where they are required, nothing may skip."""
    if os.environ.get("SUYUAN_REQUIRE_SHARED") == "1" and not SHARED.is_dir():
        raise pytest.UsageError("SUYUAN_REQUIRE_SHARED=1, but there is no folder 'shared' beside this repository")
    if config.option.markexpr == "not slow" and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
    gc.set_threshold(COLLECT_AFTER)  # as the program does
    config.option.loadscopereorder = False  # the order below is better than the number of tests in a file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first."""
    place = {TESTS / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Tracing doubles what a test costs: one that is far from the measured rooms runs without it."""
    coverage = Coverage.current()
    if coverage is None or item.path.relative_to(TESTS).parts[0] in TRACED:
        return (yield)
    coverage.stop()
    try:
        return (yield)
    finally:
        coverage.start()


@pytest.fixture(autouse=True, scope="session")
def offline() -> Iterator[None]:
    """Tests speak to this machine only: an address outside is a fault of the test."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        here = self.family not in {socket.AF_INET, socket.AF_INET6} or address[0] in {"127.0.0.1", "::1", "localhost"}
        assert here, f"a test reached for the network: {address!r}"
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        yield


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> Iterator[None]:
    """The same function keeps passwords, with fewer passes: a fifth of a second each is for who guesses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "N", 1 << 6)
        patch.setattr(passwords, "_NOBODY", passwords._NOBODY.replace("$32768$", "$64$"))
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that the tests of one process share; who kills it starts it again."""
    # Not in pytest's own folder: the next pytest on this machine shuts that to every other user, the server's too.
    with tempfile.TemporaryDirectory(prefix="suyuan-postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        server.start()
        yield server
        server.kill()  # in order it would first write out every database, for nobody


@pytest.fixture
def database(postgres_server: PostgresServer) -> str:
    """The address of a fresh, empty database."""
    return postgres_server.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where tables may be kept: a file that is not there yet, and a fresh database."""
    if request.param == "sqlite":
        return str(tmp_path / "tables.db")
    address: str = request.getfixturevalue("database")
    return address
