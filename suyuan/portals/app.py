"""The application: every URL of the program in one list."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

from suyuan.ledger.ledger import Contention
from suyuan.node import Node
from suyuan.portals import access, assets, nhsa, openapi, operations, relaying
from suyuan.portals.api import (
    alerts,
    catalogue,
    claims,
    codes,
    desk,
    files,
    flow,
    keys,
    no_code,
    outcomes,
    proof,
    receipts,
    reports,
    sales,
    self_audit,
    software,
    uploads,
    webhooks,
    words,
)
from suyuan.portals.checks import Checks
from suyuan.portals.control import Control, copy_journal, force_deferral, retry_kept
from suyuan.portals.door import DoorRoute, Framed, Url, tell_refusal
from suyuan.portals.live import Live
from suyuan.portals.once import FolderTurn, Once
from suyuan.portals.pages import (
    account,
    admin,
    audit_record,
    citizen,
    draft_file,
    firm,
    inspector,
    inspector_alert,
    inspector_code,
    inspector_report,
    institution,
    receipt,
    reference,
    report,
    scan,
    shell,
    sign_in,
)
from suyuan.portals.pages import proof as proof_page
from suyuan.portals.pages import software as software_page
from suyuan.portals.problem import Refused
from suyuan.portals.site import TURN, Site, site_of
from suyuan.portals.watch import Watch
from suyuan.portals.webhooks import Courier
from suyuan.storage.database import said_by
from suyuan.storage.refusals import JournalRefusal

AWAY_SECONDS = "5"
"""After so long who was told that the record cannot be reached comes again."""

EVERYBODY = access.EVERYBODY
SELLERS: frozenset[access.Role] = frozenset({"clerk", "pharmacist", "manager", "institution", "vendor"})
"""Hospitals, clinics and pharmacies, their people, and who speaks for them."""
SENDERS: frozenset[access.Role] = frozenset({*SELLERS, "firm"})
ORDERERS: frozenset[access.Role] = frozenset({"agency", "inspector", "drug_regulator", "firm"})
"""Who may order boxes to be held; a hospital or a shop cannot."""
CLAIM_READERS: frozenset[access.Role] = frozenset({*SELLERS, "agency", "inspector"})
RECORD_READERS: frozenset[access.Role] = frozenset({*SENDERS, "agency", "inspector", "drug_regulator"})
"""Who sees records at all, each within its scope."""

INSPECTORS: frozenset[access.Role] = frozenset({"inspector"})
"""Who opens what citizens wrote."""
ALERTED: frozenset[access.Role] = frozenset(
    {"agency", "inspector", "drug_regulator", "institution", "clerk", "pharmacist", "manager", "vendor"}
)
"""Who is told of alerts, each within its scope."""
HANDLING: frozenset[access.Role] = frozenset({*SELLERS, "inspector"})
"""Who answers alerts: institutions contest, inspectors do the rest."""

OFFICIALS: frozenset[access.Role] = frozenset({"agency", "inspector", "drug_regulator"})
"""Who watches."""
ISSUERS: frozenset[access.Role] = frozenset({*access.DIRECTORS, "administrator"})
ADMINISTRATOR: frozenset[access.Role] = frozenset({"administrator"})
OFFICER: frozenset[access.Role] = frozenset({"security_officer"})
FIRMS: frozenset[access.Role] = frozenset({"firm"})
AUDITOR: frozenset[access.Role] = frozenset({"auditor"})

URLS: tuple[Url, ...] = (
    # Operations
    Url("GET", "/livez", operations.livez, EVERYBODY),
    Url("GET", "/readyz", operations.readyz, EVERYBODY),
    Url("GET", "/version", operations.version, EVERYBODY),
    Url("GET", "/metrics", operations.metrics, EVERYBODY),
    # Messages of hospitals and pharmacies as they send them today; who calls is told by the message or its address
    Url("POST", "/fsi/api/rsfComIfsService/callService", nhsa.call, nhsa.CALLERS, "counter", "nhsa"),
    Url("POST", "/fsi/api/rsfComIfsService/callService/{infno:path}", nhsa.call, nhsa.CALLERS, "counter", "nhsa"),
    Url("POST", "/fsi/{token}/api/rsfComIfsService/callService", nhsa.call, nhsa.CALLERS, "counter", "nhsa"),
    Url(
        "POST", "/fsi/{token}/api/rsfComIfsService/callService/{infno:path}", nhsa.call, nhsa.CALLERS, "counter", "nhsa"
    ),
    # Between a province and its nation; who sends a message is told by its signature
    Url("POST", "/relay/v1", relaying.call, EVERYBODY, "counter"),
    # The interface: uploads
    Url("POST", "/api/v1/scans", uploads.take_scans, SENDERS, "counter"),
    Url("POST", "/api/v1/sales", uploads.take_sales, SELLERS, "counter"),
    Url("POST", "/api/v1/returns", uploads.take_returns, SELLERS, "counter"),
    Url("POST", "/api/v1/packages", uploads.take_packages, SENDERS, "counter"),
    Url("POST", "/api/v1/fee-lines", uploads.take_fee_lines, SELLERS, "counter"),
    Url("POST", "/api/v1/prescriptions", uploads.take_prescriptions, SELLERS, "counter"),
    Url("POST", "/api/v1/holds", uploads.set_holds, ORDERERS, "counter"),
    Url("POST", "/api/v1/holds/lift", uploads.lift_holds, ORDERERS, "counter"),
    Url("POST", "/api/v1/claims", claims.settle_claim, SELLERS, "counter"),
    Url("POST", "/api/v1/claims/advice", claims.advise_claim, SELLERS, "counter"),
    Url("POST", "/api/v1/claims/reverse", claims.reverse_claim, SELLERS, "counter"),
    Url("POST", "/api/v1/claims/{settlement}/cancel", claims.cancel_claim, SELLERS, "counter"),
    # The interface: alerts
    Url("GET", "/api/v1/alerts", alerts.list_alerts, ALERTED),
    Url("GET", "/api/v1/alerts/stream", alerts.stream_alerts, ALERTED, "stream"),
    Url("GET", "/api/v1/alerts/{alert}", alerts.get_alert, ALERTED),
    Url("POST", "/api/v1/alerts/{alert}/steps", alerts.answer_one_alert, HANDLING),
    Url("GET", "/api/v1/webhooks", webhooks.list_webhooks, ALERTED),
    Url("POST", "/api/v1/webhooks", webhooks.create_webhook, ALERTED),
    Url("GET", "/api/v1/webhooks/{webhook}", webhooks.get_webhook, ALERTED),
    Url("DELETE", "/api/v1/webhooks/{webhook}", webhooks.delete_webhook, ALERTED),
    Url("POST", "/api/v1/webhooks/{webhook}/test", webhooks.test_webhook, ALERTED),
    Url("POST", "/api/v1/webhooks/{webhook}/pause", webhooks.pause_webhook, ALERTED),
    Url("POST", "/api/v1/webhooks/{webhook}/resume", webhooks.resume_webhook, ALERTED),
    Url("POST", "/api/v1/files", files.take_file, SENDERS, "bulk"),
    Url("POST", "/api/v1/epcis/capture", files.capture, SENDERS, "bulk"),
    # The interface: questions
    Url("GET", "/api/v1/outcomes", outcomes.outcome, SENDERS),
    Url("GET", "/api/v1/claims", claims.list_claims_seen, CLAIM_READERS),
    Url("GET", "/api/v1/claims/{settlement}", claims.show_claim, CLAIM_READERS),
    Url("GET", "/api/v1/sales", sales.list_own_sales, SELLERS),
    Url("GET", "/api/v1/prescriptions/{issuer}/{number}", sales.show_prescription, frozenset({*SELLERS, "inspector"})),
    Url("GET", "/api/v1/check", codes.check_code, EVERYBODY, "citizen"),
    Url("GET", "/api/v1/codes", codes.recognise_code, EVERYBODY, "citizen"),
    Url("GET", "/api/v1/history", codes.history, RECORD_READERS),
    Url("GET", "/api/v1/catalogue/products", catalogue.list_products, EVERYBODY),
    Url("GET", "/api/v1/catalogue/prefixes", catalogue.list_prefixes, RECORD_READERS),
    Url("GET", "/api/v1/catalogue/mapping", catalogue.list_mapping, RECORD_READERS),
    Url("GET", "/api/v1/catalogue/{library}/download", catalogue.download, RECORD_READERS),
    Url("GET", "/api/v1/no-code", no_code.library, SELLERS),
    Url("GET", "/api/v1/no-code/requests", no_code.requests, CLAIM_READERS),
    Url("POST", "/api/v1/no-code/requests", no_code.ask, SELLERS),
    Url("POST", "/api/v1/no-code/requests/{id}/decision", no_code.decide, frozenset({"agency"})),
    Url("GET", "/api/v1/self-audit", self_audit.self_audit, SELLERS),
    Url("POST", "/api/v1/self-audit/{alert}/explanation", self_audit.explain, SELLERS),
    Url("GET", "/api/v1/reports/coverage", words.coverage, frozenset({"agency", "inspector", "drug_regulator"})),
    Url("GET", "/api/v1/software", software.software, OFFICIALS),
    Url("GET", "/api/v1/statuses", words.statuses, EVERYBODY),
    Url("GET", "/api/v1/errors", words.errors, EVERYBODY),
    Url("GET", "/api/v1/me", words.me, EVERYBODY),
    # The interface: citizens' reports and receipts of sales
    Url("POST", "/api/v1/reports", reports.send_report, EVERYBODY, "report"),
    Url("GET", "/api/v1/reports", reports.list_reports, INSPECTORS),
    Url("GET", "/api/v1/reports/{receipt}", reports.follow_report, EVERYBODY, "citizen"),
    Url("GET", "/api/v1/reports/{receipt}/evidence", reports.read_evidence, INSPECTORS),
    Url("GET", "/api/v1/reports/{receipt}/photos/{place}", reports.read_photo, INSPECTORS),
    Url("POST", "/api/v1/reports/{receipt}/contact", reports.read_contact, INSPECTORS),
    Url("POST", "/api/v1/reports/{receipt}/steps", reports.move_report, INSPECTORS),
    Url("POST", "/api/v1/receipts", receipts.issue, SELLERS, "counter"),
    Url("GET", "/api/v1/receipts/status", receipts.status, EVERYBODY, "citizen"),
    # The interface: proofs that anybody can check
    Url("GET", "/api/v1/proof", proof.prove, EVERYBODY, "citizen"),
    Url("GET", "/api/v1/proof/growth", proof.growth, EVERYBODY, "citizen"),
    Url("GET", "/api/v1/proof/keys", proof.keys, EVERYBODY, "citizen"),
    Url("GET", "/checkpoint", proof.latest, EVERYBODY, "citizen"),
    Url("GET", "/checkpoint/{segments}", proof.kept, EVERYBODY, "citizen"),
    Url("GET", "/verifier.py", proof.program, EVERYBODY),
    # The interface: its own description
    Url("GET", "/openapi.json", openapi.openapi_json, EVERYBODY),
    Url("GET", "/api", reference.reference, EVERYBODY, "page", "page"),
    Url("GET", "/errors", reference.errors, EVERYBODY, "page", "page"),
    # The citizen
    Url("GET", "/", citizen.first, EVERYBODY, "citizen", "page"),
    Url("GET", "/check", citizen.show, EVERYBODY, "citizen", "page"),
    Url("POST", "/check/photo", citizen.read_photo, EVERYBODY, "citizen", "page"),
    Url("GET", "/01/{rest:path}", citizen.digital_link, EVERYBODY, "citizen", "page"),
    Url("GET", "/00/{rest:path}", citizen.digital_link, EVERYBODY, "citizen", "page"),
    Url("GET", "/report", report.form, EVERYBODY, "citizen", "page"),
    Url("POST", "/report", report.send, EVERYBODY, "report", "page"),
    Url("GET", "/report/{receipt}", report.follow, EVERYBODY, "citizen", "page"),
    Url("GET", "/compensation", report.compensation, EVERYBODY, "citizen", "page"),
    Url("GET", "/receipt", receipt.show, EVERYBODY, "citizen", "page"),
    Url("POST", "/receipt", receipt.check, EVERYBODY, "citizen", "page"),
    Url("GET", "/receipt-worker.js", receipt.worker, EVERYBODY),
    Url("GET", "/proof", proof_page.show, EVERYBODY, "citizen", "page"),
    Url("POST", "/proof", proof_page.check, EVERYBODY, "citizen", "page"),
    # An institution's own pages
    Url("GET", "/institution", institution.today, access.INSTITUTION, "page", "page"),
    Url("GET", "/institution/owed/{kind}", institution.owed, access.INSTITUTION, "page", "page"),
    Url("GET", "/institution/owed/{kind}/csv", institution.owed_csv, access.INSTITUTION, "page", "page"),
    Url("GET", "/institution/late", institution.late, access.INSTITUTION, "page", "page"),
    Url("GET", "/institution/coverage", institution.coverage, access.INSTITUTION, "page", "page"),
    Url("GET", "/institution/conflicts", institution.conflicts, access.INSTITUTION, "page", "page"),
    Url("GET", "/institution/conflicts/{alert}", institution.conflict, access.INSTITUTION, "page", "page"),
    Url("POST", "/institution/conflicts/{alert}", institution.contest, access.INSTITUTION, "page", "page"),
    Url("GET", "/institution/upload", draft_file.choose, access.INSTITUTION, "page", "page"),
    Url("POST", "/institution/upload", draft_file.begin, access.INSTITUTION, "bulk", "page"),
    Url("GET", "/institution/upload/{draft}", draft_file.show, access.INSTITUTION, "page", "page"),
    Url("GET", "/institution/upload/{draft}/progress", draft_file.progress, access.INSTITUTION),
    Url("POST", "/institution/upload/{draft}/lines", draft_file.mend, access.INSTITUTION, "page", "page"),
    Url("POST", "/institution/upload/{draft}/send", draft_file.send, access.INSTITUTION, "page", "page"),
    Url("GET", "/institution/upload/{draft}/rejects", draft_file.rejects, access.INSTITUTION, "page", "page"),
    Url("POST", "/institution/upload/{draft}/undo", draft_file.undo, access.INSTITUTION, "page", "page"),
    Url("POST", "/institution/upload/{draft}/drop", draft_file.drop, access.INSTITUTION, "page", "page"),
    # The scan screen of an institution or firm, and what it asks
    Url("GET", "/scan", scan.screen, access.SENDERS, "page", "page"),
    Url("GET", "/scan/shell", scan.shell, EVERYBODY, "page", "page"),
    Url("GET", "/scan/worker.js", scan.worker, EVERYBODY),
    Url("GET", "/api/v1/desk/me", desk.identity, access.SENDERS),
    Url("POST", "/api/v1/desk/check", desk.check, access.SENDERS, "counter"),
    Url("POST", "/api/v1/desk/send", desk.send, access.SENDERS, "counter"),
    # Access: keys and delegations of the own party
    Url("GET", "/api/v1/keys", keys.list_keys, access.DIRECTORS | access.KEEPERS),
    Url("POST", "/api/v1/keys", keys.issue_key, ISSUERS),
    Url("POST", "/api/v1/keys/{key}/replace", keys.replace_key, access.DIRECTORS),
    Url("POST", "/api/v1/keys/{key}/revoke", keys.revoke_key, ISSUERS),
    Url("GET", "/api/v1/delegations", keys.list_delegations, access.DIRECTORS),
    Url("POST", "/api/v1/delegations", keys.delegate, access.DIRECTORS),
    Url("POST", "/api/v1/delegations/end", keys.end_delegation, access.DIRECTORS),
    # Access: pages of people
    Url("GET", "/sign-in", sign_in.show, EVERYBODY, "citizen", "page"),
    Url("POST", "/sign-in", sign_in.sign_in, EVERYBODY, "sign_in", "page"),
    Url("GET", "/sign-in/organisation", sign_in.to_organisation, EVERYBODY, "sign_in", "page"),
    Url("GET", "/sign-in/organisation/back", sign_in.from_organisation, EVERYBODY, "sign_in", "page"),
    Url("POST", "/sign-out", sign_in.sign_out, EVERYBODY, "page", "page"),
    Url("GET", "/account", account.show, access.PEOPLE, "page", "page"),
    Url("GET", "/account/password", account.show_password, access.PEOPLE, "page", "page"),
    Url("POST", "/account/password", account.change_password, access.PEOPLE, "page", "page"),
    Url("POST", "/account/sessions", account.end_sessions, access.PEOPLE, "page", "page"),
    Url("POST", "/account/keys", account.issue_key, access.DIRECTORS, "page", "page"),
    Url("POST", "/account/keys/{key}/replace", account.replace_key, access.DIRECTORS, "page", "page"),
    Url("POST", "/account/keys/{key}/revoke", account.revoke_key, access.DIRECTORS, "page", "page"),
    Url("POST", "/account/delegations", account.give_delegation, access.DIRECTORS, "page", "page"),
    Url("POST", "/account/delegations/end", account.end_delegation, access.DIRECTORS, "page", "page"),
    # Accounts and keys, and the record of what was done
    Url("GET", "/admin", admin.show_people, access.KEEPERS, "page", "page"),
    Url("POST", "/admin/people", admin.add_person, ADMINISTRATOR, "page", "page"),
    Url("GET", "/admin/people/{name}", admin.show_person, access.KEEPERS, "page", "page"),
    Url("POST", "/admin/people/{name}", admin.change_person, ADMINISTRATOR, "page", "page"),
    Url("POST", "/admin/requests/{request}", admin.decide, OFFICER, "page", "page"),
    Url("GET", "/admin/keys", admin.show_keys, access.KEEPERS, "page", "page"),
    Url("POST", "/admin/keys", admin.ask_key, ADMINISTRATOR, "page", "page"),
    Url("POST", "/admin/keys/{key}/revoke", admin.revoke_key, ADMINISTRATOR, "page", "page"),
    Url("GET", "/admin/software", software_page.show, ADMINISTRATOR, "page", "page"),
    Url("GET", "/admin/changes", admin.show_changes, access.KEEPERS, "page", "page"),
    Url("GET", "/audit", audit_record.show, AUDITOR, "page", "page"),
    Url("GET", "/audit/export", audit_record.export, AUDITOR, "page", "page"),
    Url("POST", "/audit/verify", audit_record.verify, AUDITOR, "page", "page"),
    # Inspectors
    Url("GET", "/inspector", inspector.live_page, OFFICIALS, "page", "page"),
    Url("GET", "/inspector/figures", inspector.figures_json, OFFICIALS),
    Url("GET", "/inspector/map.json", inspector.map_json, OFFICIALS),
    Url("GET", "/inspector/alerts.csv", inspector.export_csv, OFFICIALS, "page", "page"),
    Url("GET", "/inspector/alerts/{alert}", inspector_alert.alert_page, OFFICIALS, "page", "page"),
    Url("POST", "/inspector/alerts/{alert}/steps", inspector_alert.step_form, INSPECTORS, "page", "page"),
    Url("POST", "/inspector/alerts/{alert}/open", inspector_alert.open_form, INSPECTORS, "page", "page"),
    Url("GET", "/inspector/code", inspector_code.code_page, OFFICIALS, "page", "page"),
    Url("POST", "/inspector/code/open", inspector_code.open_form, INSPECTORS, "page", "page"),
    Url("GET", "/inspector/reports/{receipt}", inspector_report.report_page, INSPECTORS, "page", "page"),
    Url("POST", "/inspector/reports/{receipt}/steps", inspector_report.step_form, INSPECTORS, "page", "page"),
    Url("POST", "/inspector/reports/{receipt}/contact", inspector_report.contact_form, INSPECTORS, "page", "page"),
    Url("GET", "/software", software_page.show, OFFICIALS, "page", "page"),
    # A firm's own goods
    Url("GET", "/firm", firm.show, FIRMS, "page", "page"),
    Url("GET", "/firm/flow.csv", firm.download, FIRMS, "page", "page"),
    Url("GET", "/api/v1/flow", flow.flow, FIRMS),
    Url("GET", "/api/v1/flow/products", flow.products, FIRMS),
    Url("GET", "/api/v1/flow/uploads", flow.own_uploads, FIRMS, "bulk"),
    # What every page needs
    Url("GET", "/static/{name:path}", assets.static, EVERYBODY),
    Url("GET", "/preferences", shell.set_preferences, EVERYBODY, "page"),
)


def application(node: Node) -> ASGIApp:
    """The whole program over HTTP, for an open node; it begins and ends with the server (ASGI lifespan)."""
    site = Site(node)
    live = Live(site)
    courier = Courier(live)
    checks = Checks(site)
    relay = relaying.Relaying(site)
    beside = {"relay": relay.tell_standing, "register": relay.register}
    control = Control(site, {"copy": copy_journal, "defer": force_deferral, "retry": retry_kept, **beside})
    asked = Once(FolderTurn(node.folder / f"{TURN}.control"), [control])
    watch = Watch(live)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        site.single += [courier, relay]
        await site.start()
        await live.start()
        await checks.start()
        await asked.start()
        await watch.start()
        await site.lead()
        try:
            yield
        finally:
            await asked.stop()
            await watch.stop()
            await checks.stop()
            await site.lead_no_more()
            await courier.close()
            await relay.close()
            await live.stop()
            await site.stop()

    routes = [_route(url) for url in URLS]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={**TELLING, Exception: _tell_failure})
    app.router.redirect_slashes = False
    app.state.site, app.state.live, app.state.courier, app.state.urls = site, live, courier, URLS
    app.state.checks, app.state.inspector_figures, app.state.relaying = checks, {}, relay
    short = {(one.url.method, one.url.path): one for one in routes if "{" not in one.path}
    return Framed(app, site, _shortcut(app, short), short)


def _shortcut(app: Starlette, short: Mapping[tuple[str, str], DoorRoute]) -> ASGIApp:
    """Straight to a route whose path says all: the usual way asks each route in turn."""

    async def enter(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"], scope["path_params"] = app, {}
        await short[scope["method"], scope["path"]].handle(scope, receive, send)

    return ServerErrorMiddleware(ExceptionMiddleware(enter, handlers=TELLING), handler=_tell_failure)


def _route(url: Url) -> DoorRoute:
    """A route behind the door. Each is matched by its path alone, so that a wrong method is told as such."""
    route = DoorRoute(url.path, url.endpoint, methods=[url.method])
    route.url = url
    return route


async def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this alone"
    code = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}.get(error.status_code, "malformed_json")
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return await tell_refusal(request, Refused(code, where=request.url.path, headers=headers))


async def _tell_failure(request: Request, _: Exception) -> Response:
    """Our own fault, in the form its reader takes; the log has what happened (`Framed`)."""
    return await tell_refusal(request, Refused("internal"))


async def _tell_away(request: Request, error: Exception) -> Response:
    """The journal or the tables cannot be reached or written: whether anything was kept is found by sending again."""
    site_of(request).log.warning(
        "unavailable", id=request.scope["state"]["request_id"], error=f"{type(error).__name__}: {said_by(error)}"
    )
    return await tell_refusal(request, Refused("unavailable", headers={"retry-after": AWAY_SECONDS}))


async def _tell_contention(request: Request, _: Exception) -> Response:
    """Others changed the same boxes again and again meanwhile; nothing was taken."""
    return await tell_refusal(request, Refused("busy", headers={"retry-after": "1"}))


TELLING: dict[Any, ExceptionHandler] = {
    Refused: tell_refusal,
    HTTPException: _tell_http,
    JournalRefusal: _tell_away,
    DBAPIError: _tell_away,
    PoolTimeout: _tell_away,
    Contention: _tell_contention,
}
"""How what is raised on the way is told."""
