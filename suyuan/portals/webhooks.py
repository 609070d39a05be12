"""Webhooks: alerts sent to a subscriber's own address, signed, in order, at least once, until the receiver has them."""

import asyncio
import ipaddress
import secrets
import socket
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx
import msgspec
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import HTTPConnection

from suyuan import __version__
from suyuan.intake.desk import day_of
from suyuan.lookup.moment import iso_time
from suyuan.node import kept_at
from suyuan.portals.access import Caller, Scope, scope_of
from suyuan.portals.alert_records import record_for, wanted_within
from suyuan.portals.callers import caller_for
from suyuan.portals.codec import JSON, to_json
from suyuan.portals.live import Live
from suyuan.portals.signatures import hmac_sm3
from suyuan.portals.site import FOLLOW_EVERY
from suyuan.storage.webhooks import Webhook, Webhooks
from suyuan.views.alerts import Alert

FILE = "webhooks.sqlite"
BATCH = 100
"""Alerts a delivery."""
TIMEOUT = 10.0
"""Seconds a receiver has for its answer."""
WAIT_FIRST, WAIT_MAX = 1.0, 300.0
"""Seconds before the first repeat, doubled each time up to the second figure."""
LOOK_EVERY = 60.0
"""Seconds after which a webhook that is told nothing looks whether it still may be."""
MOVED_FAR = 1_000
"""Alerts that were none of a webhook's, after which its cursor is kept all the same."""
HOUR = 3_600_000_000
SIGNATURE = "x-suyuan-signature"


