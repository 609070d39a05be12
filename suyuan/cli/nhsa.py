"""`suyuan nhsa`: how an institution's client speaks with the NHSA address, also while the node is being served."""

from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import msgspec

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, say
from suyuan.node import TABLES, NodeUnusable, is_node, kept_at, read_secrets, system_clock
from suyuan.portals.nhsa_proofs import Proofs
from suyuan.settings import read_settings
from suyuan.storage.tables import Tables

PATH = "/fsi/{token}/api/rsfComIfsService/callService"


def nhsa(
    institution: Annotated[str, cyclopts.Parameter(help="Code of the institution (fixmedins_code).")],
    /,
    *,
    verify: Annotated[
        Literal["off", "sm2", "sm3"] | None, cyclopts.Parameter(help="How cainfo is checked: off, sm2 or sm3.")
    ] = None,
    infcode: Annotated[
        Literal["number", "text"] | None, cyclopts.Parameter(help='Answer infcode as 0 (number) or as "0" (text).')
    ] = None,
    scan_required: Annotated[
        bool | None,
        cyclopts.Parameter(help="Refuse settlements without codes (无码不结); --no-scan-required ends that."),
    ] = None,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Show what is agreed with an institution about its messages, after changing what options say."""
    with _tables(dir) as tables:
        said = {"verify": verify, "infcode": infcode, "scan_required": scan_required}
        changed = {name: value for name, value in said.items() if value is not None}
        client = msgspec.structs.replace(tables.client(institution), **changed)
        if changed:
            tables.save_client(client)
        proofs = Proofs(tables, read_secrets(dir), system_clock)
        held = [one for one in tables.list_credentials(institution) if one.revoked is None]
        addresses = [PATH.format(token=proofs.path_token(one.id)) for one in held if one.kind == "key"]
        keys = [one.public_key for one in held if one.kind == "sm2"]
    if format == "json":
        print_json({**msgspec.structs.asdict(client), "public_keys": keys, "addresses": addresses})
        return 0
    say(
        f"{institution}: verify {client.verify}, infcode as {client.infcode}, "
        f"settlements without codes {'refused' if client.scan_required else 'as the policy says'}"
    )
    for one in keys:
        say(f"public key {one}")
    for one in addresses:
        say(f"address for a client that cannot sign: {one}")
    return 0


def _tables(folder: Path) -> Tables:
    """The tables alone: the journal may be in use by the server."""
    if not is_node(folder):
        raise NodeUnusable(f"there is no node in {folder}: name its folder with --dir")
    return Tables.open(kept_at(folder, read_settings(folder), TABLES) or folder / TABLES, read_secrets(folder))
