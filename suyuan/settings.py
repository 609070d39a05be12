"""Settings of a node: defaults, then `suyuan.toml` in its folder, then `SUYUAN_…` in the environment."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from suyuan.settlement.policy import PRESETS

FILE = "suyuan.toml"
PREFIX = "SUYUAN_"
SECRET = frozenset({"oidc_secret", "database", "sm2_key"})
"""Settings whose value is never shown."""
PORT_MAX = 65_535
WORKERS_MAX = 256
PROVINCE = re.compile(r"(?!nation$)[a-z0-9]{1,20}")
"""What a province is called: a division code, or a short name."""
_RATE = re.compile(r"[1-9]\d{0,8}/(second|minute|hour|day)")


class SettingsWrong(Exception):  # noqa: N818  the reader's word for it
    """A setting that cannot be used; the words say which, where it stands, and what may stand there."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose. Every field is described in `docs/settings.md`."""

    engine: str = "rocks"
    database: str = ""
    workers: int = 1
    block_cache_mb: int = 512
    write_buffer_mb: int = 256
    clock_behind_hours_max: int = 24
    defer: str = "off"
    defer_claims: str = "refuse"
    defer_after_seconds: float = 5.0
    defer_mb: int = 64
    policy: str = "national"
    accept_unknown: bool = True
    keep_documents: bool = True
    name: str = "node"
    host: str = "127.0.0.1"
    port: int = 8000
    address: str = ""
    behind_proxy: bool = False
    body_bytes_max: int = 8_000_000
    session_idle_seconds: int = 3_600
    session_seconds: int = 43_200
    oidc_issuer: str = ""
    oidc_client: str = ""
    oidc_secret: str = ""
    oidc_claim: str = "sub"
    rate_counter: str = "60000/minute"
    rate_bulk: str = "600/minute"
    rate_query: str = "60000/minute"
    rate_stream: str = "300/minute"
    rate_page: str = "600/minute"
    rate_citizen: str = "120/minute"
    rate_code: str = "60/hour"
    rate_report: str = "20/hour"
    rate_sign_in: str = "20/minute"
    rate_software: str = "600000/minute"
    software_rates: str = ""
    rate_unproven: str = "1200/minute"
    sm2_key: str = ""
    map_data: str = ""
    map_approval: str = ""
    nation: str = ""
    nation_key: str = ""
    province: str = ""
    webhook_private: bool = False
    webhook_patience_hours: int = 72
    lake_seal_events: int = 1_000_000
    lake_seal_minutes: int = 60
    lake_keep_days: int = 0


class Origin(msgspec.Struct, frozen=True):
    """One setting as it holds, and where its value stands."""

    name: str
    value: str
    origin: str
    """`default`, the path of the file, or the name of the variable."""


def explain_settings(folder: Path, environment: Mapping[str, str] = os.environ) -> list[Origin]:
    """Every setting with its origin; the value of a secret is not shown.

    Raises:
        SettingsWrong: as for `read_settings`.
    """
    settings = read_settings(folder, environment)
    written = _written(folder / FILE)
    found = []
    for name in Settings.__struct_fields__:
        variable, value = PREFIX + name.upper(), getattr(settings, name)
        shown = "(set)" if name in SECRET and value else str(value).lower() if isinstance(value, bool) else str(value)
        origin = variable if variable in environment else str(folder / FILE) if name in written else "default"
        found.append(Origin(name, shown, origin))
    return found


def settings_written(folder: Path) -> dict[str, Any]:
    """What stands in a node's file of settings, without what the environment says.

    Raises:
        SettingsWrong: the file is not TOML.
    """
    return _written(folder / FILE)


def toml_of(settings: Mapping[str, object]) -> str:
    """Settings as the text of their file."""
    # A JSON text is a TOML basic string, but for one sign that TOML does not take as it is.
    written = {name: msgspec.json.encode(value).decode().replace("\x7f", "\\u007F") for name, value in settings.items()}
    return "".join(f"{name} = {value}\n" for name, value in written.items())


