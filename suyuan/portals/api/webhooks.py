"""Webhooks for programs: make, list, test, pause, go on, delete."""

import secrets
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.lookup.moment import iso_time
from suyuan.portals import codec
from suyuan.portals.access import Caller, caller_of
from suyuan.portals.alert_records import wanted_within
from suyuan.portals.api.alerts import CLASS, REGION, Words
from suyuan.portals.api.operation import operation, scope_here
from suyuan.portals.live import live_of
from suyuan.portals.problem import Refused
from suyuan.portals.site import site_of
from suyuan.portals.webhooks import Courier, Refusal, Undeliverable, courier_of, pinned_address
from suyuan.storage.webhooks import Webhook

GROUP = "Webhooks"
OF_ONE_MAX = 10
OF_ALL_MAX = 1_000
SECRET_MIN = 16


class WebhookFilters(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Which alerts are sent; what is left out does not narrow."""

    region: Annotated[str, Meta(max_length=6, pattern="^[0-9]*$", description=REGION)] = ""
    institution: Annotated[str, Meta(max_length=40, description="On either side.")] = ""
    alert_class: Annotated[Words, Meta(description=CLASS)] = msgspec.field(name="class", default="")
    kind: Annotated[Words, Meta(description="sold, claimed, returned, cancelled, with commas between.")] = ""


class WebhookBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new webhook."""

    url: Annotated[str, Meta(min_length=1, max_length=500, description="https (or http) address that takes POST.")]
    filters: WebhookFilters = msgspec.field(default_factory=WebhookFilters)
    secret: Annotated[
        str, Meta(max_length=200, description="Signs deliveries; at least 16 characters; one is made where left out.")
    ] = ""
    after: (
        Annotated[
            int, Meta(ge=0, le=1 << 62, description="Number of the last alert not to send; left out: from now on.")
        ]
        | None
    ) = None


class WebhookRecord(msgspec.Struct, kw_only=True):
    """A webhook and how its receiver fares. Times are ISO 8601."""

    id: str
    url: str
    filters: dict[str, str]
    state: Literal["active", "paused"]
    words: str
    """Why it is paused, or what the last failure was."""
    cursor: int
    """Number of the last alert that the receiver has acknowledged."""
    created: str
    delivered: int
    delivered_at: str
    failures: int
    failing_since: str
    secret: str = ""
    """Shown once, in the answer that made it."""


class WebhookList(msgspec.Struct, kw_only=True):
    """The caller's webhooks."""

    webhooks: list[WebhookRecord]


class WebhookTest(msgspec.Struct, kw_only=True):
    """What became of a test delivery."""

    delivered: bool
    words: str


_BODY = msgspec.json.Decoder(WebhookBody)


@operation(
    "createWebhook",
    GROUP,
    "Have alerts sent to an address of one's own",
    about="Each delivery is a POST of up to 100 alerts in order, signed with HMAC-SM3 (`docs/alerts.md`), repeated "
    "until a 2xx comes back. A receiver may get a batch twice and counts by `number`.",
    body=WebhookBody,
    answer=WebhookRecord,
    status=201,
    errors=("not_now",),
    example={"url": "https://alerts.example.org/suyuan", "filters": {"class": "clone,resale"}},
)
async def create_webhook(request: Request) -> Response:
    """A new one."""
    body = await codec.read_body(request, _BODY)
    site, courier, caller = site_of(request), courier_of(request), caller_of(request)
    filters = {name: str(value) for name, value in msgspec.to_builtins(body.filters).items()}
    wanted_within(scope_here(request), filters)
    if body.secret and len(body.secret) < SECRET_MIN:
        raise Refused("field_unusable", where="secret", what=f"A secret has at least {SECRET_MIN} characters.")
    await _check_address(courier, body.url)
    everybody = await site.query(courier.webhooks.all)
    if sum(one.owner == owner_of(caller) for one in everybody) >= OF_ONE_MAX or len(everybody) >= OF_ALL_MAX:
        raise Refused("not_now", where="webhooks", what=f"A subscriber has at most {OF_ONE_MAX} webhooks.")
    secret = body.secret or secrets.token_urlsafe(32)
    webhook = Webhook(
        id=secrets.token_hex(8),
        owner=owner_of(caller),
        role=caller.role,
        party=caller.party,
        person=caller.person,
        region=caller.region,
        fund=caller.fund,
        url=body.url,
        filters=filters,
        secret=site.node.privacy.seal(secret.encode())[1],
        created=site.node.ledger.clock(),
        cursor=live_of(request).newest if body.after is None else body.after,
    )
    await site.query(courier.webhooks.add, webhook)
    courier.follow(webhook)
    record = _record(webhook)
    record.secret = secret
    return codec.answer(record, 201)


async def _check_address(courier: Courier, url: str) -> None:
    try:
        await pinned_address(url, private=courier.site.settings.webhook_private)
    except Refusal as refusal:
        raise Refused("field_unusable", where="url", value=url, what=str(refusal)) from refusal


def owner_of(caller: Caller) -> str:
    """To whom a webhook belongs: the party, so that it outlives its people; an account without one for itself."""
    return caller.party or f"person:{caller.person}"


@operation("listWebhooks", GROUP, "The caller's webhooks and how their receivers fare", answer=WebhookList)
async def list_webhooks(request: Request) -> Response:
    """All of the caller's."""
    found = await site_of(request).query(courier_of(request).webhooks.all, owner_of(caller_of(request)))
    return codec.answer(WebhookList(webhooks=[_record(webhook) for webhook in found]))


@operation("getWebhook", GROUP, "One webhook", answer=WebhookRecord)
async def get_webhook(request: Request) -> Response:
    """One of the caller's."""
    return codec.answer(_record(await _mine(request)))


@operation(
    "testWebhook",
    GROUP,
    "Send a signed delivery without alerts, now",
    answer=WebhookTest,
)
async def test_webhook(request: Request) -> Response:
    """A test delivery."""
    webhook, courier = await _mine(request), courier_of(request)
    try:
        await courier.deliver(webhook, scope_here(request), [], test=True)
    except Undeliverable as failure:
        return codec.answer(WebhookTest(delivered=False, words=str(failure)))
    return codec.answer(WebhookTest(delivered=True, words=""))


@operation("pauseWebhook", GROUP, "Send nothing until it goes on; nothing is lost", answer=WebhookRecord)
async def pause_webhook(request: Request) -> Response:
    """Pause one."""
    webhook, courier = await _mine(request), courier_of(request)
    courier.forget(webhook.id)
    words = "已由订阅方暂停 paused by its owner"
    await site_of(request).query(courier.webhooks.change, webhook.id, state="paused", words=words)
    return codec.answer(_record(await _mine(request)))


@operation("resumeWebhook", GROUP, "Go on, with everything that was not delivered", answer=WebhookRecord)
async def resume_webhook(request: Request) -> Response:
    """Go on with one."""
    webhook, courier = await _mine(request), courier_of(request)
    fresh = {"state": "active", "words": "", "failures": 0, "failing_since": 0}
    await site_of(request).query(courier.webhooks.change, webhook.id, **fresh)
    found = await _mine(request)
    courier.follow(found)
    return codec.answer(_record(found))


@operation("deleteWebhook", GROUP, "Send nothing any more", answer_kinds=(), status=204)
async def delete_webhook(request: Request) -> Response:
    """Delete one."""
    webhook, courier = await _mine(request), courier_of(request)
    courier.forget(webhook.id)
    await site_of(request).query(courier.webhooks.delete, webhook.id)
    return Response(status_code=204)


async def _mine(request: Request) -> Webhook:
    """The webhook of the address, if it is the caller's.

    Raises:
        Refused: there is none for the asker.
    """
    identity = str(request.path_params["webhook"])
    webhook = await site_of(request).query(courier_of(request).webhooks.one, identity)
    if webhook is None or webhook.owner != owner_of(caller_of(request)):
        raise Refused("not_found", where="webhook", value=identity)
    return webhook


def _record(webhook: Webhook) -> WebhookRecord:
    return WebhookRecord(
        id=webhook.id,
        url=webhook.url,
        filters=webhook.filters,
        state=webhook.state,
        words=webhook.words,
        cursor=webhook.cursor,
        created=iso_time(webhook.created),
        delivered=webhook.delivered,
        delivered_at=iso_time(webhook.delivered_at),
        failures=webhook.failures,
        failing_since=iso_time(webhook.failing_since),
    )