_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that the public network of IPv6 has handed out so far."""

_NO_REUSE = httpx.Limits(max_keepalive_connections=0)
"""Addresses are called by number: an open connection to one may have been checked for another name."""


class Undeliverable(Exception):  # noqa: N818  the receiver's fault, in words
    """A delivery failed; the words say why."""


class Courier:
    """Delivers to every active webhook of a node, each in a task of its own; `start` where no other process does."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.site = live.site
        self.webhooks = Webhooks.open(kept_at(self.site.node.folder, self.site.settings, FILE))
        self._client = httpx.AsyncClient(follow_redirects=False, timeout=TIMEOUT, trust_env=False, limits=_NO_REUSE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._resting: set[str] = set()
        """Webhooks whose receiver failed, and is left alone for a while."""
        self._looking: asyncio.Task[None] | None = None
        """Looks for what other processes have changed; None where this one does not deliver."""

    async def start(self) -> None:
        """Go on with what was not delivered."""
        for webhook in await self.site.query(self.webhooks.all):
            self._follow(webhook)
        self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """End; what was not acknowledged is delivered after the next start, here or by another process."""
        tasks, self._tasks = list(self._tasks.values()), {}
        if self._looking is not None:
            tasks.append(self._looking)
            self._looking = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Release what is open."""
        await self.stop()
        await self._client.aclose()
        self.webhooks.close()

    async def _look(self) -> None:
        """Webhooks that were made or resumed by another process are followed too; paused ones end by themselves."""
        while True:
            await asyncio.sleep(FOLLOW_EVERY)
            with suppress(SQLAlchemyError):  # a database that is away answers later
                for webhook in await self.site.query(self.webhooks.all):
                    task = self._tasks.get(webhook.id)
                    resumed = webhook.id in self._resting and not webhook.failures
                    if webhook.state == "active" and (task is None or task.done() or resumed):
                        self._follow(webhook)

    def follow(self, webhook: Webhook) -> None:
        """Deliver to it from now on, if it is active; where another process delivers, that one notices."""
        if self._looking is not None:
            self._follow(webhook)

    def _follow(self, webhook: Webhook) -> None:
        self.forget(webhook.id)
        if webhook.state == "active":
            self._tasks[webhook.id] = asyncio.create_task(self._deliver_all(webhook.id))

    def forget(self, identity: str) -> None:
        """Deliver to it no more."""
        task = self._tasks.pop(identity, None)
        if task is not None:
            task.cancel()

    async def _deliver_all(self, identity: str) -> None:
        """One webhook's life: the next alerts, until acknowledged; then the ones after them."""
        reached = -1
        while (webhook := await self.site.query(self.webhooks.one, identity)) and webhook.state == "active":
            try:
                scope = await self.site.query(self._scope, webhook)
                wanted = wanted_within(scope, webhook.filters)
                reached = max(reached, webhook.cursor)
                alerts, reached = await self.live.after(reached, wanted, BATCH)
                if alerts and not await self.site.query(self.may_be_told, webhook):
                    words = "订阅方账号或密钥已停用 its owner's account or keys were ended"
                    await self.site.query(self.webhooks.change, identity, state="paused", words=words)
                    return
                if alerts:
                    await self.deliver(webhook, scope, alerts)
                    await self._acknowledged(webhook, len(alerts), reached)
                    continue
            except Undeliverable as failure:
                reached = -1
                if await self._failed(webhook, str(failure)):
                    return
                continue
            except Exception as error:
                reached = -1
                self.site.log.exception("webhook", id=identity, error=type(error).__name__)
                await asyncio.sleep(WAIT_MAX / 10)
                continue
            if reached - webhook.cursor >= MOVED_FAR:
                await self.site.query(self.webhooks.change, identity, cursor=reached)
            await self.live.wait(reached, LOOK_EVERY)
            if self.site.stopping:
                return

    def _scope(self, webhook: Webhook) -> Scope:
        """What its owner may see today; roles, delegations and regions end for a webhook as they end for a caller."""
        caller = self._owner(webhook)
        return scope_of(caller, self.site.node.catalogue, day_of(self.site.node.ledger.clock()))

    def _owner(self, webhook: Webhook) -> Caller:
        """Its owner as a caller; of a person with the region and fund of today's account."""
        person = self.site.node.tables.person(webhook.person) if webhook.person else None
        if person is not None and (person.role, person.institution) == (webhook.role, webhook.party):
            return caller_for(self.site, person)
        names = ("role", "party", "person", "region", "fund")
        return msgspec.convert({name: getattr(webhook, name) for name in names}, Caller)

    def may_be_told(self, webhook: Webhook) -> bool:
        """Whether its owner could still come in: a person as whom it was made, or a party with any key that is good."""
        tables, now = self.site.node.tables, datetime.now(UTC)
        if webhook.person:
            person = tables.person(webhook.person)
            same = person is not None and (person.role, person.institution) == (webhook.role, webhook.party)
            return same and person is not None and not person.disabled
        return any(
            key.revoked is None and (key.valid_until is None or key.valid_until > now)
            for key in tables.list_credentials(webhook.party)
        )

    async def deliver(self, webhook: Webhook, scope: Scope, alerts: list[Alert], *, test: bool = False) -> None:
        """Send one batch and see that the receiver has taken it.

        Raises:
            Undeliverable: no 2xx came back.
        """
        catalogue, now = self.site.node.catalogue, self.site.node.ledger.clock()
        body = to_json(
            {
                "webhook": webhook.id,
                "delivery": secrets.token_hex(12),
                "sent": iso_time(now),
                "test": test,
                "alerts": [record_for(scope, alert, catalogue) for alert in alerts],
            }
        )
        timestamp = str(now // 1_000_000)
        secret = self.site.node.privacy.unseal(webhook.secret)
        headers = {
            "content-type": JSON,
            "user-agent": f"suyuan/{__version__}",
            "x-suyuan-webhook": webhook.id,
            "x-suyuan-timestamp": timestamp,
            SIGNATURE: f"hmac-sm3={hmac_sm3(secret, timestamp.encode() + b'.' + body).hex()}",
        }
        await self._post(webhook.url, body, headers)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        allowed = self.site.settings.webhook_private
        try:
            async with asyncio.timeout(2 * TIMEOUT):
                pinned, named = await pinned_address(url, private=allowed)
                request = self._client.build_request(
                    "POST", pinned, content=body, headers={**headers, "host": named}, extensions=_sni(url)
                )
                # Only the status counts; who answers without end is not listened to.
                answer = await self._client.send(request, stream=True)
                await answer.aclose()
        except Refusal as refusal:
            raise Undeliverable(str(refusal)) from refusal
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            raise Undeliverable(f"接收方无应答 no answer: {type(error).__name__}") from error
        if answer.is_redirect:
            raise Undeliverable(f"接收方要求重定向，不予跟随 a redirect is not followed: {answer.status_code}")
        if not answer.is_success:
            raise Undeliverable(f"接收方返回 the receiver answered {answer.status_code}")

    async def _acknowledged(self, webhook: Webhook, count: int, cursor: int) -> None:
        """Only now is the cursor moved: a stop before this repeats the batch, and loses nothing."""
        changes = {
            "cursor": cursor,
            "delivered": webhook.delivered + count,
            "delivered_at": self.site.node.ledger.clock(),
            "failures": 0,
            "failing_since": 0,
            "words": "",
        }
        await self.site.query(self.webhooks.change, webhook.id, **changes)

    async def _failed(self, webhook: Webhook, words: str) -> bool:
        """Note a failure and wait, each time longer; true where the receiver is given up and the webhook paused."""
        now = self.site.node.ledger.clock()
        since = webhook.failing_since or now
        hours = self.site.settings.webhook_patience_hours
        changes = {"failures": webhook.failures + 1, "failing_since": since, "words": words}
        if now - since >= hours * HOUR:
            changes |= {
                "state": "paused",
                "words": f"接收方连续{hours}小时未应答，已暂停 paused after {hours} h: {words}",
            }
            await self.site.query(self.webhooks.change, webhook.id, **changes)
            self._tasks.pop(webhook.id, None)
            self.site.log.warning("webhook paused", id=webhook.id, owner=webhook.owner)
            return True
        await self.site.query(self.webhooks.change, webhook.id, **changes)
        self._resting.add(webhook.id)
        try:
            await asyncio.sleep(min(WAIT_MAX, WAIT_FIRST * 2 ** min(webhook.failures, 20)))
        finally:
            self._resting.discard(webhook.id)
        return False


class Refusal(Exception):  # noqa: N818  the reader's word for it
    """An address that is not called; the words say why."""


async def pinned_address(url: str, *, private: bool) -> tuple[str, str]:
    """The URL with its host resolved, and the host itself for the `Host` header.

    The address that was checked is the address that is called: a name that resolves differently a moment later leads
    nowhere else. `private` allows addresses of private networks.

    Raises:
        Refusal: not an http or https URL, an unknown host, or a private address.
    """
    parts = check_url(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Refusal(f"找不到主机 unknown host: {host}") from error
    addresses = [str(one[4][0]) for one in found]
    usable = [one for one in addresses if private or is_public(one)]
    if not usable:
        raise Refusal("不允许向内网地址发送 private networks are not called (setting webhook_private)")
    shown = f"[{usable[0]}]" if ":" in usable[0] else usable[0]
    pinned = urlunsplit((parts.scheme, f"{shown}:{port}", parts.path or "/", parts.query, ""))
    return pinned, parts.netloc


def check_url(url: str) -> SplitResult:
    """The parts of a URL that may be called.

    Raises:
        Refusal: it is none.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Refusal("地址无法识别 the URL cannot be read") from error
    if parts.scheme not in {"https", "http"} or not host or parts.username or parts.password or not url.isascii():
        raise Refusal("地址须为http(s)，且不含用户名口令 the URL must be http or https, without user and password")
    return parts


def is_public(address: str) -> bool:
    """Whether an address belongs to the public network."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return is_public(str(parsed.ipv4_mapped))
        # Others carry an address of IPv4 to which a gateway may send on: 6to4, NAT64, the compatible ones of old.
        if parsed not in _GLOBAL_UNICAST or parsed.sixtofour is not None:
            return False
    return parsed.is_global and not parsed.is_multicast


def _sni(url: str) -> dict[str, str]:
    """The name that the receiver's certificate must bear."""
    return {"sni_hostname": urlsplit(url).hostname or ""}


def courier_of(request: HTTPConnection) -> Courier:
    """The courier of the application that a request came to."""
    courier = request.app.state.courier
    assert isinstance(courier, Courier), "the application was made with one"
    return courier
