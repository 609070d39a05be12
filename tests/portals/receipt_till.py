"""A till of the tests: sells boxes over HTTP, takes them back, and asks for receipts."""

import itertools
from typing import Any, Self

import httpx
from portal import Portal

_NUMBERS = itertools.count(1)


class Till:
    """One till of an institution."""

    def __init__(self, portal: Portal, institution: str) -> None:
        self.institution = institution
        self.client = portal.client(institution)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def new_box(self) -> str:
        """A trace code that nobody has sold yet."""
        return f"8234567{next(_NUMBERS):013}"

    def _send(self, infno: str, receipt: str, boxes: tuple[str, ...]) -> str:
        msgid = f"{self.institution}{next(_NUMBERS):018}"
        message = {
            "infno": infno,
            "msgid": msgid,
            "insuplc_admdvs": "440100",
            "infver": "V1.0",
            "fixmedins_code": self.institution,
            "input": {
                "selinfo": {
                    "fixmedins_bchno": "B1",
                    "rtal_docno": receipt,
                    "psn_no": "person 1",
                    "sel_retn_cnt": "1",
                    "sel_retn_time": "2026-11-20 10:00:00",
                    "drugtracinfo": [{"drug_trac_codg": box} for box in boxes],
                }
            },
        }
        answer = self.client.post("/fsi/api/rsfComIfsService/callService", json=message).json()
        assert answer["infcode"] == 0, answer
        return msgid

    def sell(self, receipt: str, *boxes: str) -> str:
        """3505; the id of the message."""
        return self._send("3505", receipt, boxes)

    def give_back(self, receipt: str, *boxes: str) -> str:
        """3506."""
        return self._send("3506", receipt, boxes)

    def ask(self, *boxes: str, **said: Any) -> httpx.Response:
        """A receipt for these boxes."""
        return self.client.post("/api/v1/receipts", json={"codes": boxes, **said})

    def issue(self, *boxes: str, **said: Any) -> dict[str, Any]:
        """The same, where it is sure to be given."""
        answer = self.ask(*boxes, **said)
        assert answer.status_code == httpx.codes.OK, answer.text
        told: dict[str, Any] = answer.json()
        return told
