"""Fixtures of the portal's tests: a running portal, a browser, and the loud skip where there is none."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from portal import CHROMIUM, Portal, chromium


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in a browser are skipped where there is none, unless it is required."""
    if Path(CHROMIUM).exists() or os.environ.get("SUYUAN_REQUIRE_BROWSER") == "1":
        return
    skip = pytest.mark.skip(reason="Chromium is not installed: on Debian, apt install chromium fonts-noto-cjk")
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(skip)


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One running portal for the tests of a module."""
    with Portal(tmp_path_factory.mktemp("portal") / "node") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for the tests of a module."""
    with chromium() as opened:
        yield opened
