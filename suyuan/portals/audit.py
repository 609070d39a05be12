"""Audit of the doors: no personal data is opened and no account changed before the line that says so is on disk."""

import asyncio
from typing import Protocol

from starlette.requests import HTTPConnection

from suyuan.node import Node
from suyuan.portals.access import Caller, caller_of
from suyuan.portals.problem import Refused
from suyuan.storage.audit import AuditBroken, Line

REASON_MIN, REASON_MAX = 4, 500
"""Characters of a reason: `案件复核` is one, `x` is none."""

READ = "read"
"""Actions on personal data begin with it, and need a reason."""


class Audit:
    """The audit record of a site."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def note(self, caller: Caller, action: str, subject: str, reason: str = "", request: str = "") -> Line:
        """Record what a caller is about to do; durable when this returns. It waits for the disk: not on the event loop.

        Raises:
            Refused: personal data without a reason, or the line could not be written.
        """
        reason = reason.strip()
        if action.startswith(READ) and len(reason) < REASON_MIN:
            raise Refused("reason_needed", where="reason", value=reason)
        try:
            return self._node.audit.append(
                action,
                subject,
                reason[:REASON_MAX],
                who=caller.name,
                role=caller.role,
                party=caller.party,
                request=request,
            )
        except AuditBroken as error:
            raise Refused("internal", what="The audit record cannot be written; nothing was opened.") from error


class Audited(Protocol):
    """A site that keeps an audit record."""

    audit: Audit


def record(site: Audited, caller: Caller, action: str, subject: str, reason: str = "") -> Line:
    """Record what a caller is about to do (`Audit.note`)."""
    return site.audit.note(caller, action, subject, reason)


async def recorded(request: HTTPConnection, action: str, subject: str, reason: str = "") -> None:
    """Record what the caller of a request is about to do, off the event loop.

    Raises:
        Refused: as for `Audit.note`.
    """
    audit = request.app.state.site.audit
    assert isinstance(audit, Audit), "the application was made for a site"
    request_id = request.scope["state"]["request_id"]
    await asyncio.to_thread(audit.note, caller_of(request), action, subject, reason, request_id)
