"""Carrying a node: what goes out comes in the same, and what was altered on the way does not come in at all."""

import random
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from suyuan import carry
from suyuan.carry import FileRefused, FolderRefused, Manifest, export_node, import_node
from suyuan.catalogue.leaflets import Leaflet
from suyuan.catalogue.parties import Party
from suyuan.catalogue.synthetic import synthetic_catalogue
from suyuan.formats.reading import open_documents
from suyuan.lookup.citizen import check
from suyuan.lookup.story import tell
from suyuan.node import SECRETS, Node, NodeUnusable

PHARMACY, MAKER = "P44010000002", "M44010000001"
BOXES = [f"8234567{number:013d}" for number in range(1_000_017, 1_000_057)]
CARTON = "82345600000000000019"


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node with a catalogue, goods, sales, a conflict, an order, accounts; closed."""
    home = tmp_path_factory.mktemp("lived-in")

    def send(node: Node, by: str, header: str, *rows: str) -> None:
        path = home / "upload.csv"
        path.write_text("\n".join([header, *rows, ""]))
        for document in open_documents(path, by):
            outcome = node.take(document, by)
            assert (outcome.fatal, document.problems) == ("", [])

    with Node.open(home / "node") as node:
        content = synthetic_catalogue(seed=3, products=40)
        content.parties.append(Party(MAKER, name="示例制药", kind="manufacturer", region="440106"))
        node.tables.save_catalogue(content)
        node.reload_catalogue()
        node.tables.create_credential(PHARMACY)
        node.tables.add_person("li", "inspector", region="440100")
        node.tables.set_password("li", "one box, one code")
        node.audit.append("person.add", "li", "new in the office")
        node.audit.append("trace.read", BOXES[0], "case 7", who="li", role="inspector")
        times = ",2026-03-01 10:00:00"
        send(node, MAKER, "kind,code,event_time,lot", *(f"produced,{box}{times},L1" for box in BOXES))
        send(node, MAKER, "kind,code,event_time,parent", *(f"packed,{box}{times},{CARTON}" for box in BOXES))
        send(node, PHARMACY, "kind,code,event_time", f"received,{CARTON},2026-03-02 10:00:00")
        for person in range(70):  # one history longer than a value holds
            row = f"sold,{BOXES[0]},2026-03-{person % 28 + 1:02d} 10:00:00,R{person},id:01:{person}"
            send(node, f"P4401{person:07d}", "kind,code,event_time,receipt,person", row)
        send(node, MAKER, "kind,code,scope,lot,event_time", f"hold_set,{BOXES[1]},batch,L1,2026-03-05")
    return home / "node"


@pytest.fixture(scope="module")
def exported(lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    path = tmp_path_factory.mktemp("exported") / "node.zip"
    with Node.open(lived_in) as node:
        return path, export_node(node, path, secrets=True)


@contextmanager
def imported(path: Path, folder: Path) -> Iterator[Node]:
    import_node(folder, path)
    with Node.open(folder) as node:
        yield node


def test_what_goes_out_and_comes_in_goes_out_the_same(exported: tuple[Path, Manifest], tmp_path: Path) -> None:
    path, manifest = exported
    assert manifest.events > 200
    assert manifest.documents == 74
    with imported(path, tmp_path / "twin") as twin:
        assert export_node(twin, tmp_path / "again.zip", secrets=True) == manifest
    with zipfile.ZipFile(path) as first, zipfile.ZipFile(tmp_path / "again.zip") as second:
        assert first.namelist() == second.namelist()
        assert all(first.read(name) == second.read(name) for name in first.namelist())


def test_the_twin_answers_as_the_first_one_did(lived_in: Path, exported: tuple[Path, Manifest], tmp_path: Path) -> None:
    codes = [*BOXES[:3], CARTON, "x"]
    with Node.open(lived_in) as node:
        answers = [
            (check(node.ledger, node.catalogue, code), tell(node.ledger, node.catalogue, code)) for code in codes
        ]
        document = next(event.document for event in node.journal.since(None, 10)[0] if event.document)
        raw = node.privacy.unseal(node.journal.document(document) or b"")
    with imported(exported[0], tmp_path / "twin") as twin:
        again = [(check(twin.ledger, twin.catalogue, code), tell(twin.ledger, twin.catalogue, code)) for code in codes]
        assert again == answers
        assert twin.privacy.unseal(twin.journal.document(document) or b"") == raw
        assert [person.name for person in twin.tables.list_people()] == ["li"]
        assert twin.tables.try_password("li", "one box, one code")[0] is not None
        [key] = twin.tables.list_credentials()
        assert twin.tables.secret_of(key)
        assert [line.reason for line in twin.audit.lines()] == ["new in the office", "case 7"]
        assert twin.audit.verify(exported[1].audit_head).faults == []
        assert twin.journal.due(1 << 62, 1000) == []


def test_deadlines_still_fall_due_in_the_twin(tmp_path: Path) -> None:
    upload = tmp_path / "back.csv"
    upload.write_text(f"kind,code,event_time\nreturned,{BOXES[0]},2026-03-01 10:00:00\n")
    with Node.open(tmp_path / "node") as node:
        for document in open_documents(upload, PHARMACY):
            node.take(document, PHARMACY)
        waiting = node.journal.due(1 << 62, 10)
        assert waiting
        export_node(node, tmp_path / "node.zip", secrets=True)
    with imported(tmp_path / "node.zip", tmp_path / "twin") as twin:
        assert twin.journal.due(1 << 62, 10) == waiting


def test_memory_is_bounded_by_pages_and_not_by_what_there_is(
    exported: tuple[Path, Manifest], lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "PAGE", 7)
    monkeypatch.setattr(carry, "DOCUMENT_BYTES", 1000)
    path, manifest = exported
    with imported(path, tmp_path / "twin") as twin, Node.open(lived_in) as node:
        assert export_node(twin, tmp_path / "again.zip") == export_node(node, tmp_path / "first.zip") == manifest


def test_a_message_quoted_again_much_later_may_stand_twice_and_comes_in_once(
    lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "RECENT_MAX", 1)
    with Node.open(lived_in) as node:
        manifest = export_node(node, tmp_path / "node.zip", secrets=True)
    with imported(tmp_path / "node.zip", tmp_path / "twin") as twin:
        assert export_node(twin, tmp_path / "again.zip") == manifest


def test_any_altered_byte_is_refused_and_nothing_is_written(exported: tuple[Path, Manifest], tmp_path: Path) -> None:
    content = exported[0].read_bytes()
    chance = random.Random(7)
    places = [0, 1, 10, len(content) - 1, len(content) - 64, len(content) - 65, *chance.sample(range(len(content)), 60)]
    for place in places:
        altered = tmp_path / "altered.zip"
        altered.write_bytes(content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :])
        with pytest.raises(FileRefused, match="altered"):
            import_node(tmp_path / "twin", altered)
        assert not (tmp_path / "twin").exists()


@pytest.mark.parametrize("keep", [0, 1, 63, 64, 65, 1000, -1])
def test_a_file_cut_off_is_refused(exported: tuple[Path, Manifest], tmp_path: Path, keep: int) -> None:
    (tmp_path / "cut.zip").write_bytes(exported[0].read_bytes()[:keep])
    with pytest.raises(FileRefused):
        import_node(tmp_path / "twin", tmp_path / "cut.zip")
    assert not (tmp_path / "twin").exists()


def resigned(source: Path, goal: Path, **changed: bytes | None) -> Path:
    """The export with some entries replaced, or left out for None, and signed again as if we had made it."""
    with goal.open("w+b") as file:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(file, "w") as new:
            for name in old.namelist():
                data = changed.get(name.replace("/", "_").replace(".", "_"), old.read(name))
                if data is not None:
                    new.writestr(name, data)
            new.comment = bytes(64)
        carry._sign(file)
    return goal


@pytest.mark.parametrize(
    "entry", ["events", "documents", "accounts_json", "audit", "catalogue_parties_csv", "manifest_json"]
)
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01x", b"\x00\x00\x00\x09x"])
def test_what_does_not_keep_to_its_manifest_is_refused(
    exported: tuple[Path, Manifest], tmp_path: Path, entry: str, content: bytes
) -> None:
    path = resigned(exported[0], tmp_path / "forged.zip", **{entry: content})
    with pytest.raises(FileRefused):
        import_node(tmp_path / "twin", path)
    assert not (tmp_path / "twin").exists()


def test_an_export_from_before_there_were_passwords_and_an_audit_record_comes_in(
    exported: tuple[Path, Manifest], tmp_path: Path
) -> None:
    path, manifest = exported
    with zipfile.ZipFile(path) as archive:
        accounts = msgspec.json.decode(archive.read("accounts.json"))
    older = {
        "credentials": [
            {name: one[name] for name in ("id", "institution", "salt", "digest", "created", "revoked")}
            for one in accounts["credentials"]
        ],
        "people": [
            {name: one[name] for name in ("name", "role", "institution", "region", "disabled")}
            for one in accounts["people"]
        ],
    }
    text = msgspec.json.encode(older)
    told = msgspec.structs.replace(manifest, accounts_hash=carry._hash(text), audit_head="")
    entries = {"accounts_json": text, "audit": b"", "manifest_json": msgspec.json.encode(told)}
    with imported(resigned(path, tmp_path / "older.zip", **entries), tmp_path / "twin") as twin:
        assert [person.name for person in twin.tables.list_people()] == ["li"]
        assert len(twin.tables.list_credentials()) == 1
        assert list(twin.audit.lines()) == []


def test_leaflets_are_carried_and_a_file_from_before_there_were_any_comes_in(
    exported: tuple[Path, Manifest], tmp_path: Path
) -> None:
    path, _ = exported
    with zipfile.ZipFile(path) as archive:
        assert "catalogue/leaflets.csv" not in archive.namelist()
    with imported(path, tmp_path / "twin") as twin:
        assert twin.catalogue.content.leaflets == []
        leaflet = Leaflet("国药准字H20990001", indications="演示", synthetic=True)
        twin.tables.save_catalogue(msgspec.structs.replace(twin.catalogue.content, leaflets=[leaflet]))
        export_node(twin, tmp_path / "more.zip", secrets=True)
    with imported(tmp_path / "more.zip", tmp_path / "third") as third:
        assert third.catalogue.content.leaflets == [leaflet]
    forged = resigned(path, tmp_path / "forged.zip", catalogue_products_csv=None)
    with pytest.raises(FileRefused):
        import_node(tmp_path / "other", forged)


def test_a_file_of_another_version_is_refused_with_both_named(exported: tuple[Path, Manifest], tmp_path: Path) -> None:
    path, manifest = exported
    newer = msgspec.json.encode(msgspec.structs.replace(manifest, version=2))
    with pytest.raises(FileRefused, match="version 2, this program reads 1"):
        import_node(tmp_path / "twin", resigned(path, tmp_path / "newer.zip", manifest_json=newer))


def test_nothing_goes_into_a_folder_that_holds_something(exported: tuple[Path, Manifest], tmp_path: Path) -> None:
    with Node.open(tmp_path / "node"):
        pass
    with pytest.raises(FolderRefused, match="holds a node already"):
        import_node(tmp_path / "node", exported[0])
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear").touch()
    with pytest.raises(NodeUnusable, match="dear"):
        import_node(tmp_path / "letters", exported[0])
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["dear"]


def test_without_secrets_in_the_file_those_of_the_first_node_must_be_there(lived_in: Path, tmp_path: Path) -> None:
    with Node.open(lived_in) as node:
        manifest = export_node(node, tmp_path / "node.zip")
    with zipfile.ZipFile(tmp_path / "node.zip") as archive:
        assert "secrets" not in archive.namelist()
    twin = tmp_path / "twin"
    with pytest.raises(FolderRefused, match="--with-secrets"):
        import_node(twin, tmp_path / "node.zip")
    assert not twin.exists()
    twin.mkdir()
    shutil.copy(lived_in / SECRETS, twin / SECRETS)
    assert import_node(twin, tmp_path / "node.zip") == manifest
    other = tmp_path / "other"
    with Node.open(other):
        pass
    for path in [path for path in other.iterdir() if path.name != SECRETS]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(FolderRefused, match="other secrets"):
        import_node(other, tmp_path / "node.zip")


def test_an_import_that_was_cut_short_leaves_a_folder_that_says_so(
    exported: tuple[Path, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pull_the_plug(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(carry, "_append", pull_the_plug)
    with pytest.raises(OSError, match="No space"):
        import_node(tmp_path / "twin", exported[0])
    with pytest.raises(NodeUnusable, match="not finished"):
        Node.open(tmp_path / "twin")
    with pytest.raises(FolderRefused):
        import_node(tmp_path / "twin", exported[0])


def test_an_older_export_stays_until_the_new_one_is_complete(
    lived_in: Path, exported: tuple[Path, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.zip"
    shutil.copy(exported[0], path)

    def pull_the_plug(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(carry, "_accounts_file", pull_the_plug)
    with Node.open(lived_in) as node, pytest.raises(OSError, match="No space"):
        export_node(node, path)
    assert path.read_bytes() == exported[0].read_bytes()
    assert [one.name for one in tmp_path.iterdir()] == ["node.zip"]


def test_an_export_is_for_its_owner_only(exported: tuple[Path, Manifest]) -> None:
    assert exported[0].stat().st_mode & 0o077 == 0


def test_one_row_of_the_catalogue_that_cannot_be_read_keeps_no_fact_out(
    exported: tuple[Path, Manifest], lived_in: Path, tmp_path: Path
) -> None:
    with Node.open(lived_in) as node:
        content = node.tables.load_catalogue()
        content.products[0] = msgspec.structs.replace(content.products[0], list_class="no such class")
        node.tables.save_catalogue(content)
        manifest = export_node(node, tmp_path / "node.zip", secrets=True)
        content.products[0] = msgspec.structs.replace(content.products[0], list_class="")
        node.tables.save_catalogue(content)
    with imported(tmp_path / "node.zip", tmp_path / "twin") as twin:
        products = twin.tables.load_catalogue().products
        assert len(products) == len(content.products) - 1
        assert content.products[0].nhsa not in {product.nhsa for product in products}
        assert export_node(twin, tmp_path / "again.zip").events_hash == manifest.events_hash
    left = (tmp_path / "twin" / carry.LEFT_OUT / "products.csv").read_text(encoding="utf-8-sig")
    assert content.products[0].nhsa in left
    assert "no such class" in left
