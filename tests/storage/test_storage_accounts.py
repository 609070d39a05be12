"""Accounts beside the journal: keys of every kind, people and passwords, sessions, approval by a second person."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from suyuan.ledger.privacy import Privacy
from suyuan.storage import passwords
from suyuan.storage.credentials import within_networks
from suyuan.storage.passwords import check_password, hash_password, password_fault
from suyuan.storage.tables import Tables, TablesError

PHARMACY = "P44010000001"
PASSWORD = "one box, one code"
AS_SHIPPED = passwords.N
"""Tests of other things than this spend less on a password."""


@pytest.fixture
def privacy() -> Privacy:
    return Privacy(b"p" * 32, b"s" * 16)


@pytest.fixture
def tables(place: str, privacy: Privacy) -> Iterator[Tables]:
    with Tables.open(place, privacy) as opened:
        yield opened


def test_a_secret_is_sealed_and_opens_with_the_nodes_own_key_alone(tables: Tables, place: str, tmp_path: Path) -> None:
    issued = tables.create_credential(PHARMACY)
    kept = tables.find_credential(issued.id)
    assert kept is not None
    assert tables.secret_of(kept) == issued.secret.encode()
    with Tables.open(place, Privacy(b"p" * 32, b"x" * 16)) as elsewhere:
        assert elsewhere.secret_of(kept) is None
    assert issued.secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_replaced_key_is_good_until_the_overlap_ends_and_the_new_one_at_once(tables: Tables) -> None:
    old = tables.create_credential(PHARMACY, label="till 1")
    new = tables.replace_credential(old.id, timedelta(days=7))
    assert tables.check_credential(old.id, old.secret) == PHARMACY
    assert tables.check_credential(new.id, new.secret) == PHARMACY
    last = tables.replace_credential(new.id, timedelta(0))
    assert tables.check_credential(new.id, new.secret) is None
    assert tables.check_credential(last.id, last.secret) == PHARMACY
    assert {row.label for row in tables.list_credentials()} == {"till 1"}
    with pytest.raises(TablesError, match="no open key"):
        tables.replace_credential(new.id, timedelta(days=1))


def test_a_revocation_by_another_process_is_seen_within_seconds_and_one_of_our_own_at_once(
    tables: Tables, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tables.create_credential(PHARMACY), tables.create_credential(PHARMACY)
    for key in (first, second):
        assert tables.check_credential(key.id, key.secret) == PHARMACY
    tables.revoke(first.id)
    assert tables.check_credential(first.id, first.secret) is None
    with Tables.open(place) as command_line:
        command_line.revoke(second.id)
    monkeypatch.setattr(tables, "_remembered_until", 0.0)  # as when those seconds have passed
    assert tables.check_credential(second.id, second.secret) is None


def test_keys_of_different_kinds_prove_different_things(tables: Tables) -> None:
    tables.register_network(PHARMACY, "192.0.2.7, 10.1.0.0/16")
    assert [one.networks for one in tables.listed_networks()] == ["192.0.2.7/32,10.1.0.0/16"]
    tables.register_network(PHARMACY, "10.1.2.0/24", label="the same sender once more")
    with pytest.raises(TablesError, match=f"listed for {PHARMACY} already"):
        tables.register_network("P44010000002", "10.1.2.3")
    with pytest.raises(TablesError, match="No source network"):
        tables.register_network(PHARMACY, " ")
    public = tables.register_public_key(PHARMACY, "04" + "AB" * 64)
    assert tables.check_credential(public.id, "") is None
    with pytest.raises(TablesError, match="cannot be read"):
        tables.create_credential(PHARMACY, networks="10.1.0.0/99")


def test_an_address_is_in_a_listed_network_or_not() -> None:
    assert within_networks("10.1.2.3", "192.0.2.7/32,10.1.0.0/16")
    assert not within_networks("10.2.2.3", "192.0.2.7/32,10.1.0.0/16")
    assert not within_networks("10.1.2.3", "")
    assert not within_networks("unknown", "10.1.0.0/16")


def test_a_password_is_kept_as_a_slow_hash_with_its_own_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "N", AS_SHIPPED)
    kept = hash_password(PASSWORD)
    assert kept.startswith("scrypt$32768$8$3$")
    assert kept != hash_password(PASSWORD)
    assert check_password(PASSWORD, kept)
    assert not check_password(PASSWORD + "!", kept)
    assert not check_password("", "")


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "Chen-2026-chen", "x" * 201])
def test_a_password_too_short_too_long_or_too_easy_is_refused(tables: Tables, password: str) -> None:
    tables.add_person("chen", "clerk", PHARMACY)
    with pytest.raises(TablesError, match="password"):
        tables.set_password("chen", password)
    assert password_fault("chen", PASSWORD) == ""


def test_after_five_wrong_passwords_the_account_rests_longer_each_time(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suyuan.storage.people.check_password", lambda password, kept: password == PASSWORD)
    tables.add_person("chen", "clerk", PHARMACY)
    tables.set_password("chen", PASSWORD)
    now = time.time_ns() // 1000
    monkeypatch.setattr("suyuan.storage.people._now", lambda: now)
    assert [tables.try_password("chen", "wrong")[1] for _ in range(5)] == [0, 0, 0, 0, 30]
    assert tables.try_password("chen", PASSWORD) == (None, 30), "while it rests, not even the right one is tried"
    now += 31_000_000
    assert tables.try_password("chen", "wrong")[1] == 60
    now += 61_000_000
    held, wait = tables.try_password("chen", PASSWORD)
    assert (held is not None, wait) == (True, 0)
    assert tables.try_password("chen", "wrong")[1] == 0, "a right one begins the count anew"
    assert [tables.try_password("nobody", "wrong")[1] for _ in range(5)] == [0, 0, 0, 0, 30]
    assert tables.try_password("nobody", PASSWORD) == (None, 30), "nobody learns from a rest which names there are"


def test_a_session_ends_when_it_is_idle_when_its_time_is_over_and_when_the_person_is_locked_out(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.add_person("chen", "clerk", PHARMACY)
    token, session = tables.open_session("chen", seconds=3600, client="Firefox")
    found = tables.session_of(token, 600)
    assert found is not None
    assert found[1].institution == PHARMACY
    assert token not in str(tables.list_sessions("chen"))
    begun = session.begun
    monkeypatch.setattr("suyuan.storage.people._now", lambda: begun + 500_000_000)
    assert tables.session_of(token, 600) is not None
    monkeypatch.setattr("suyuan.storage.people._now", lambda: begun + 1_000_000_000)
    assert tables.session_of(token, 600) is not None, "it was used in between"
    monkeypatch.setattr("suyuan.storage.people._now", lambda: begun + 1_700_000_000)
    assert tables.session_of(token, 600) is None
    monkeypatch.setattr("suyuan.storage.people._now", lambda: begun + 3_600_000_000)
    assert tables.session_of(token, 1 << 30) is None
    monkeypatch.setattr("suyuan.storage.people._now", lambda: begun)
    tables.disable_person("chen")
    tables.disable_person("chen", disabled=False)
    assert tables.session_of(token, 600) is None


def test_sessions_end_one_by_one_or_all_and_a_new_password_ends_them_all(tables: Tables) -> None:
    tables.add_person("chen", "clerk", PHARMACY)
    tables.add_person("wang", "clerk", PHARMACY)
    tokens = [tables.open_session("chen", 3600)[0] for _ in range(3)]
    other = tables.open_session("wang", 3600)[0]
    one = tables.list_sessions("chen")[0]
    assert tables.end_sessions("wang", one.id) == 0, "another person's session is not theirs to end"
    assert tables.end_sessions("chen", one.id) == 1
    assert sum(tables.session_of(token, 600) is not None for token in tokens) == 2
    tables.set_password("chen", PASSWORD)
    assert not any(tables.session_of(token, 600) for token in tokens)
    assert tables.session_of(other, 600) is not None


def test_a_role_holds_when_a_second_person_has_approved_it_and_the_approver_gets_the_first_password(
    tables: Tables,
) -> None:
    tables.add_person("chen", "")
    asked = tables.ask("grant", "chen", "admin", role="inspector", region="440000", reason="new in the office")
    assert [one.role for one in tables.list_people()] == [""]
    with pytest.raises(TablesError, match="does not decide"):
        tables.decide(asked.id, "admin", approve=True)
    with pytest.raises(TablesError, match="does not decide"):
        tables.decide(asked.id, "chen", approve=True)
    done, password = tables.decide(asked.id, "officer", approve=True)
    assert (done.outcome, done.decided_by) == ("approved", "officer")
    held, _ = tables.try_password("chen", password)
    assert held is not None
    assert held.must_change
    person = tables.person("chen")
    assert person is not None
    assert (person.role, person.region) == ("inspector", "440000")
    with pytest.raises(TablesError, match="has decided it already"):
        tables.decide(asked.id, "officer", approve=True)
    with pytest.raises(TablesError, match="themselves"):
        tables.ask("grant", "admin", "admin", role="inspector")


def test_a_refused_request_changes_nothing(tables: Tables) -> None:
    tables.add_person("chen", "clerk", PHARMACY)
    asked = tables.ask("grant", "chen", "admin", role="administrator")
    assert [one.id for one in tables.list_requests()] == [asked.id]
    assert tables.decide(asked.id, "officer", approve=False)[1] == ""
    assert [one.role for one in tables.list_people()] == ["clerk"]
    assert tables.list_requests() == []
    assert [one.outcome for one in tables.list_requests(waiting=False)] == ["refused"]


def test_people_are_found_by_what_is_known_of_them_page_by_page(tables: Tables) -> None:
    for name in ("an", "bo", "chen_1", "chenx1"):
        tables.add_person(name, "clerk", PHARMACY)
    assert [one.name for one in tables.list_people("chen_")] == ["chen_1"]
    assert [one.name for one in tables.list_people("P4401", after="an", limit=2)] == ["bo", "chen_1"]
    assert tables.list_people("nobody") == []


def test_accounts_move_with_sealed_secrets_and_passwords_and_without_sessions(
    tables: Tables, tmp_path: Path, privacy: Privacy
) -> None:
    issued = tables.create_credential(PHARMACY, label="till")
    tables.add_person("chen", "clerk", PHARMACY, subject="u1")
    tables.set_password("chen", PASSWORD)
    tables.ask("reset", "chen", "admin")
    token, _ = tables.open_session("chen", 3600)
    with Tables.open(tmp_path / "other.db", privacy) as other:
        other.import_accounts(tables.export_accounts())
        assert other.export_accounts() == tables.export_accounts()
        kept = other.find_credential(issued.id)
        assert kept is not None
        assert other.secret_of(kept) == issued.secret.encode()
        assert other.try_password("chen", PASSWORD)[0] is not None
        assert other.session_of(token, 600) is None
        assert other.person_called("u1") == tables.person("chen")
