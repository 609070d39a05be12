"""Seals where no file may grow beyond some kilobytes, then without that limit: a program of its own.

python full_disk.py FOLDER WORKERS
"""

import resource
import sys
from pathlib import Path

from sealed_lake import Facts, agreed, journal_of, lake_of

from suyuan.lake.refusals import LakeRefusal

LIMIT = 65_536


def main(folder: Path, workers: int) -> None:
    facts = Facts()
    journal = journal_of([*(facts.batch(50) for _ in range(2)), facts.batch(5_000)])
    lake = lake_of(folder, journal)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
    try:
        lake.seal(workers=workers, segment_events=50)
    except LakeRefusal as refusal:
        sys.stdout.write(f"{refusal}\n")
    left = [*lake.folder.glob("**/*.part")]
    sys.stdout.write(f"{lake.manifest().events} {len(left)}\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    lake.seal(workers=workers)
    agreed(lake, journal)
    sys.stdout.write("agreed\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
