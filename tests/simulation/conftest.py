"""A small country, written once for all tests of the simulation."""

from pathlib import Path

import pytest

from suyuan.simulation.country import write_country


@pytest.fixture(scope="session")
def small_country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("country")
    write_country(folder, 3, institutions=20, boxes=500, days=30, noise="high")
    return folder
