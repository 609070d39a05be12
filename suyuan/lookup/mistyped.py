"""What may be wrong with a code that was typed or scanned by a citizen, in words, and what was probably meant."""

import re

from suyuan.codes import trace20
from suyuan.codes.address import is_address
from suyuan.codes.code import Code
from suyuan.codes.normalise import normalise
from suyuan.lookup.words import Words

_LOOK_ALIKE = str.maketrans(
    {"O": "0", "o": "0", "Q": "0", "D": "0", "I": "1", "l": "1", "i": "1", "|": "1", "Z": "2", "z": "2"}
    | {"S": "5", "s": "5", "G": "6", "b": "6", "B": "8", "g": "9", "q": "9"}
)
"""Letters and what they are mistaken for in print."""

_SPOKEN = str.maketrans("零〇一二三四五六七八九幺两", "0012345678912")
"""Digits as a telephone's dictation writes them."""

_LENGTH = trace20.LENGTH
_GAPS = re.compile(r"[\s-]+")
_LETTERS_MAX = 6
"""More letters than this are no slips of the eye."""
_RETAIL = re.compile(r"69\d{11}")

_OTHER_NUMBERS = {
    "approval": Words(
        "这是药品批准文号，不是追溯码。追溯码是20位数字，印在条码或二维码旁。",
        "This is the approval number, not the trace code: that has 20 digits and stands beside a barcode.",
    ),
    "nhsa_drug": Words(
        "这是医保药品编码，不是追溯码。追溯码是20位数字，印在条码或二维码旁。",
        "This is the insurer's drug code, not the trace code: that has 20 digits and stands beside a barcode.",
    ),
    "nhsa_cons": Words(
        "这是医保耗材编码，不是追溯码。请扫描包装上的UDI码。",
        "This is the insurer's code of a consumable: scan the UDI on its package instead.",
    ),
    "institution": Words("这是医药机构编码，不是追溯码。", "This is the code of an institution, not of a box."),
    "escape": Words(
        "20个9表示销售时没有扫码，不对应任何一盒药。请扫描药盒上的追溯码。",
        "Twenty nines stand for a sale without a scan; they name no box. Scan the code on the box.",
    ),
    "std_code": Words(
        "这是药品本位码，代表品种，不是追溯码。",
        "This is the national drug code of a product, not of a box.",
    ),
}

EMPTY = Words("请输入或扫描药盒上的追溯码。", "Type or scan the trace code on the box.")


def meant(text: str) -> str:
    """The trace code that was probably meant by text that is none: look-alike letters, digits in words; else empty."""
    plain = _GAPS.sub("", normalise(text).text).translate(_SPOKEN)
    if trace20.is_clean(plain):
        return plain
    letters = sum(not character.isdigit() for character in plain)
    guess = plain.translate(_LOOK_ALIKE)
    return guess if 0 < letters <= _LETTERS_MAX and trace20.is_clean(guess) else ""


def hints(text: str, code: Code) -> list[Words]:
    """What may be wrong with a code that was not recognised; the likeliest first, never empty."""
    plain = _GAPS.sub("", normalise(text).text)
    if not plain:
        return [EMPTY]
    if code.system in _OTHER_NUMBERS:
        return [_OTHER_NUMBERS[code.system]]
    if is_address(text):
        return [
            Words(
                "这个二维码里是网址，不是追溯码。请扫描“药品追溯码”字样旁的条码。",
                "This QR code holds a web address: scan the code beside the words 药品追溯码.",
            )
        ]
    found = _of_digits(plain) if plain.isascii() and plain.isdigit() else _of_letters(plain)
    if any(problem.startswith("check digit") for problem in code.problems):
        found.insert(
            0,
            Words(
                "最后一位校验数字对不上：至少有一位输错了，请逐位核对后重新输入。",
                "The check digit does not fit: at least one digit is wrong; compare them one by one.",
            ),
        )
    if any(problem.startswith("placeholder") for problem in code.problems):
        found = [EMPTY]
    return found or [
        Words(
            "请对准“药品追溯码”字样旁的条码重新扫描，或输入条码下方的20位数字。",
            "Scan the code beside the words 药品追溯码 again, or type the 20 digits below it.",
        )
    ]


def unknown_prefix(code: Code) -> Words:
    """For a trace code of the right form whose first digits belong to no listed product."""
    front = code.text[: trace20.PREFIX]
    return Words(
        f"前{trace20.PREFIX}位 {front} 不在产品库中：请核对这几位是否输错。",
        f"No product is listed under the first {trace20.PREFIX} digits, {front}: check whether they are right.",
    )


def _of_digits(digits: str) -> list[Words]:
    count, missing = len(digits), _LENGTH - len(digits)
    if _RETAIL.fullmatch(digits):
        return [
            Words(
                "以69开头的13位数字是商品条码，不是追溯码。",
                "Thirteen digits beginning with 69 are the retail barcode, not the trace code.",
            )
        ]
    if missing > 0:
        return [
            Words(
                f"您输入了{count}位数字，药品追溯码是{_LENGTH}位，还差{missing}位：请看是否漏输。",
                f"You gave {count} digits; a drug trace code has {_LENGTH}: {missing} are missing.",
            )
        ]
    if missing < 0:
        return [
            Words(
                f"您输入了{count}位数字，药品追溯码是{_LENGTH}位，多了{-missing}位：请看是否重复输入，或连带输入了别的数字。",
                f"You gave {count} digits; a drug trace code has {_LENGTH}: {-missing} too many, perhaps typed twice.",
            )
        ]
    return [
        Words(
            f"药品追溯码以8开头，这个码以{digits[0]}开头：请核对第一位。",
            f"A drug trace code begins with 8, this one with {digits[0]}: check the first digit.",
        )
    ]


def _of_letters(plain: str) -> list[Words]:
    shown = plain[:40]
    others = [character for character in shown if not (character.isascii() and character.isdigit())]
    odd = sorted(set(others))
    if 0 < len(odd) <= _LETTERS_MAX and len(others) * 2 < len(shown):
        told = "、".join(odd)
        return [
            Words(
                f"其中的 {told} 不是数字：请看是否把数字看成了字母（如0和O、1和l）。",
                f"{', '.join(odd)} is no digit: perhaps a letter was read for a digit, such as O for 0 or l for 1.",
            )
        ]
    return []
