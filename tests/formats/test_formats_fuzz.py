"""Any bytes at any reader: words or records, never an exception, and every text fit to be stored."""

import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from formats_messages import CODE, raw, sale
from hypothesis import given, settings
from hypothesis import strategies as st

from suyuan.formats import epcis, nhsa, tables
from suyuan.formats.document import Document, Outcome
from suyuan.formats.reading import open_documents
from suyuan.formats.rejects import Rejects
from suyuan.ledger.scan import Result

CLAIM = {
    "data": {"psn_no": "1", "mdtrt_id": "M1", "medfee_sumamt": 9, "minpacunt_drug_trac_cnt": 1},
    "drug_trac_info": [{"feedetl_sn": "1", "drug_trac_codg": CODE, "trdn_flag": "0", "min_prcunt_type": "2"}],
}
MESSAGES = (
    raw("3505A", {"selinfoDetail": [sale(), sale()]}),
    raw("2207", CLAIM),
    raw("2102", {"druginfo": CLAIM["data"], "drugdetail": [{"feedetl_sn": "1", "cnt": 1}]}),
    raw("2204", {"feedetail": [{"feedetl_sn": "1", "cnt": 1}]}),
    raw("3507", {"data": {"fixmedins_bchno": "B", "inv_data_type": "4"}}),
    raw("2601", {"data": {"omsgid": "1", "oinfno": "2207"}}),
)
EVENTS = json.dumps(
    {
        "@context": [],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-01-03T10:11:12Z",
        "epcisBody": {
            "eventList": [
                {
                    "type": "AggregationEvent",
                    "eventTime": "2026-01-03T10:11:12Z",
                    "eventTimeZoneOffset": "+08:00",
                    "action": "ADD",
                    "parentID": "urn:epc:id:sscc:0614141.1234567890",
                    "childEPCs": ["urn:epc:id:sgtin:0614141.107346.2017"],
                    "childQuantityList": [{"epcClass": "urn:x", "quantity": 1}],
                    "readPoint": {"id": "urn:x"},
                    "bizTransactionList": [{"type": "po", "bizTransaction": "1"}],
                    "ilmd": {"cbvmda:lotNumber": "L"},
                }
            ]
        },
    }
).encode()
TABLE = f'kind,code,event_time,quantity,reason\nsold,{CODE},2026-01-03,1,"a,b"\npacked,{CODE},,2,\n'.encode()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(CODE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def holds(document: Document) -> None:
    """What must be true of every document, whatever was sent."""
    msgspec.msgpack.encode(document)
    assert not (document.fatal and document.records)
    assert document.fatal or document.records or document.problems or document.format in {"table", "epcis"}
    for problem in document.problems:
        assert problem.what
    results: list[Any] = [
        Result(where=getattr(record, "where", ""), code="", key="", status="accepted") for record in document.records
    ]
    reply = json.loads(nhsa.answer(document, Outcome(results=results)))
    assert reply["infcode"] in {0, -1}
    assert not document.fatal or reply["infcode"] == -1


def mutated(content: bytes, seed: int) -> bytes:
    """The bytes with a few of them changed, doubled, moved or left out."""
    chance = random.Random(seed)
    changed = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(changed) + 1)
        piece = chance.choice(
            [b"", b'"', b"{", b"}", b"[", b",", b":", b"\n", b"\0", b"\xff", b"null", b"1e400", b"-1", b"\\u0000"]
        )
        changed[at : at + chance.choice([0, 0, 1, 3])] = piece
    return bytes(changed)


@given(st.binary(max_size=300))
def test_random_bytes_become_words(content: bytes) -> None:
    holds(nhsa.read(content))
    holds(epcis.read(content))
    for document in tables.read([content], kind="sold"):
        holds(document)


@given(st.sampled_from([*MESSAGES, EVENTS]), st.integers(0, 2**32))
@settings(max_examples=150)
def test_damaged_messages_are_read_or_refused(content: bytes, seed: int) -> None:
    changed = mutated(content, seed)
    holds(nhsa.read(changed))
    holds(epcis.read(changed))


@given(st.sampled_from(MESSAGES), st.data())
@settings(max_examples=150)
def test_messages_with_any_value_in_any_field_are_read_or_refused(content: bytes, data: st.DataObject) -> None:
    body = json.loads(content)
    holds(nhsa.read(json.dumps(_replaced(body, data)).encode()))


@given(st.data())
@settings(max_examples=120)
def test_events_with_any_value_in_any_field_are_read_or_refused(data: st.DataObject) -> None:
    holds(epcis.read(json.dumps(_replaced(json.loads(EVENTS), data)).encode()))


def _replaced(body: Any, data: st.DataObject) -> Any:
    """The body with one value, at any depth, replaced by any JSON value."""
    keys = list(body) if isinstance(body, dict) else list(range(len(body)))
    key = data.draw(st.sampled_from(keys))
    inner = body[key]
    if isinstance(inner, (dict, list)) and inner and data.draw(st.integers(0, 3)):
        body[key] = _replaced(inner, data)
    else:
        body[key] = data.draw(JSON)
    return body


@given(st.integers(0, 2**32))
@settings(max_examples=120)
def test_damaged_tables_lose_only_their_damaged_lines(seed: int) -> None:
    damaged = mutated(TABLE, seed)
    for document in tables.read([damaged]):
        holds(document)
        good = f"sold,{CODE},2026-01-03,1".encode()
        untouched = damaged.startswith(TABLE.split(b"\n", 1)[0] + b"\n") and damaged.split(b"\n")[1] == good + b',"a,b"'
        assert not untouched or any(getattr(record, "where", "") == "2" for record in document.records)


@given(st.sampled_from([*MESSAGES, EVENTS, TABLE, b"\n".join(MESSAGES)]), st.integers(0, 2**32))
@settings(max_examples=150)
def test_damaged_files_are_opened_and_their_bad_lines_written(content: bytes, seed: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        path.write_bytes(mutated(content, seed))
        with Rejects(Path(folder) / "rejects") as rejects:
            for document in open_documents(path):
                holds(document)
                rejects.add(document, [(problem.where, problem.what) for problem in document.problems])
        for again in open_documents(Path(folder) / "rejects"):
            holds(again)
