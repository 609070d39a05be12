"""What a journal says when it cannot do what was asked: in words, for the person who runs the node."""

from pathlib import Path


class JournalRefusal(Exception):  # noqa: N818  what the journal refuses is often no error of anybody
    """The engine cannot do what was asked; the text says what, where, and what to do."""


class JournalInUse(JournalRefusal):
    """Another process, or another part of this one, owns the data folder."""


class JournalUnusable(JournalRefusal):
    """The data folder cannot be opened as it is: not writable, of another version, incomplete or damaged."""


class JournalStopped(JournalRefusal):
    """The journal takes no more facts until it is opened again; whether the last ones were kept is unknown."""


def folder_refusal(path: Path, error: OSError) -> JournalUnusable:
    """Words for a folder that the operating system does not let us use."""
    reason = error.strerror or str(error)
    return JournalUnusable(
        f"The data folder {path} cannot be used: {reason}. "
        "Give this user the right to write there, free some space, or choose another folder."
    )
