"""The national stand-in for split packs, twenty nines: recognised, and never a box (settlement rule R19)."""

from suyuan.codes.code import ESCAPE, Code
from suyuan.codes.reading import Reading, Scanned


def read(scanned: Scanned) -> Reading:
    """The escape code; its key names no package and no history is kept under it."""
    return Code(system="escape", text=ESCAPE, key=f"escape:{ESCAPE}") if scanned.text == ESCAPE else ""
