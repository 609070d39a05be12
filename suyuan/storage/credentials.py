"""Credentials of software: keys with a secret, public keys for signatures, listed source networks."""

import base64
import hashlib
import hmac
import ipaddress
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from suyuan.ledger.privacy import Privacy, SealBroken

KINDS = ("key", "sm2", "network")
"""`key`: a secret, sent as bearer or used to sign (HMAC-SM3). `sm2`: a public key. `network`: the source address alone,
for old clients that cannot sign; good for the NHSA address only."""

REMEMBERED_SECONDS = 5.0
AWAY_SECONDS = 900.0
"""So long a key that was good goes on proving its party while the tables do not answer at all: uploads are laid aside
then, and whose they are must be known."""
"""A credential changed by another process holds at most this much longer; in this process a change acts at once."""
REMEMBERED_MAX = 10_000
ID_MAX = 64
"""Characters of an id; what is longer is none, and is not remembered: anybody can send it."""


class TablesError(Exception):
    """The tables cannot be used or a change cannot be made; the text says what to do."""


class Credential(msgspec.Struct, frozen=True):
    """How the software of an institution or firm proves who it is."""

    id: str
    institution: str
    """Party code of the one it speaks as."""
    salt: str
    digest: str
    """SHA-256 of salt and secret; a secret of 256 random bits needs no slow hash. Empty for a public key."""
    created: datetime
    revoked: datetime | None = None
    kind: str = "key"
    sealed: str = ""
    """The secret sealed under the node's seal key (Base64): whoever checks an HMAC must know it. Empty: bearer only."""
    public_key: str = ""
    """SM2, 130 upper-case hexadecimal digits."""
    networks: str = ""
    """Source networks from which it is taken, separated by commas; empty: any."""
    label: str = ""
    """What it is used for, in words."""
    valid_until: datetime | None = None
    """The end of a key that was replaced; the new one is good already."""
    made_by: str = ""

    def is_open(self, now: datetime) -> bool:
        """Whether it still proves anything."""
        return self.revoked is None and (self.valid_until is None or now < self.valid_until)


class IssuedCredential(msgspec.Struct, frozen=True):
    """A new key with its secret, shown this once."""

    id: str
    institution: str
    secret: str


_COLUMNS_2 = (
    ("kind", sa.Text, "'key'"),
    ("sealed", sa.Text, "''"),
    ("public_key", sa.Text, "''"),
    ("networks", sa.Text, "''"),
    ("label", sa.Text, "''"),
    ("valid_until", sa.BigInteger, None),
    ("made_by", sa.Text, "''"),
)
"""Columns of version 2, with the default that an older row gets."""


