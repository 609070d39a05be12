"""What operators and their machines ask: is it alive, is it ready, which version, which figures."""

import sqlite3
import time

from starlette.requests import Request
from starlette.responses import Response

from suyuan import __version__
from suyuan.ledger.events import RECORD_VERSION
from suyuan.portals.access import caller_of
from suyuan.portals.codec import answer
from suyuan.portals.problem import Refused
from suyuan.portals.relaying import relaying_of
from suyuan.portals.site import site_of
from suyuan.portals.watch import faults_of


async def livez(request: Request) -> Response:
    """The process answers."""
    return answer({"alive": True, "seconds": round(time.time() - site_of(request).started)})


async def readyz(request: Request) -> Response:
    """Uploads can be taken now: the journal and the tables answer, and nobody is stopping the server."""
    site = site_of(request)
    findings = await faults_of(site)
    deferral = site.counter.deferral
    notes = {"views": site.views.failure} if site.views.failure else {}
    if behind := getattr(site.node.ledger.clock, "behind", 0) // 1_000_000:
        notes["clock"] = f"it is {behind} seconds behind the latest fact: set it; the time of facts stands still"
    if told := deferral.told():
        notes["store"] = told
    if deferral.reason and not deferral.refusing:
        findings.pop("journal", None)  # uploads are taken, and recorded later
    try:
        count, full = await site.query(site.node.quarantined)
        if full:
            notes["quarantine"] = f"it is full with {count} messages: those on which the program fails are not kept now"
    except (sqlite3.Error, OSError) as error:
        notes["quarantine"] = f"it cannot be read: {error}; messages on which the program fails are not kept now"
    if relay := relaying_of(request).station.failure:
        notes["relay"] = relay  # the province works on alone
    return answer({"ready": not findings, "findings": findings, "notes": notes}, 503 if findings else 200)


async def version(_: Request) -> Response:
    """Which program answers."""
    return answer({"name": "suyuan", "version": __version__, "record_version": RECORD_VERSION})


async def metrics(request: Request) -> Response:
    """Figures in Prometheus's form, for a collector on this machine or somebody who administers the node."""
    direct = request.client is not None and request.client.host in {"127.0.0.1", "::1"}
    near = direct and "x-forwarded-for" not in request.headers
    if not near and caller_of(request).role not in {"administrator", "auditor"}:
        raise Refused("not_allowed", where="/metrics", what="Figures are given to this machine only.")
    return Response(site_of(request).figures.text(), media_type="text/plain; version=0.0.4")
