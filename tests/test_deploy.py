"""What is deployed is what the program has: figures on dashboards and in rules, units, commands, a container."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from suyuan.portals.figures import Figures
from suyuan.portals.problem import ERROR

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
FIGURE = re.compile(r"\bsuyuan_[a-z_]+")
UNITS = sorted((DEPLOY / "systemd").iterdir())


def figures() -> set[str]:
    """Every name of a sample that /metrics can tell."""
    kinds = re.findall(r"^# TYPE (\w+) (\w+)$", Figures().text().decode(), re.MULTILINE)
    suffixes = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("",), "gauge": ("",)}
    return {name + suffix for name, kind in kinds for suffix in suffixes[kind]}


def unknown_figures(text: str) -> set[str]:
    return set(FIGURE.findall(text)) - figures()


def rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((DEPLOY / "prometheus" / "suyuan-rules.yml").read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def test_every_figure_of_the_dashboard_is_told_by_the_server_and_each_panel_asks_one_server_or_all() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "suyuan.json").read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(asked) > 20
    assert unknown_figures("\n".join(asked)) == set()
    assert all('instance=~"$instance"' in expression for expression in asked)
    assert all(expression.count("(") == expression.count(")") for expression in asked)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    told = {name.removesuffix("_bucket").removesuffix("_count") for name in FIGURE.findall("\n".join(asked))}
    assert {
        "suyuan_codes_total",
        "suyuan_reasons_total",
        "suyuan_alert_lag_seconds",
        "suyuan_citizen_checks_total",
    } <= told
    assert {"suyuan_uploads_waiting", "suyuan_oldest_waiting_seconds", "suyuan_software_flagged"} <= told


def test_every_rule_asks_for_figures_that_are_told_and_says_what_to_do() -> None:
    found = list(rules())
    assert len(found) > 12
    recorded = {rule["record"] for rule in found if "record" in rule}
    for rule in found:
        assert unknown_figures(rule["expr"]) == set(), rule
        assert set(re.findall(r"\bsuyuan:[\w:]+", rule["expr"])) <= recorded
        if "alert" in rule:
            assert rule["annotations"]["summary"]
            assert rule["annotations"]["do"]
            assert rule["labels"]["severity"] in {"page", "look"}
    named = "".join(str(rule["expr"]) for rule in found)
    assert set(re.findall(r'error=~"([\w|]+)"', named)[0].split("|")) <= set(ERROR)


def test_a_figure_that_nobody_tells_would_be_found() -> None:
    assert unknown_figures("rate(suyuan_codes_total[5m])") == set()
    assert unknown_figures("rate(suyuan_codes[5m])") == {"suyuan_codes"}
    assert unknown_figures("suyuan_alert_lag_seconds_total") == {"suyuan_alert_lag_seconds_total"}


def started(unit: str) -> list[list[str]]:
    """The commands that a unit starts, without the program's folder."""
    return [shlex.split(line)[1:] for line in re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)]


def test_units_start_commands_and_options_that_the_program_has() -> None:
    commands = [command for unit in UNITS for command in started(unit.read_text(encoding="utf-8"))]
    assert {command[0] for command in commands} == {"serve", "backup"}
    for command in commands:
        asked = [sys.executable, "-m", "suyuan", command[0], "--help"]
        helped = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        for option in (word for word in command if word.startswith("--")):
            assert option in helped, f"suyuan {command[0]} has no {option}"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    for one in UNITS:
        # The program is not installed on this machine: any other that is stands in for it.
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", one.read_text(encoding="utf-8"), flags=re.MULTILINE)
        (tmp_path / one.name).write_text(text, encoding="utf-8")
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert unit.name not in ran.stderr


def test_the_server_is_given_longer_to_stop_than_it_takes_and_may_write_in_its_folder_alone() -> None:
    from suyuan.portals.server import GRACE  # noqa: PLC0415  the server is loaded for its one number

    unit = (DEPLOY / "systemd" / "suyuan.service").read_text(encoding="utf-8")
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0]) >= 2 * GRACE
    assert re.findall(r"^ReadWritePaths=(.*)$", unit, re.MULTILINE) == ["/srv/suyuan"]
    for line in ("ProtectSystem=strict", "NoNewPrivileges=yes", "User=suyuan", "Restart=on-failure"):
        assert line in unit.splitlines()


def test_the_container_is_built_from_the_locks_and_runs_without_rights() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    installs = re.findall(r"pip install ([^&\n]*)", text)
    assert all("--require-hashes" in one or "--no-deps" in one for one in installs)
    copied = [name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for name in line.split()]
    assert [name for name in copied if not (DEPLOY.parent / name).exists()] == []
    last = text.rpartition("FROM ")[2]
    assert re.search(r"^USER suyuan$", last, re.MULTILINE)
    assert re.search(r"^VOLUME /srv/suyuan$", last, re.MULTILINE)
    entry, command = (json.loads(one) for one in re.findall(r"^(?:ENTRYPOINT|CMD) (\[.*\])$", last, re.MULTILINE))
    assert entry == ["suyuan"]
    assert command[:3] == ["serve", "--dir", "/srv/suyuan"]
