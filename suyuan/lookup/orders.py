"""Orders in force on a box: recalls, stops and thefts on its code, its batch or its product, in words."""

from collections.abc import Iterable
from typing import Any

from suyuan.codes.code import Code
from suyuan.ledger.events import Event
from suyuan.ledger.keys import hold_key
from suyuan.ledger.ledger import Ledger
from suyuan.lookup.words import Language, Words

_SCOPES = {
    "code": Words("本盒", "this code"),
    "batch": Words("本批", "its batch"),
    "product": Words("本品种", "its product"),
}
_NO_REASON = Words("召回或停售", "recalled or stopped")


def orders_on(ledger: Ledger, code: Code, own: Iterable[Event], language: Language = "both") -> tuple[str, ...]:
    """The words of every order that covers the code and is not lifted (settlement rule R17).

    `own` is the code's own history: it holds the orders on the code itself, and says from which lot the maker made it.
    The reason of an order is told as it was given.
    """
    own = list(own)
    words = _standing(own, language)
    if code.product_key:
        made = {event.lot for event in own if event.kind == "produced" and event.lot}
        lots = sorted(made | ({code.lot} if code.lot else set()))
        keys = [hold_key("batch", f"{code.product_key}:{lot}") for lot in lots]
        for history in ledger.read([*keys, hold_key("product", code.product_key)]).values():
            words += _standing(history, language)
    return tuple(words)


def _standing(events: Iterable[Event], language: Language) -> list[str]:
    orders = [event for event in events if event.kind in {"hold_set", "hold_lifted"}]
    lifted = {event.corrects for event in orders if event.kind == "hold_lifted"}
    return [
        _words(event.detail, language) for event in orders if event.kind == "hold_set" and event.sequence not in lifted
    ]


def _words(detail: Any, language: Language) -> str:  # noqa: ANN401  as stored
    mark = "：" if language == "zh" else ": "
    return f"{_SCOPES[detail['scope']].told(language)}{mark}{detail['reason'] or _NO_REASON.told(language)}"
