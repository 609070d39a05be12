"""`suyuan proof` and `suyuan verify`: a proof that anybody can check, and the check, which needs the file alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from suyuan.cli.output import DEFAULT_FOLDER, Folder, Unreadable, say, warn
from suyuan.proof.verifier import (
    Checkpoint,
    Key,
    ProofWrong,
    check_growth,
    in_words,
    read_checkpoint,
    read_key,
    verify_file,
)

if TYPE_CHECKING:
    from suyuan.node import Node

Out = Annotated[Path | None, cyclopts.Parameter(help="Write the proof to this file instead of the output.")]
Trusted = Annotated[
    str,
    cyclopts.Parameter(
        show_default=False, help="Public key of the node, as published, or a file that holds it. 节点公钥。"
    ),
]
REASON_MIN = 4


def proof(
    code: Annotated[str, cyclopts.Parameter(show_default=False, help="The code as scanned, typed or pasted.")] = "",
    /,
    *,
    out: Out = None,
    all: bool = False,  # noqa: A002  the option's name
    whole: Annotated[str, cyclopts.Parameter(show_default=False)] = "",
    since: Annotated[Path | None, cyclopts.Parameter(show_default=False)] = None,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  likewise
) -> int:
    """Prove the sales of a box to anybody; without a code, print the newest checkpoint and the key, for a newspaper.

    Parameters
    ----------
    all
        Prove every event of the code, with its place, not only the sales that citizens are told.
    whole
        The reason for opening the events whole, as for a court: the file then holds pseudonyms. It is logged.
    since
        An earlier checkpoint: prove that the record has only grown since.
    """
    from suyuan.cli.beside import node_to_read  # noqa: PLC0415  the check below starts faster without

    with node_to_read(dir) as node:
        if since is not None:
            return _written(_growth(node, since), out)
        if not code:
            return _print_checkpoint(node)
        return _prove(node, code, out, whole=whole, every=all or bool(whole))


def _prove(node: "Node", code: str, out: Path | None, *, whole: str, every: bool) -> int:
    from suyuan.lookup.proven import prove_all, prove_sales  # noqa: PLC0415  as above

    if every:
        if whole:
            if len(whole.strip()) < REASON_MIN:
                raise cyclopts.ValidationError(msg="say with --whole why the events are opened, in some words")
            node.audit.append("read.proof", code, whole.strip())
        found = prove_all(node.ledger, node.catalogue, node.prover, code, whole=bool(whole))
    else:
        found = prove_sales(node.ledger, node.catalogue, node.prover, node.promise, code)
    altered, waiting, kept_back = found.altered, found.waiting, found.kept_back
    if altered:
        warn(f"{altered} ALTERED 被改动: no longer what was sealed; nothing is signed for it: suyuan verify --node")
    if waiting:
        so_far = "not in the file" if every else "promised only"
        warn(f"{waiting} not sealed yet 尚未封存: {so_far}; run `suyuan lake seal`, or wait for the next sealing")
    if kept_back:
        warn(f"{kept_back} kept back 不公开: the proof would tell a place that citizens are not told")
    if not found.file:
        if not waiting and not kept_back and not altered:
            warn(f"nothing to prove 无可证明: {'nothing' if every else 'no sale'} of this code is recorded")
        return 1
    _written(found.file, out)
    return 1 if altered else 0


def _growth(node: "Node", since: Path) -> bytes:
    old = _read_checkpoint(since)
    new = node.checkpoints.latest()
    if new is None or not node.prover.is_kept(old):
        raise Unreadable(f"{since}: no checkpoint of this node: it is another node's, or the record was replaced")
    return node.prover.growth(old, new)


def _print_checkpoint(node: "Node") -> int:
    from suyuan.proof.verifier import ED25519  # noqa: PLC0415  as above

    latest = node.checkpoints.latest()
    if latest is None:
        warn("no checkpoint yet 尚无检查点: run `suyuan lake seal`")
        return 1
    say(node.checkpoints.note(latest.segments) or "")
    say(Key(ED25519, node.signer.public).text(latest.origin))
    return 0


def _written(file: bytes, out: Path | None) -> int:
    if out is None:
        say(file.decode().removesuffix("\n"))
    else:
        out.write_bytes(file)
        say(f"{out}: {len(file):,} bytes; check it with: suyuan verify {out}")
    return 0


def verify(
    file: Annotated[Path | None, cyclopts.Parameter(show_default=False, help="A proof file.")] = None,
    /,
    *,
    key: Trusted = "",
    checkpoint: Annotated[tuple[Path, Path] | None, cyclopts.Parameter(show_default=False)] = None,
    node: bool = False,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002  the option's name
) -> int:
    """Check a proof: it needs the file and the public key, no node and no network. Exit code 1 names what was altered.

    Parameters
    ----------
    checkpoint
        Two checkpoints, the older one first: has the record only grown from one to the other? The newer one may be a
        proof file of `suyuan proof --since`; of two bare checkpoints, a node's own record is asked (--dir).
    node
        Look at the whole record of the node in --dir: journal, sealed segments, chain and checkpoints.
    """
    if (file is not None) + (checkpoint is not None) + node != 1:
        raise cyclopts.ValidationError(msg="give a proof file, or two checkpoints with --checkpoint, or --node")
    try:
        trusted = _key(key)
        if node:
            return _verify_node(dir)
        if checkpoint is not None:
            return _verify_growth(*checkpoint, trusted, dir)
        assert file is not None, "one of the three was given"
        _say_all(in_words(verify_file(file.read_bytes(), trusted)))
    except ProofWrong as wrong:
        warn(f"NOT PROVEN 未能证明: {wrong}")
        return 1
    return 0


def _key(text: str) -> Key | None:
    if not text:
        return None
    path = Path(text)
    return read_key(path.read_text(encoding="utf-8") if len(text) < 200 and path.is_file() else text)  # noqa: PLR2004  no path is longer


def _verify_growth(older: Path, newer: Path, key: Key | None, folder: Path) -> int:
    old = _read_checkpoint(older)
    data = newer.read_bytes()
    if data.lstrip().startswith(b"{"):
        told = verify_file(data, key)
        if told.old is None or told.old.note.text != old.note.text:
            raise ProofWrong(str(newer), f"it proves something else than growth from {older}")
        _say_all(in_words(told))
        return 0
    new = _read_checkpoint(newer)
    if key is None or not (old.note.is_by(key) and new.note.is_by(key)):
        raise ProofWrong("key", "give with --key the key that signed both; neither is worth anything unsigned")
    path = _path_of(folder, old, new) if old.segments < new.segments else []
    check_growth(old, new, path)
    say(f"proven 已证明: the record only grew 记录只增不改, {old.segments} → {new.segments} segments")
    return 0


def _path_of(folder: Path, old: Checkpoint, new: Checkpoint) -> list[bytes]:
    from suyuan.node import is_node  # noqa: PLC0415  as above

    if not is_node(folder):
        raise ProofWrong(
            "path",
            "two bare checkpoints do not show it: ask the node for the proof (suyuan proof --since, or "
            f"/api/v1/proof/growth?old={old.segments}&new={new.segments}), or name its folder with --dir",
        )
    from suyuan.cli.beside import node_to_read  # noqa: PLC0415

    with node_to_read(folder) as node:
        if len(node.lake.segments()) < new.segments:
            raise ProofWrong("path", f"the node in {folder} has sealed fewer segments: it is another one")
        return node.prover.growth_path(old.segments, new.segments)


def _verify_node(folder: Path) -> int:
    from suyuan.cli.beside import node_to_read  # noqa: PLC0415  as above

    with node_to_read(folder) as node:
        seen = node.verify_record()
    say(
        f"looked at 已检查: {seen.segments} segments, {seen.events} sealed events, {seen.unsealed} not sealed yet, "
        f"{seen.keys} keys, {seen.checkpoints} checkpoints"
    )
    for finding in seen.findings:
        warn(f"ALTERED 被改动: {finding}")
    if not seen.findings:
        say("whole 完好: nothing was altered, dropped, added, moved or back-dated")
    return 1 if seen.findings else 0


def _read_checkpoint(path: Path) -> Checkpoint:
    try:
        return read_checkpoint(path.read_text(encoding="utf-8").strip("\n") + "\n", str(path))
    except UnicodeDecodeError as error:
        raise ProofWrong(str(path), "it is no checkpoint") from error


def _say_all(lines: list[str]) -> None:
    for line in lines:
        say(line)
