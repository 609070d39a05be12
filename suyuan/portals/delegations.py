"""Delegations through the doors: a party lets another speak for it until a day, and takes it back."""

from datetime import timedelta

import msgspec

from suyuan.catalogue.parties import Delegation
from suyuan.intake.desk import day_of
from suyuan.node import Node
from suyuan.portals.problem import Refused
from suyuan.storage.tables import TablesError

DAYS_MAX = 3 * 366
"""The longest delegation that is given at once: who is still meant after three years is asked again."""


def give(node: Node, wanted: Delegation) -> Delegation:
    """Record a delegation; uploads from now on are judged by it.

    Raises:
        Refused: nobody is known under the delegate's code, the days are wrong, or it exists already.
    """
    today = day_of(node.ledger.clock())
    grantor, delegate, purpose, first, last = msgspec.structs.astuple(wanted)
    if node.catalogue.party(delegate, today) is None:
        raise Refused("field_unusable", where="delegate", value=delegate, what="Nobody is listed under this code.")
    if last < today or last - first > timedelta(days=DAYS_MAX):
        what = f"The last day lies between today and {DAYS_MAX} days after the first."
        raise Refused("field_unusable", where="until", value=last.isoformat(), what=what)
    with node.catalogue_lock:
        try:
            made = node.tables.delegate(grantor, delegate, first, last, purpose)
        except TablesError as error:
            raise Refused("not_now", where="delegate", value=delegate, what=str(error)) from error
        node.follow_catalogue()
    return made


def end(node: Node, grantor: str, delegate: str) -> None:
    """Take a delegation back; it holds no more from this moment on.

    Raises:
        Refused: there is none.
    """
    yesterday = day_of(node.ledger.clock()) - timedelta(days=1)
    with node.catalogue_lock:
        if not node.tables.end_delegation(grantor, delegate, yesterday):
            raise Refused("not_found", where="delegate", value=delegate, what="There is no delegation to end.")
        node.follow_catalogue()


def of_party(node: Node, party: str) -> tuple[list[Delegation], list[Delegation]]:
    """Delegations that a party gave and was given, the latest first."""
    rows = sorted(node.catalogue.content.delegations, key=lambda row: (row.valid_to, row.valid_from), reverse=True)
    return [row for row in rows if row.grantor == party], [row for row in rows if row.delegate == party]
