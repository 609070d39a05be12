"""Words of the inspectors' pages: classes, states and steps in English, as pages translate them. None accuses."""

from collections.abc import Callable

CLASS_NAMES: dict[str, str] = {
    "swap": "Perhaps swapped",
    "repeated_settlement": "Settled again",
    "resale": "Perhaps sold again",
    "clone": "Perhaps a copied code",
    "two_lines": "Twice in one claim",
    "split_exceeded": "Split beyond the box",
    "undo_by_another": "Undone by another",
    "product_differs": "Another product billed",
    "recalled": "Under an order",
    "destroyed": "Was out of circulation",
    "suspended": "Institution suspended",
    "two_funds": "Paid by two funds",
    "report": "Citizen's report",
}
STATE_NAMES: dict[str, str] = {
    "new": "New",
    "seen": "Looked at",
    "asked": "Institution asked",
    "contested": "Contested",
    "closed": "Closed",
}
STEP_NAMES: dict[str, str] = {
    "seen": "Looked at",
    "asked": "Asked the institution",
    "contested": "The institution answered",
    "closed": "Closed with a finding",
}
KIND_NAMES: dict[str, str] = {
    "produced": "Produced",
    "packed": "Packed",
    "unpacked": "Unpacked",
    "shipped": "Shipped",
    "received": "Received",
    "refused": "Not accepted",
    "counted": "Counted in stock",
    "changed": "Stock changed",
    "sold": "Sold",
    "returned": "Given back",
    "claimed": "Settled by insurance",
    "cancelled": "Settlement cancelled",
    "reversed": "Settlement reversed",
    "fee_line": "Fee line",
    "exited": "Left circulation",
    "hold_set": "Order set",
    "hold_lifted": "Order lifted",
    "alerted": "Alert",
    "reported": "Reported",
    "due": "Deadline passed",
    "corrected": "Corrected",
}
REPORT_STEPS: dict[str, str] = {
    "taken_up": "Take it up",
    "checking": "Begin to check it",
    "answered": "Answer the sender",
}
VERDICT_NAMES: dict[str, str] = {"pay": "Paid", "hold": "On hold", "refuse": "Refused"}
SCRIPT_TEXTS: dict[str, str] = {
    "connected": "Following",
    "connecting": "Connecting…",
    "lost": "Connection lost, trying again…",
    "paused": "Paused",
    "pause": "Pause",
    "goOn": "Go on",
    "waiting": "{0} new alerts wait",
    "soundOn": "Sound on",
    "soundOff": "Sound off",
    "alerts": "alerts",
    "sales": "sales",
    "mapFailed": "The map could not be drawn; the table has the same figures.",
    "remove": "Remove",
    "day": "%(n)s days apart",
    "hour": "%(n)s hours apart",
    "minute": "%(n)s minutes apart",
    "second": "%(n)s seconds apart",
    "together": "at the same time",
    "arrived": "New alert: {0}",
}

_UNITS = (
    (86_400, "%(n)s days apart"),
    (3_600, "%(n)s hours apart"),
    (60, "%(n)s minutes apart"),
    (1, "%(n)s seconds apart"),
)
GAPS = (*(text for _, text in _UNITS), "at the same time")


def gap_words(gap: int, told: Callable[[str, str], str], language: str) -> str:
    """How far apart two moments are (µs), in the largest unit that fits twice, else the next smaller one."""
    seconds = gap // 1_000_000
    for size, text in _UNITS:
        if seconds >= (2 * size if size > 1 else 1):
            return told(text, language) % {"n": seconds // size}
    return told(GAPS[-1], language)
