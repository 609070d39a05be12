"""Sign-in through an organisation's own server: OpenID Connect, authorization code with PKCE."""

import base64
import hashlib
import secrets
import time
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from suyuan.ledger.privacy import Privacy, SealBroken
from suyuan.settings import Settings

SCOPES = "openid profile"
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
"""Signatures with a key pair alone: a shared secret would let this node make tokens for itself."""
WAIT_SECONDS = 10
STARTED_SECONDS = 600
"""How long somebody may take at the organisation's server."""
KEPT_SECONDS = 300
"""How long its description and keys are kept."""
CLOCKS_APART = 60


class SignOnFailed(Exception):  # noqa: N818  the reader's word for it
    """The organisation's server did not say who it is; the words say why, for the log and the administrator."""


class Started(msgspec.Struct):
    """One sign-in under way, in a sealed cookie of the browser that began it."""

    state: str
    nonce: str
    verifier: str
    began: int
    back: str
    """The page to go to afterwards."""


class Discovery(msgspec.Struct):
    """What the server says of itself (`/.well-known/openid-configuration`)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class SignOn:
    """The organisation's sign-on server as the settings name it."""

    def __init__(self, settings: Settings, privacy: Privacy) -> None:
        self.settings = settings
        self._privacy = privacy
        self._known: tuple[float, Discovery, KeySet] | None = None

    async def start(self, return_to: str, back: str) -> tuple[str, str]:
        """The address to send the browser to, and the sealed cookie that it brings back.

        Raises:
            SignOnFailed: the server cannot be reached or is not the one that the settings name.
        """
        discovery, _ = await self._discovered()
        started = Started(
            secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), int(time.time()), back
        )
        challenge = hashlib.sha256(started.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.settings.oidc_client,
            "redirect_uri": return_to,
            "scope": SCOPES,
            "state": started.state,
            "nonce": started.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        sealed = self._privacy.seal(msgspec.json.encode(started))[1]
        joint = "&" if urlsplit(discovery.authorization_endpoint).query else "?"
        return (
            f"{discovery.authorization_endpoint}{joint}{urlencode(asked)}",
            base64.urlsafe_b64encode(sealed).decode(),
        )

    async def finish(self, return_to: str, cookie: str, told: dict[str, str]) -> tuple[str, str]:
        """Who it is at the server (the claim of the settings), and the page to go to.

        Raises:
            SignOnFailed: another browser began it, it took too long, the server refused, or its token is not right.
        """
        started = self._opened(cookie)
        if not secrets.compare_digest(told.get("state", "").encode(), started.state.encode()):
            raise SignOnFailed("the answer belongs to another sign-in")
        if "error" in told or not told.get("code"):
            raise SignOnFailed(f"the server refused: {told.get('error', 'no code')[:100]}")
        discovery, keys = await self._discovered()
        if told.get("iss", discovery.issuer) != discovery.issuer:
            raise SignOnFailed("the answer comes from another server")
        token = await self._token(discovery, return_to, told["code"], started.verifier)
        return self._subject(token, keys, discovery, started.nonce), started.back

    def _opened(self, cookie: str) -> Started:
        try:
            raw = self._privacy.unseal(base64.urlsafe_b64decode(cookie))
            started = msgspec.json.decode(raw, type=Started)
        except (SealBroken, ValueError, msgspec.DecodeError) as error:
            raise SignOnFailed("this browser began no sign-in") from error
        if time.time() - started.began > STARTED_SECONDS:
            raise SignOnFailed("it took longer than ten minutes")
        return started

    async def _discovered(self) -> tuple[Discovery, KeySet]:
        if self._known is None or time.monotonic() > self._known[0]:
            issuer = self.settings.oidc_issuer.rstrip("/")
            told = await self._ask("GET", f"{issuer}/.well-known/openid-configuration")
            discovery = _read(told, Discovery)
            if discovery.issuer.rstrip("/") != issuer:
                raise SignOnFailed(f"the server calls itself {discovery.issuer}, not {issuer}")
            for address in (discovery.authorization_endpoint, discovery.token_endpoint, discovery.jwks_uri):
                if urlsplit(address).scheme != urlsplit(issuer).scheme:
                    raise SignOnFailed(f"{address} does not begin like the issuer")
            keys = await self._ask("GET", discovery.jwks_uri)
            try:
                self._known = time.monotonic() + KEPT_SECONDS, discovery, KeySet.import_key_set(cast("Any", keys))
            except (JoseError, KeyError, TypeError, ValueError) as error:
                raise SignOnFailed(f"its keys cannot be read: {error}") from error
        return self._known[1:]

    async def _token(self, discovery: Discovery, return_to: str, code: str, verifier: str) -> str:
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": return_to,
            "code_verifier": verifier,
            "client_id": self.settings.oidc_client,
        }
        told = await self._ask(
            "POST",
            discovery.token_endpoint,
            data=asked,
            auth=httpx.BasicAuth(self.settings.oidc_client, self.settings.oidc_secret),
        )
        token = told.get("id_token")
        if not isinstance(token, str):
            raise SignOnFailed("the server gave no id_token")
        return token

    def _subject(self, token: str, keys: KeySet, discovery: Discovery, nonce: str) -> str:
        claims = jwt.JWTClaimsRegistry(
            leeway=CLOCKS_APART,
            iss={"essential": True, "value": discovery.issuer},
            aud={"essential": True, "value": self.settings.oidc_client},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
            claims.validate(decoded.claims)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            self._known = None  # its keys may have changed; the next try asks for them anew
            raise SignOnFailed(f"its token is not right: {type(error).__name__}") from error
        party = decoded.claims.get("azp", self.settings.oidc_client)
        subject = decoded.claims.get(self.settings.oidc_claim)
        if party != self.settings.oidc_client or not isinstance(subject, str) or not subject:
            raise SignOnFailed(f"its token has no claim {self.settings.oidc_claim}, or is meant for another")
        return subject

    async def _ask(self, method: str, address: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  httpx's own
        try:
            async with httpx.AsyncClient(timeout=WAIT_SECONDS) as client:
                answer = await client.request(method, address, headers={"accept": "application/json"}, **more)
            answer.raise_for_status()
            told = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise SignOnFailed(f"{urlsplit(address).netloc} did not answer: {type(error).__name__}") from error
        if not isinstance(told, dict):
            raise SignOnFailed(f"{urlsplit(address).netloc} answered no JSON object")
        return told


def _read(told: dict[str, Any], kind: type[Discovery]) -> Discovery:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise SignOnFailed(f"the server's description lacks something: {error}") from error
