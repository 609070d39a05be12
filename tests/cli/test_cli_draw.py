"""Barcodes printed by the program are read by it again."""

import pytest
from cli_shell import Shell

TRACE = "82345670000000000017"
GS1 = "(01)06901234567892(17)271231(10)ABC123(21)SN0001"


@pytest.mark.parametrize(
    ("symbology", "texts"),
    [("datamatrix", [TRACE, GS1]), ("gs1_datamatrix", [GS1]), ("code128", [TRACE]), ("qr", [TRACE, GS1])],
)
def test_what_is_drawn_is_read_again(shell: Shell, symbology: str, texts: list[str]) -> None:
    sheet = shell.home / "sheet.png"
    first = shell("code", *texts, "--draw", sheet, "--symbology", symbology)
    again = shell("code", "--image", sheet)
    assert (first.code, again.code) == (0, 0)
    assert sorted(value["key"] for value in again.values) == sorted(value["key"] for value in first.values)


def test_a_code_that_a_symbology_cannot_hold_is_named(shell: Shell) -> None:
    sheet = shell.home / "sheet.png"
    ran = shell("code", TRACE, "--draw", sheet, "--symbology", "gs1_datamatrix")
    assert (ran.code, sheet.exists()) == (1, False)
    assert TRACE in ran.err
