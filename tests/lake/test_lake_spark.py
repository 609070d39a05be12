"""The same SQL text gives equal rows on DuckDB and on a Spark cluster of one master and two workers."""

import datetime as dt
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sealed_lake import Facts, journal_of, lake_of
from spark_answers import MORE

from suyuan.lake.lake import Lake
from suyuan.lake.questions import QUESTIONS
from suyuan.lake.refusals import QuestionRefused
from suyuan.lake.spark import SparkLake
from suyuan.storage.memory import MemoryJournal

HERE = Path(__file__).resolve().parent
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Of the six Java processes none lives long enough to repay the second compiler."""
PATIENCE = 300
"""Seconds that Java may take to start on a busy machine."""


def missing() -> str:
    """What is not there for a cluster, in words."""
    wanted = []
    if importlib.util.find_spec("pyspark") is None:
        wanted.append("pyspark is not installed (make spark)")
    if shutil.which("java") is None:
        wanted.append("there is no java (apt install openjdk-17-jre-headless)")
    return " and ".join(wanted)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The master's address, and what the environment of whoever asks it must be."""
    words = missing()
    if words:
        if os.environ.get("SUYUAN_REQUIRE_SPARK") == "1":
            pytest.fail(f"SUYUAN_REQUIRE_SPARK=1, but {words}")
        pytest.skip(f"equal rows on Spark are NOT shown: {words}")
    found = importlib.util.find_spec("pyspark")
    assert found is not None
    assert found.origin is not None
    home, configuration = Path(found.origin).parent, tmp_path / "conf"
    configuration.mkdir()
    (configuration / "spark-defaults.conf").write_text(
        "spark.sql.shuffle.partitions 4\nspark.executor.memory 512m\nspark.driver.memory 512m\n"
        "spark.driver.host 127.0.0.1\nspark.driver.bindAddress 127.0.0.1\n"
        f"spark.driver.extraJavaOptions {SHORT_LIVED}\nspark.executor.extraJavaOptions {SHORT_LIVED}\n"
    )
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_CONF_DIR": str(configuration),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": SHORT_LIVED,
        "SPARK_LAUNCHER_OPTS": SHORT_LIVED,
        "SPARK_LOCAL_DIRS": str(tmp_path / "scratch"),
        "PYSPARK_PYTHON": sys.executable,
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    master = f"spark://127.0.0.1:{port}"
    log = tmp_path / "master.log"
    roles = [["master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]]
    for number in (1, 2):
        size = ["--cores", "1", "--memory", "600m", "--work-dir", str(tmp_path / f"worker{number}")]
        roles.append(["worker.Worker", "--host", "127.0.0.1", "--webui-port", "0", *size, master])
    with ExitStack() as ending:
        for role in roles:
            ending.callback(end, start(home, role, log if role is roles[0] else tmp_path / "workers.log", environment))
        until = time.monotonic() + PATIENCE
        while not log.exists() or log.read_text().count("Registering worker") < 2:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield master, environment


def start(home: Path, role: list[str], log: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{role[0]}", *role[1:]]
    with log.open("ab") as out:
        return subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)


def end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def lake_with_everything(folder: Path) -> Lake:
    facts = Facts(keys=300)
    batches = [facts.batch(500, days=day % 5) for day in range(16)]
    batches.append([facts.event(key="elsewhere:trace20:" + "9" * 20, kind="sold") for _ in range(5)])
    lake = lake_of(folder, journal_of(batches))
    lake.seal(workers=0, segment_events=3_000)
    return lake


@pytest.mark.slow
def test_the_same_questions_give_equal_rows_on_duckdb_and_on_spark(
    cluster: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    lake = lake_with_everything(tmp_path)
    assert len(lake.manifest().files) == 3
    master, environment = cluster
    ran = subprocess.run(
        [sys.executable, str(HERE / "spark_answers.py"), str(lake.folder), master],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-5_000:]
    *answers, refusal = (eval(line, {"datetime": dt}) for line in ran.stdout.splitlines())
    for question, (columns, rows) in zip((*QUESTIONS, *MORE), answers, strict=True):
        ours = lake.query(question)
        assert rows, f"{question} has an answer"
        assert (columns, rows) == (ours.columns, ours.rows), question
    assert "nothing" in refusal


def test_without_spark_the_refusal_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lake_of(tmp_path, MemoryJournal())
    lake.seal()
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(QuestionRefused, match=r"install Suyuan with its extra, suyuan\[spark\]"):
        SparkLake(lake.folder, "local[1]").__enter__()
