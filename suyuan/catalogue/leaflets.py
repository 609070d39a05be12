"""Leaflet facts of a medicine, as its approved leaflet (说明书) says them: one row an approval number and period."""

from datetime import date

import msgspec

from suyuan.catalogue.dating import ALWAYS, OPEN


class Leaflet(msgspec.Struct, frozen=True, gc=False):
    """What a citizen may want to read again. The words are the leaflet's own; nothing is put together by us."""

    approval: str
    """Approval number (批准文号): all packages of one approval share a leaflet."""
    indications: str = ""
    usage: str = ""
    cautions: str = ""
    storage: str = ""
    source: str = ""
    synthetic: bool = False
    """Invented for demonstration; never to be taken for medical advice."""
    valid_from: date = ALWAYS
    valid_to: date = OPEN
