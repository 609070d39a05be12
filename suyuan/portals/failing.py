"""What an error says: that the store is down, that a message is poison to our own code, or neither."""

from sqlalchemy.exc import DBAPIError

from suyuan.ledger.ledger import Contention
from suyuan.node import NodeUnusable
from suyuan.portals.problem import Refused
from suyuan.storage.audit import AuditBroken
from suyuan.storage.refusals import JournalRefusal
from suyuan.storage.tables import TablesError

STORE = (JournalRefusal, DBAPIError, OSError)
OURS_ALONE = (*STORE, Refused, Contention, NodeUnusable, TablesError, AuditBroken, MemoryError)
"""Errors of the place or of the moment: the same message may well succeed later."""


def is_store_down(error: BaseException) -> bool:
    """Whether the store could not read or write."""
    return isinstance(error, STORE)


def is_poison(error: BaseException) -> bool:
    """Whether our own code failed on what a message says, and would again."""
    return isinstance(error, Exception) and not isinstance(error, OURS_ALONE)
