"""Asks the three kept questions and some more of a lake on a Spark cluster: a program of its own, for Java's sake.

python spark_answers.py LAKE MASTER
"""

import sys
from pathlib import Path

from suyuan.lake.questions import QUESTIONS
from suyuan.lake.refusals import QuestionRefused
from suyuan.lake.spark import SparkLake

MORE = (
    "SELECT * FROM boxes ORDER BY key",
    "SELECT * FROM sealed WHERE feed < 500 ORDER BY feed",
    """SELECT get_json_object(refs, '$.visit') AS visit, count(*) AS events FROM sealed
    WHERE array_contains(reasons, 'unmapped') GROUP BY get_json_object(refs, '$.visit') ORDER BY 2 DESC, 1""",
)


def main(folder: Path, master: str) -> None:
    with SparkLake(folder, master) as spark:
        for question in (*QUESTIONS, *MORE):
            answer = spark.query(question)
            sys.stdout.write(repr((answer.columns, answer.rows)) + "\n")
        try:
            spark.query("SELECT nothing FROM events")
        except QuestionRefused as refusal:
            sys.stdout.write(repr(str(refusal)) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
