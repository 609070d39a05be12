"""The command line: the same doors as everywhere, one module a command, loaded when it is asked for."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper

import cyclopts

from suyuan import __version__

FINE, FINDINGS, USAGE, FAILED = 0, 1, 2, 3
"""Exit codes: fine; finished with findings (rejected lines, refused claims); wrong usage; could not run."""

app = cyclopts.App(
    name="suyuan",
    help="Drug traceability: one box, one code, one paid claim. 药品追溯：一盒一码，一码一结。",
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

app.command("suyuan.cli.demo:demo", name="demo")
app.command("suyuan.cli.serve:serve", name="serve")
app.command("suyuan.cli.ingest:ingest", name="ingest")
app.command("suyuan.cli.code:code", name="code")
app.command("suyuan.cli.ask:check", name="check")
app.command("suyuan.cli.ask:trace", name="trace")
app.command("suyuan.cli.settle:settle", name="settle")
app.command("suyuan.cli.proof:proof", name="proof")
app.command("suyuan.cli.proof:verify", name="verify")
app.command("suyuan.cli.simulate:simulate", name="simulate")
app.command("suyuan.cli.catalogue:app", name="catalogue")
app.command("suyuan.cli.access:app", name="access")
app.command("suyuan.cli.nhsa:nhsa", name="nhsa")
app.command("suyuan.cli.carry:export", name="export")
app.command("suyuan.cli.carry:import_", name="import")
app.command("suyuan.cli.backup:backup", name="backup")
app.command("suyuan.cli.backup:restore", name="restore")
app.command("suyuan.cli.move:move", name="move")
app.command("suyuan.cli.keys:app", name="keys")
app.command("suyuan.cli.quarantine:app", name="quarantine")
app.command("suyuan.cli.quarantine:defer", name="defer")
app.command("suyuan.cli.lake:app", name="lake")
app.command("suyuan.cli.bench:app", name="bench")
app.command("suyuan.cli.relay:app", name="relay")
app.command("suyuan.cli.database:app", name="database")
app.command("suyuan.cli.settings:settings", name="settings")
app.command("suyuan.cli.doctor:doctor", name="doctor")


def run(arguments: Sequence[str]) -> int:
    """Run one command; answers its exit code. Refusals are words on standard error, never a traceback."""
    _print_anything()
    try:
        result = app([_as_text(argument) for argument in arguments], exit_on_error=False, print_error=True)
        sys.stdout.flush()
    except cyclopts.ValidationError as error:  # raised by a command, which alone can see it
        sys.stderr.write(f"suyuan: {error.msg}\n")
        return USAGE
    except cyclopts.CycloptsError:  # its words are printed already
        return USAGE
    except BrokenPipeError:
        _drop_output()
        return FINE
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; what was acknowledged is kept, run the command again to go on\n")
        return FAILED
    except Exception as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        code, words = refusal
        sys.stderr.write(f"suyuan: {words}\n")
        _flush_or_drop()
        return code
    return result if isinstance(result, int) else FINE


def _refusal(error: Exception) -> tuple[int, str] | None:
    """Exit code and words of a refusal; None for what is our own mistake and deserves its traceback."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415  loaded only when something went wrong

    from suyuan.carry import FileRefused, FolderRefused  # noqa: PLC0415
    from suyuan.cli.output import Unreadable  # noqa: PLC0415
    from suyuan.lake.refusals import LakeRefusal, QuestionRefused  # noqa: PLC0415
    from suyuan.ledger.ledger import Contention  # noqa: PLC0415
    from suyuan.node import NodeUnusable  # noqa: PLC0415
    from suyuan.proof.checkpoints import CheckpointRefused  # noqa: PLC0415
    from suyuan.settings import SettingsWrong  # noqa: PLC0415
    from suyuan.storage.audit import AuditBroken  # noqa: PLC0415
    from suyuan.storage.refusals import JournalRefusal  # noqa: PLC0415
    from suyuan.storage.tables import TablesError  # noqa: PLC0415

    if isinstance(error, (Unreadable, FileRefused)):
        return FINDINGS, str(error)
    cannot = (
        CheckpointRefused,
        LakeRefusal,
        QuestionRefused,
        NodeUnusable,
        FolderRefused,
        SettingsWrong,
        JournalRefusal,
        TablesError,
        AuditBroken,
        Contention,
    )
    if isinstance(error, cannot) or type(error).__name__ == "ControlRefused":  # whose module costs a second
        return USAGE if isinstance(error, QuestionRefused) else FAILED, str(error)
    if isinstance(error, DBAPIError):
        return FAILED, f"the tables could not be read or written: {error.orig}; see to the disk and its rights"
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return FAILED, f"{error.filename}: {reason}" if error.filename else reason
    return None


def _as_text(argument: str) -> str:
    """An argument whose bytes are no UTF-8 as text that can be stored; the name of a file stays as it is."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        if not os.path.exists(argument):  # noqa: PTH110  a Path would say the same
            return argument.encode("utf-8", "replace").decode()
    return argument


def _print_anything() -> None:
    """Let a terminal or locale without Chinese show what it cannot print as escapes, instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush_or_drop() -> None:
    with suppress(OSError):
        sys.stdout.flush()
        return
    _drop_output()


def _drop_output() -> None:
    """Nobody takes the output any more: what is still buffered must not fail a second time at the end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
