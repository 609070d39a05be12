"""Reasons explained: each with its rule, what it means, what to do next, in the order in which they lead."""

from collections.abc import Iterable

import msgspec

from suyuan.ledger.statuses import PRECEDENCE, STATUS

RULES: dict[str, tuple[str, str]] = {
    "R1": ("One open paid claim a box.", "一盒只付一次"),
    "R3": ("A claim and its report are one sale.", "结算与上传为同一笔销售"),
    "R4": ("A return before its sale waits for it.", "退货先到，等待销售"),
    "R5": ("A fact is known by its business numbers.", "按业务单号识别同一事实"),
    "R6": (
        "The same fact again gets its first answer; a box counts once a document.",
        "重复上传返回首次结果，同单一盒计一次",
    ),
    "R7": ("A double scan within minutes is tolerated for reports and stock.", "短时重复扫码予以容忍"),
    "R9": ("Per code, line and claim: pay, hold or refuse.", "逐码、逐行、逐单支付、暂缓或拒付"),
    "R11": (
        "Who may settle at all, and how strictly, by place, fund and date.",
        "按地区、险种、日期确定是否可结算及执行力度",
    ),
    "R13": ("Codes may follow the settlement until a deadline.", "先结算后扫码，限期补齐"),
    "R14": (
        "The scanned product is the billed one, by a reviewed mapping.",
        "扫码药品应与结算药品一致（按已审核映射）",
    ),
    "R15": ("Not in stock is noted, and never refuses alone.", "未见入库仅提示，不单独拒付"),
    "R16": ("Expiry counts only from the maker's data or the code itself.", "效期以生产企业数据或追溯码为准"),
    "R17": ("Recalls and other orders hold from their acknowledgement.", "召回等指令自受理起生效"),
    "R18": ("A split pack is drawn down unit by unit, never beyond the box.", "拆零按量扣减，不超整盒"),
    "R25": ("Only the same institution undoes, in time, and what it names.", "仅原机构可限期撤销所指记录"),
}
"""The rules of settlement that reasons rest on, in short: number → English, Chinese. Whole: docs/statuses.md."""

RULE_OF: dict[str, str] = {
    "malformed": "R9",
    "not_allowed": "R11",
    "key_reused": "R6",
    "first_answer": "R6",
    "duplicate_in_document": "R6",
    "undo_by_another": "R25",
    "undo_not_found": "R25",
    "undo_ambiguous": "R25",
    "undo_too_late": "R25",
    "parked": "R4",
    "code_review": "R9",
    "institution_suspended": "R11",
    "held": "R17",
    "destroyed": "R17",
    "expired": "R16",
    "over_split": "R18",
    "conflict_sold": "R1",
    "possible_split": "R18",
    "possible_same_sale": "R3",
    "product_differs": "R14",
    "not_scanned": "R13",
    "awaiting_scan": "R13",
    "not_received": "R15",
    "unmapped": "R14",
    "tolerated_repeat": "R7",
    "same_sale": "R3",
    "accepted": "R1",
}


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One reason in words, English and Chinese."""

    status: str
    place: int
    """In the order of precedence, from 1: of several reasons the lowest leads."""
    of: int
    """How many statuses there are."""
    layer: str
    verdict: str
    """What it comes to by itself, where it is enforced."""
    rule: str
    rule_text: str
    rule_text_zh: str
    meaning: str
    meaning_zh: str
    next_action: str
    next_action_zh: str


def explained(reasons: Iterable[str]) -> list[Explanation]:
    """The reasons in words, the leading one first; a word that is no status is left out."""
    known = sorted((reason for reason in set(reasons) if reason in STATUS), key=PRECEDENCE.__getitem__)
    return [_explained(reason) for reason in known]


def _explained(reason: str) -> Explanation:
    status, rule = STATUS[reason], RULE_OF[reason]
    return Explanation(
        status=reason,
        place=PRECEDENCE[reason] + 1,
        of=len(PRECEDENCE),
        layer=status.layer,
        verdict=status.verdict,
        rule=rule,
        rule_text=RULES[rule][0],
        rule_text_zh=RULES[rule][1],
        meaning=status.meaning,
        meaning_zh=status.meaning_zh,
        next_action=status.next_action,
        next_action_zh=status.next_action_zh,
    )
