"""`suyuan relay`: which provinces belong to this nation, and how the relay of a node stands."""

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import cyclopts

from suyuan.cli.beside import warn_of_laid_aside
from suyuan.cli.output import DEFAULT_FOLDER, Folder, Format, print_json, print_table, say
from suyuan.lookup.moment import iso_time
from suyuan.node import Node, NodeUnusable, is_node, place_secrets, read_secrets
from suyuan.settings import PROVINCE
from suyuan.storage.refusals import JournalInUse

app = cyclopts.App(
    name="relay",
    help="Province and nation: who belongs to it, how far each has come. Also while the node is being served.",
)
Province = Annotated[str, cyclopts.Parameter(help="A division code or short name, as 44.")]


@app.command(name="register")
def register(
    province: Province,
    /,
    *,
    key: Annotated[str, cyclopts.Parameter(help="Public key of a province that has its secrets already.")] = "",
    secrets: Annotated[
        Path | None, cyclopts.Parameter(help="Make the secrets of a new province into this new folder, for its node.")
    ] = None,
    name: Annotated[str, cyclopts.Parameter(help="What it is called.")] = "",
    end: Annotated[bool, cyclopts.Parameter(negative="", help="Take the key out instead.")] = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """List a province's public key at the nation, and print what the province's suyuan.toml needs.

    Persons must have one name everywhere: a province's secrets are made here, with --secrets, before its first upload.
    """
    if not PROVINCE.fullmatch(province):
        raise NodeUnusable(f"{province!r} is no name of a province: at most 20 small letters and digits")
    if not is_node(dir):
        raise NodeUnusable(f"there is no node in {dir}: name the nation's folder with --dir")
    public = _made(dir, secrets) if secrets is not None else _hexadecimal(key)
    told = _ask(dir, "register", province=province, public=public.hex(), name=name, end=end)
    if told is None:
        from suyuan.relay.nation import end_key  # noqa: PLC0415  only where no server is asked
        from suyuan.relay.nation import register as listed  # noqa: PLC0415

        with Node.open_existing(dir) as node:
            if end:
                end_key(node, province, public)
            else:
                listed(node, province, public, name)
            told = {"nation_key": node.signer.public.hex()}
    if end:
        say(f"the key {public.hex()} of the province {province} is taken no more")
    else:
        say(f'province = "{province}"\nnation_key = "{told["nation_key"]}"\nnation = "https://…"')
    return 0


@app.command(name="status")
def status(
    *,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
    format: Format = "table",  # noqa: A002  likewise
) -> int:
    """Show how far the relay has come; exit code 1 where it stands still."""
    told = _ask(dir, "relay")
    if told is None:
        from suyuan.relay.station import standing_of  # noqa: PLC0415  only where no server is asked

        with Node.open_existing(dir) as node:
            told = {"standing": standing_of(node)}
    standing = told["standing"] | {"laid_aside": warn_of_laid_aside(dir)}
    code = 1 if standing.get("failure") or standing.get("unrecovered") else 0
    if format == "json":
        print_json(standing)
        return code
    provinces = standing.pop("provinces")
    print_table(("what", "value"), [(name, value) for name, value in standing.items() if value != ""])
    if provinces:
        rows = [
            (one["province"], one["name"], one["slices"], one["down"], iso_time(one["heard"]) if one["heard"] else "")
            for one in provinces
        ]
        print_table(("province", "name", "slices taken", "entries for it", "last heard"), rows)
    return code


@app.command(name="recover")
def recover(*, dir: Folder = DEFAULT_FOLDER) -> int:  # noqa: A002  the option's name
    """Let this node speak for its province from now on: fetch from the nation what its record lacks, and go on.

    For a province that was restored, copied or moved: stop its server and any other node of it before.
    """
    from suyuan.relay.link import Post, Unreachable  # noqa: PLC0415  costs a second of the start
    from suyuan.relay.messages import Unreadable  # noqa: PLC0415  likewise
    from suyuan.relay.province import Province as Relayed  # noqa: PLC0415  likewise
    from suyuan.relay.province import Stopped  # noqa: PLC0415  likewise
    from suyuan.relay.recovery import Recovery  # noqa: PLC0415  likewise
    from suyuan.relay.station import link_of  # noqa: PLC0415  likewise

    with Node.open_existing(dir) as node:
        if not node.settings.nation:
            raise NodeUnusable(f"the node in {dir} belongs to no nation: set nation, nation_key and province")
        with closing(Post(node.settings.nation)) as post:
            try:
                fetched = Recovery(Relayed(node, link_of(node, post))).recover()
            except (Stopped, Unreachable, Unreadable) as refusal:
                raise NodeUnusable(str(refusal)) from refusal
        say(f"{fetched} facts were fetched; this node speaks for the province {node.settings.province} from now on")
    return 0


def _made(folder: Path, secrets: Path) -> bytes:
    """The public key of new secrets: the nation's name for persons, a seal and a signature of its own."""
    from suyuan.ledger.privacy import Privacy  # noqa: PLC0415  only where secrets are made
    from suyuan.ledger.signer import Signer  # noqa: PLC0415

    if secrets.exists() and any(secrets.iterdir()):
        raise NodeUnusable(f"{secrets} is not empty: name a new folder for the province's secrets")
    secrets.mkdir(parents=True, exist_ok=True)
    person_key, _ = read_secrets(folder).keys()
    signer = Signer.new()
    place_secrets(secrets, person_key + Privacy.new().keys()[1] + signer.seed)
    return signer.public


def _hexadecimal(key: str) -> bytes:
    try:
        public = bytes.fromhex(key)
    except ValueError:
        public = b""
    if len(public) != 32:  # noqa: PLR2004  bytes of an Ed25519 key
        raise NodeUnusable("a public key has 64 hexadecimal digits; or name a new folder with --secrets")
    return public


def _ask(folder: Path, do: str, **more: object) -> dict[str, Any] | None:
    """What the server of this folder answers; None where none is running."""
    if not is_node(folder):
        return None
    try:
        with Node.open_existing(folder):
            return None
    except JournalInUse as error:
        from suyuan.portals.control import Asked, NobodyThere  # noqa: PLC0415  costs a second of the start

        try:
            with Asked(folder, do, **more) as answer:
                return answer
        except NobodyThere:
            raise error from None
