"""The program's front door: it answers `--version` at once and leaves everything else to the command line."""

import gc
import sys

from suyuan import COLLECT_AFTER, __version__


def main() -> int:
    """Run the command line on the process's arguments and answer its exit code (0, 1, 2 or 3).

    The version is answered before the command framework is imported, which costs more than the answer may (0.1 s).
    """
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        sys.stdout.write(f"suyuan {__version__}\n")
        return 0
    gc.set_threshold(COLLECT_AFTER)
    from suyuan.cli import run  # noqa: PLC0415  heavy: not before the version is answered

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