def credential_table(metadata: sa.MetaData) -> sa.Table:
    """The table of credentials; times are µs since 1970 UTC, as in the journal."""
    return sa.Table(
        "credentials",
        metadata,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("institution", sa.Text, nullable=False, index=True),
        sa.Column("salt", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("revoked", sa.BigInteger),
        *(
            sa.Column(
                name, kind, nullable=default is None, server_default=None if default is None else sa.text(default)
            )
            for name, kind, default in _COLUMNS_2
        ),
    )


class CredentialTables:
    """What the tables do about credentials. Every public function is one transaction; threads may share it."""

    _engine: sa.Engine
    _credentials: sa.Table
    _privacy: Privacy | None

    def __init__(self) -> None:
        super().__init__()
        self._remembered: dict[str, Credential | None] = {}
        self._earlier: dict[str, Credential | None] = {}
        """What the tables said last, for a while in which they do not answer."""
        self._answered = 0.0
        self._remembered_until = 0.0
        self._changes = 0

    def create_credential(  # noqa: D417  the rest is said by its name
        self, institution: str, *, label: str = "", networks: str = "", made_by: str = ""
    ) -> IssuedCredential:
        """A new key for an institution or firm; the only moment at which its secret can be read.

        Args:
            networks: source networks from which it is taken, such as `10.1.0.0/16,192.0.2.7`; empty: any.

        Raises:
            TablesError: a network that is none.
        """
        issued = IssuedCredential(secrets.token_hex(8), institution, secrets.token_urlsafe(32))
        salt = secrets.token_hex(16)
        row = Credential(
            issued.id,
            institution,
            salt,
            _digest(salt, issued.secret),
            datetime.now(UTC),
            sealed=self._sealed(issued.secret),
            networks=_networks(networks),
            label=label[:100],
            made_by=made_by,
        )
        self._add(row)
        return issued

    def register_network(self, institution: str, networks: str, *, label: str = "", made_by: str = "") -> Credential:
        """Take whoever calls the NHSA address from these networks as the institution, which can then not be told apart.

        Raises:
            TablesError: no network, one that is none, or one that is listed for another institution.
        """
        row = Credential(
            secrets.token_hex(8),
            institution,
            "",
            "",
            datetime.now(UTC),
            kind="network",
            networks=_networks(networks),
            label=label[:100],
            made_by=made_by,
        )
        if not row.networks:
            raise TablesError("No source network is named. Write 10.1.0.0/16 or 192.0.2.7.")
        for other in self.listed_networks():
            if other.institution != institution and _overlap(other.networks, row.networks):
                raise TablesError(
                    f"{other.networks} is listed for {other.institution} already. Behind one address there is one "
                    "sender: list it for the vendor, and let the institutions delegate to it."
                )
        self._add(row)
        return row

    def register_public_key(
        self, institution: str, public_key: str, *, label: str = "", networks: str = "", made_by: str = ""
    ) -> Credential:
        """Take signatures of this SM2 public key (130 hexadecimal digits, checked by the caller) as the institution's.

        Raises:
            TablesError: a network that is none.
        """
        row = Credential(
            secrets.token_hex(8),
            institution,
            "",
            "",
            datetime.now(UTC),
            kind="sm2",
            public_key=public_key,
            networks=_networks(networks),
            label=label[:100],
            made_by=made_by,
        )
        self._add(row)
        return row

    def replace_credential(self, credential_id: str, overlap: timedelta, made_by: str = "") -> IssuedCredential:
        """A new key in place of one that ends after `overlap`: until then both are good (rotation).

        Raises:
            TablesError: there is no such open key, or it has no secret.
        """
        old = self.find_credential(credential_id)
        if old is None or old.kind != "key":
            raise TablesError(f"There is no open key {credential_id!r} with a secret. List the keys to see their ids.")
        issued = self.create_credential(old.institution, label=old.label, networks=old.networks, made_by=made_by)
        ends = _micros(datetime.now(UTC) + overlap)
        own = sa.and_(
            self._credentials.c.id == credential_id,
            sa.or_(self._credentials.c.valid_until.is_(None), self._credentials.c.valid_until > ends),
        )
        with self._engine.begin() as connection:
            connection.execute(self._credentials.update().where(own).values(valid_until=ends))
        self._forget()
        return issued

    def remembers(self, credential_id: str) -> bool:
        """Whether `find_credential` answers without asking the tables."""
        fresh = time.monotonic() <= self._remembered_until and len(self._remembered) <= REMEMBERED_MAX
        return len(credential_id) > ID_MAX or (fresh and credential_id in self._remembered)

    def find_credential(self, credential_id: str) -> Credential | None:
        """A key that still proves something; None for an unknown, ended or revoked one."""
        if len(credential_id) > ID_MAX:
            return None
        if time.monotonic() > self._remembered_until or len(self._remembered) > REMEMBERED_MAX:
            self._earlier = {**self._earlier, **self._remembered} if len(self._earlier) < REMEMBERED_MAX else {}
            self._remembered, self._remembered_until = {}, time.monotonic() + REMEMBERED_SECONDS
        remembered = self._remembered
        if credential_id in remembered:
            found = remembered[credential_id]
        else:
            changes = self._changes
            try:
                found = self._asked(credential_id)
            except (DBAPIError, PoolTimeout):
                if credential_id not in self._earlier or time.monotonic() > self._answered + AWAY_SECONDS:
                    raise
                found = self._earlier[credential_id]
            if changes == self._changes:  # a revocation meanwhile must not be overwritten by what stood before it
                remembered[credential_id] = found
        return found if found is not None and found.is_open(datetime.now(UTC)) else None

    def _asked(self, credential_id: str) -> Credential | None:
        with self._engine.begin() as connection:
            query = self._credentials.select().where(self._credentials.c.id == credential_id)
            row = connection.execute(query).first()
        self._answered = time.monotonic()
        return None if row is None else _credential(row)

    def check_credential(self, credential_id: str, secret: str) -> str | None:
        """The institution the key belongs to; None for an unknown or revoked key or a wrong secret."""
        found = self.find_credential(credential_id)
        return found.institution if found is not None and found.kind == "key" and proves(found, secret) else None

    def secret_of(self, credential: Credential) -> bytes | None:
        """The secret with which the key signs; None where it was not kept (made before version 2: replace the key)."""
        if not credential.sealed or self._privacy is None:
            return None
        try:
            return self._privacy.unseal(base64.b64decode(credential.sealed))
        except (SealBroken, ValueError):
            return None

    def listed_networks(self) -> list[Credential]:
        """Open credentials that a source network alone proves."""
        kind, open_ones = self._credentials.c.kind == "network", self._credentials.c.revoked.is_(None)
        query = self._credentials.select().where(kind, open_ones)
        now = datetime.now(UTC)
        with self._engine.begin() as connection:
            found = [_credential(row) for row in connection.execute(query.order_by(self._credentials.c.created))]
        return [one for one in found if one.is_open(now)]

    def list_credentials(self, institution: str = "") -> list[Credential]:
        """All keys, or those of one institution, oldest first; revoked ones included."""
        query = self._credentials.select().order_by(self._credentials.c.created, self._credentials.c.id)
        if institution:
            query = query.where(self._credentials.c.institution == institution)
        with self._engine.begin() as connection:
            return [_credential(row) for row in connection.execute(query)]

    def revoke(self, credential_id: str) -> None:
        """End a key at once. Revoking twice keeps the first time.

        Raises:
            TablesError: there is no such key.
        """
        own = self._credentials.c.id == credential_id
        with self._engine.begin() as connection:
            if connection.execute(self._credentials.select().where(own)).first() is None:
                raise TablesError(f"There is no credential {credential_id!r}. List the credentials to see their ids.")
            open_key = sa.and_(own, self._credentials.c.revoked.is_(None))
            connection.execute(self._credentials.update().where(open_key).values(revoked=_micros(datetime.now(UTC))))
        self._forget()

    def _add(self, row: Credential) -> None:
        with self._engine.begin() as connection:
            connection.execute(self._credentials.insert(), credential_values(row))
        self._forget()

    def _forget(self) -> None:
        self._changes += 1
        self._remembered = {}
        self._earlier = {}

    def _sealed(self, secret: str) -> str:
        return "" if self._privacy is None else base64.b64encode(self._privacy.seal(secret.encode())[1]).decode()


def proves(credential: Credential, secret: str) -> bool:
    """Whether this is the secret of the key."""
    return bool(credential.digest) and hmac.compare_digest(credential.digest, _digest(credential.salt, secret))


def within_networks(address: str, networks: str) -> bool:
    """Whether a network address is in one of the networks; an unreadable address is in none."""
    try:
        here = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(here in ipaddress.ip_network(one, strict=False) for one in networks.split(",") if one)


def _overlap(one: str, other: str) -> bool:
    """Whether two lists of networks share an address."""
    return any(
        first.version == second.version and first.overlaps(second)
        for first in map(ipaddress.ip_network, one.split(","))
        for second in map(ipaddress.ip_network, other.split(","))
    )


def credential_values(row: Credential) -> dict[str, Any]:
    """A credential as a row."""
    values = msgspec.structs.asdict(row)
    for name in ("created", "revoked", "valid_until"):
        values[name] = None if values[name] is None else _micros(values[name])
    return values


def _credential(row: Any) -> Credential:  # noqa: ANN401  a row of the driver
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it
    for name in ("created", "revoked", "valid_until"):
        values[name] = None if values[name] is None else datetime.fromtimestamp(values[name] / 1_000_000, UTC)
    return Credential(**values)


def _networks(text: str) -> str:
    """Networks as they are kept."""
    names = [name.strip() for name in text.replace("，", ",").split(",") if name.strip()]
    try:
        return ",".join(str(ipaddress.ip_network(name, strict=False)) for name in names)
    except ValueError as error:
        raise TablesError(f"A source network cannot be read: {error}. Write 10.1.0.0/16 or 192.0.2.7.") from None


def _digest(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt}:{secret}".encode("utf-8", "surrogatepass")).hexdigest()


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
