"""Settings of the server: shown with their origin, refused with words."""

import json
from pathlib import Path

import pytest

from suyuan.cli import run
from suyuan.settings import SettingsWrong, explain_settings, read_settings


def test_each_setting_says_where_its_value_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "suyuan.toml").write_text('name = "广东"\nport = 9000\n', encoding="utf-8")
    found = {one.name: one for one in explain_settings(tmp_path, {"SUYUAN_PORT": "9100"})}
    assert (found["name"].value, found["name"].origin) == ("广东", str(tmp_path / "suyuan.toml"))
    assert (found["port"].value, found["port"].origin) == ("9100", "SUYUAN_PORT")
    assert found["host"].origin == "default"
    assert run(["settings", "--dir", str(tmp_path), "--format", "json"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"name": "port", "value": "9000", "origin": str(tmp_path / "suyuan.toml")} in shown


@pytest.mark.parametrize(
    ("wrong", "word"), [("port = 70000", "port"), ('address = "suyuan.cn"', "https"), ("block_cache_mb = 1", "least 8")]
)
def test_a_value_that_cannot_be_used_is_refused_with_what_may_stand_there(
    tmp_path: Path, wrong: str, word: str
) -> None:
    read_settings(tmp_path, {})
    (tmp_path / "suyuan.toml").write_text(wrong, encoding="utf-8")
    with pytest.raises(SettingsWrong, match=word):
        read_settings(tmp_path, {})
