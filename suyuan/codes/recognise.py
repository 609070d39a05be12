"""Text to code: one ordered list of readers, the first that reads it wins (`spec/codes.md` §1.9)."""

from collections.abc import Callable, Sequence

import msgspec

from suyuan.codes import ahm, digital_link, element_string, escape, ma, nhsa_codes, retail, trace20, unknown
from suyuan.codes.address import inner_texts, is_address
from suyuan.codes.code import Code, Context
from suyuan.codes.makers import MakerRule
from suyuan.codes.normalise import GS, case_hint, normalise, spreadsheet_damage
from suyuan.codes.reading import Reading, Scanned

TEXT_LENGTH_MAX = 4000
"""No symbol in use holds more that could be a code; a longer text is not searched for one."""


def _read_maker(scanned: Scanned) -> Reading:
    """R12: the first registered rule that matches the whole text."""
    return next((code for rule in scanned.rules if (code := rule.read(scanned.text))), "")


READERS: tuple[Callable[[Scanned], Reading], ...] = (
    escape.read,
    element_string.read_marked,  # R2
    trace20.read,  # R3
    element_string.read_sscc,  # R4
    ma.read,  # R5
    ahm.read,  # R6
    digital_link.read,  # R7
    digital_link.read_urn,
    element_string.read_gtin_first,  # R8
    retail.read_std_code,  # R9
    retail.read,  # R10
    nhsa_codes.read,  # R11
    _read_maker,  # R12
)


def recognise(text: str, context: Context = "scan", rules: Sequence[MakerRule] = ()) -> Code:
    """The code that `text` is. Any text gives a code; what nothing reads is `unknown` and says why.

    `context` tells a scanner's field from a product field (R9); `rules` are the schemes of registered makers (R12).
    """
    if trace20.is_clean(text):
        return trace20.of(text)
    if len(text) > TEXT_LENGTH_MAX:
        head = normalise(text[:TEXT_LENGTH_MAX]).text.replace(GS, "<GS>")
        return unknown.cut(head, text, (f"length: {len(text)} characters, more than {TEXT_LENGTH_MAX}; send one code",))
    normal = normalise(text)
    code = _read(Scanned(normal.text, normal.symbology, context, rules))
    if not normal.symbology:
        return code
    hint = case_hint(normal.symbology)
    problems = (*code.problems, hint) if hint else code.problems
    return msgspec.structs.replace(code, symbology=normal.symbology, problems=problems)


def _read(scanned: Scanned) -> Code:
    damage = spreadsheet_damage(scanned.text)
    if damage:
        return unknown.of(scanned.text, (damage,))
    refusals = []
    inner = _unwrapped(scanned) if is_address(scanned.text) else []
    for reader in READERS:
        for candidate in inner:
            reading = reader(candidate)
            if isinstance(reading, Code):
                return msgspec.structs.replace(reading, carrier="URL")
        reading = reader(scanned)
        if isinstance(reading, Code):
            return reading
        refusals.append(reading)
    return unknown.of(scanned.text, tuple(filter(None, refusals)))


def _unwrapped(scanned: Scanned) -> list[Scanned]:
    """The texts inside a web address, each normalised like a scan of its own (N6)."""
    normals = [normalise(text) for text in inner_texts(scanned.text)]
    return [scanned._replace(text=normal.text, symbology=normal.symbology) for normal in normals]