def _written(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsWrong(f"{path} cannot be read: {error}") from error


def read_settings(folder: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings that hold for a node in this folder.

    Raises:
        SettingsWrong: an unknown name, a value of the wrong type, or a file that is not TOML.
    """
    path = folder / FILE
    values = dict(_written(path))
    names = Settings.__struct_fields__
    for name in names:
        if PREFIX + name.upper() in environment:
            values[name] = environment[PREFIX + name.upper()]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise SettingsWrong(f"{path}: no such setting: {', '.join(unknown)}; there are: {', '.join(names)}")
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsWrong(f"a setting in {path} or the environment cannot be used: {error}") from error
    _check(settings)
    return settings


def rates_of_software(text: str) -> dict[str, str]:
    """Rates by supplier/name/version, or by the beginning of it with a `*` behind, as the setting gives them.

    Raises:
        SettingsWrong: it is not written so.
    """
    rates: dict[str, str] = {}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        name, _, rate = (one.strip() for one in part.rpartition("="))
        if not name or not _RATE.fullmatch(rate):
            raise SettingsWrong(
                f"software_rates has {part!r}; write it as Supplier/Till/3.1 = 600/minute; Other/* = 10/second"
            )
        rates[name] = rate
    return rates


def _check(settings: Settings) -> None:
    if settings.engine not in {"rocks", "memory"}:
        raise SettingsWrong(f"engine is {settings.engine!r}; it may be rocks or memory")
    _check_servers(settings)
    if settings.policy not in PRESETS:
        raise SettingsWrong(f"policy is {settings.policy!r}; it may be {', '.join(PRESETS)}")
    if settings.block_cache_mb < 8:  # noqa: PLR2004  below, RocksDB has no room for its index
        raise SettingsWrong(f"block_cache_mb is {settings.block_cache_mb}; it must be at least 8")
    if settings.write_buffer_mb < 8:  # noqa: PLR2004  below, it would write out all the time
        raise SettingsWrong(f"write_buffer_mb is {settings.write_buffer_mb}; it must be at least 8")
    _check_deferral(settings)
    if not 0 <= settings.port <= PORT_MAX:
        raise SettingsWrong(f"port is {settings.port}; it may be 0 (any that is free) to {PORT_MAX}")
    if settings.address and not settings.address.startswith(("http://", "https://")):
        raise SettingsWrong(f"address is {settings.address!r}; it begins with https:// (or http:// on a desk)")
    if settings.webhook_patience_hours < 0:
        raise SettingsWrong(f"webhook_patience_hours is {settings.webhook_patience_hours}; it must be at least 0")
    if settings.sm2_key and not re.fullmatch("[0-9a-fA-F]{64}", settings.sm2_key):
        raise SettingsWrong("sm2_key is no private SM2 key: it has 64 hexadecimal digits")
    _check_lake(settings)
    _check_access(settings)
    _check_relay(settings)


def _check_relay(settings: Settings) -> None:
    if settings.nation and not settings.nation.startswith(("http://", "https://")):
        raise SettingsWrong(f"nation is {settings.nation!r}; it begins with https:// (or http:// on a desk)")
    if settings.nation and not (settings.province and re.fullmatch(r"[0-9a-fA-F]{64}", settings.nation_key)):
        raise SettingsWrong("nation is set: set province and nation_key too, as `suyuan relay register` says them")
    if settings.province and not PROVINCE.fullmatch(settings.province):
        raise SettingsWrong(f"province is {settings.province!r}; it is a name of at most 20 small letters and digits")


def _check_lake(settings: Settings) -> None:
    for name in ("lake_seal_events", "lake_seal_minutes", "lake_keep_days"):
        if getattr(settings, name) < 0:
            raise SettingsWrong(f"{name} is {getattr(settings, name)}; it must be at least 0 (0 for never)")


def _check_deferral(settings: Settings) -> None:
    if settings.defer not in {"off", "uploads"} or settings.defer_claims not in {"refuse", "accept"}:
        raise SettingsWrong("defer may be off or uploads, and defer_claims refuse or accept")
    if settings.defer_after_seconds <= 0 or settings.defer_mb < 1:
        raise SettingsWrong("defer_after_seconds must be more than 0, and defer_mb at least 1")


def _check_servers(settings: Settings) -> None:
    if not 1 <= settings.workers <= WORKERS_MAX:
        raise SettingsWrong(f"workers is {settings.workers}; it may be 1 to {WORKERS_MAX}")
    if settings.workers > 1 and not settings.database:
        raise SettingsWrong(
            f"workers is {settings.workers}; a journal in the folder is open in one process only: set workers to 1, or "
            "keep the journal in a database (setting database)"
        )
    if settings.database and not settings.database.startswith("postgresql://"):
        raise SettingsWrong("database must begin with postgresql://, as postgresql://user:password@host/name")


def _check_access(settings: Settings) -> None:
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        if name.startswith("rate_") and not _RATE.fullmatch(value):
            raise SettingsWrong(f"{name} is {value!r}; write it as 600/minute (second, minute, hour or day)")
    rates_of_software(settings.software_rates)
    if not 1 <= settings.session_idle_seconds <= settings.session_seconds:
        raise SettingsWrong("session_idle_seconds must be at least 1 and at most session_seconds")
    local = settings.oidc_issuer.startswith("http://127.0.0.1")
    if settings.oidc_issuer and not (local or settings.oidc_issuer.startswith("https://")):
        raise SettingsWrong(f"oidc_issuer is {settings.oidc_issuer!r}; it begins with https://")
    if settings.oidc_issuer and not (settings.oidc_client and settings.oidc_secret):
        raise SettingsWrong("oidc_issuer is set: set oidc_client and oidc_secret too")
