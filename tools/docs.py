"""Writes the pages of `docs/` that are generated from the code: `python -m tools.docs`."""

import sys
from pathlib import Path

from suyuan.ledger.statuses import RELATIONS, STATUSES, Status

ROOT = Path(__file__).resolve().parent.parent

STATUSES_HEAD = """\
# Statuses

<!-- Generated from suyuan/ledger/statuses.py. To change it, change the table there and run: make docs -->

Every scan and every claim line is answered with one of these words.
All reasons that hold are stored; of several, the one that stands higher in this table leads (settlement rule R10).

- **Layer** keeps three things apart.
  An *error* is the sender's software at fault: mend and send again.
  An *alert* is a readable message that contradicts what is known; it is raised in the same append.
  A *notice* is worth knowing and is nobody's fault; *fine* needs nothing.
- **Verdict** is the one under enforcement (R9).
  Against a sale report that nobody claimed, `conflict_sold` is held instead of refused.
  Where a policy only observes or warns, the claim is paid and the status stays the same (R11).
  A dash means that the fact has no verdict of its own: the answer given to the first one stands.
- **Relation**: what a sale is to the earlier sales of its box.
  It is found first, and it is exactly one of the words marked so, or none.

| # | status | meaning | layer | alert | verdict | relation | next physical action | seen by |
|--:|---|---|---|---|---|---|---|---|
"""


def status_row(rank: int, status: Status) -> str:
    """One line of the table, English and Chinese beside each other."""
    cells = (
        str(rank),
        f"`{status.name}`",
        f"{status.meaning}<br>{status.meaning_zh}",
        status.layer,
        "yes" if status.layer == "alert" else "no",
        status.verdict or "—",
        "yes" if status.name in RELATIONS else "",
        f"{status.next_action}<br>{status.next_action_zh}",
        status.seen_by,
    )
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


def statuses_page() -> str:
    """`docs/statuses.md` in full."""
    return STATUSES_HEAD + "".join(status_row(rank, status) for rank, status in enumerate(STATUSES, start=1))


PAGES = {"docs/statuses.md": statuses_page}
"""Every generated page, by its path from the root."""


def main() -> int:
    """Write every generated page; name those that changed."""
    for path, page in PAGES.items():
        file = ROOT / path
        text = page()
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path}: written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
