"""A shell with an empty folder, and one with a node that has a small catalogue, made once and copied."""

import shutil
from pathlib import Path

import pytest
from cli_shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="session")
def catalogued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shell = Shell(tmp_path_factory.mktemp("catalogued"))
    shell.take_catalogue()
    return shell.folder


@pytest.fixture
def town(shell: Shell, catalogued: Path) -> Shell:
    """A node that knows two drugs, a maker, a wholesaler and four places of care."""
    shutil.copytree(catalogued, shell.folder)
    return shell
