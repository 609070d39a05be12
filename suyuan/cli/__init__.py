"""The command line: the same doors as everywhere, one module a command, loaded when it is asked for."""

import os
import sys
from collections.abc import Sequence

import cyclopts

from suyuan import __version__

FINE, FINDINGS, USAGE, FAILED = 0, 1, 2, 3
"""Exit codes: fine; finished with findings (rejected lines, refused claims); wrong usage; could not run."""

app = cyclopts.App(
    name="suyuan",
    help="Drug traceability: one box, one code, one paid claim. 药品追溯：一盒一码，一码一结。",
    version=__version__,
    result_action="return_value",
)

app.command("suyuan.cli.demo:demo", name="demo")
app.command("suyuan.cli.ingest:ingest", name="ingest")
app.command("suyuan.cli.code:code", name="code")
app.command("suyuan.cli.ask:check", name="check")
app.command("suyuan.cli.ask:trace", name="trace")
app.command("suyuan.cli.settle:settle", name="settle")
app.command("suyuan.cli.simulate:simulate", name="simulate")
app.command("suyuan.cli.catalogue:app", name="catalogue")
app.command("suyuan.cli.access:app", name="access")
app.command("suyuan.cli.carry:export", name="export")
app.command("suyuan.cli.carry:import_", name="import")
app.command("suyuan.cli.bench:bench", name="bench")
app.command("suyuan.cli.doctor:doctor", name="doctor")


def run(arguments: Sequence[str]) -> int:
    """Run one command; answers its exit code. Refusals are words on standard error, never a traceback."""
    try:
        result = app(list(arguments), exit_on_error=False, print_error=True)
    except cyclopts.CycloptsError:
        return USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; what was acknowledged is kept, run the command again to go on\n")
        return FAILED
    except Exception as error:
        words = _in_words(error)
        if words is None:
            raise
        sys.stderr.write(f"suyuan: {words}\n")
        return FAILED
    return result if isinstance(result, int) else FINE


def _in_words(error: Exception) -> str | None:
    """The words of a refusal; None for what is our own mistake and deserves its traceback."""
    from suyuan.ledger.ledger import Contention  # noqa: PLC0415  loaded only when something went wrong
    from suyuan.node import NodeUnusable  # noqa: PLC0415
    from suyuan.settings import SettingsWrong  # noqa: PLC0415
    from suyuan.storage.refusals import JournalRefusal  # noqa: PLC0415
    from suyuan.storage.tables import TablesError  # noqa: PLC0415

    if isinstance(error, (NodeUnusable, SettingsWrong, JournalRefusal, TablesError, Contention)):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}"
    return None
