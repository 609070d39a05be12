"""`suyuan keys`: the node's keys, replaced so that what was signed and sealed before stays good."""

import base64
import time
from typing import Annotated, Literal

import cyclopts

from suyuan.cli import FINE
from suyuan.cli.access import accounts
from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, say
from suyuan.ledger.signer import key_name
from suyuan.lookup.moment import iso_time
from suyuan.node import NodeUnusable, is_node, read_secrets, rotate_seal_key, rotate_sign_key, sign_chain_of

app = cyclopts.App(name="keys", help="The keys that sign and seal for this node.")


@app.command(name="show")
def show(
    *,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  the option's name
) -> int:
    """Show the public keys that ever signed for this node, and with which key new messages are sealed."""
    if not is_node(dir):
        raise NodeUnusable(f"there is no node in {dir}: name its folder with --dir")
    version = read_secrets(dir).seal_version
    links = [
        (key_name(link.public).hex(), iso_time(link.since), base64.b64encode(link.public).decode())
        for link in sign_chain_of(dir)
    ]
    if format == "json":
        print_json(
            {"seal": version, "sign": [dict(zip(("name", "since", "public"), link, strict=True)) for link in links]}
        )
    else:
        print_table(("signs", "since", "public key"), links)
        say(f"messages are sealed with key {version}")
    return FINE


@app.command(name="rotate")
def rotate(
    which: Annotated[
        Literal["sign", "seal", "person"], cyclopts.Parameter(help="The key that signs, seals, or names persons.")
    ],
    /,
    *,
    reason: Annotated[str, cyclopts.Parameter(help="Why: goes into the audit record.")] = "",
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """Replace a key; a server takes the new one up when it starts again, and what is older stays good."""
    if which == "person":
        raise NodeUnusable(
            "the key that names persons is not replaced: nobody would be known again as who they were before, and a "
            "sale and the claim for it would no longer be of one person (docs/backup.md, Keys)"
        )
    with accounts(dir) as (_, record):
        record.append("keys.rotate", which, reason)
        if which == "sign":
            link = rotate_sign_key(dir, time.time_ns() // 1000)
            say(f"the new key {key_name(link.public).hex()} is signed by the one before")
        else:
            say(f"new messages are sealed with key {rotate_seal_key(dir)}")
    say("restart the server; on several hosts copy secrets.json to each first")
    return FINE
