"""Keys through the doors: whose keys a caller looks after, issuing, replacing and ending them."""

from datetime import timedelta

from suyuan.intake.desk import day_of
from suyuan.node import Node
from suyuan.portals.access import DIRECTORS, KEEPERS, Caller
from suyuan.portals.problem import Refused
from suyuan.portals.signatures import KeyWrong, public_sm2_key
from suyuan.storage.tables import Credential, IssuedCredential, Request, TablesError

OVERLAP_DAYS_MAX = 90


def own_party(caller: Caller) -> str:
    """The party whose keys and delegations the caller looks after.

    Raises:
        Refused: the caller is software, or works for nobody.
    """
    if caller.role not in DIRECTORS or not caller.person or not caller.party:
        what = "Keys and delegations are looked after by people who signed in, not by software."
        raise Refused("not_allowed", where="caller", what=what)
    return caller.party


def party_asked(caller: Caller, party: str) -> str:
    """The party whose keys are meant: any for an administrator, the own one for everybody else.

    Raises:
        Refused: another party's keys, or none is named where one must be.
    """
    if caller.role in KEEPERS:
        return party
    own = own_party(caller)
    if party not in ("", own):
        raise Refused("not_allowed", where="party", value=party, what="These are another party's keys.")
    return own


def key_asked(node: Node, caller: Caller, key: str) -> Credential:
    """An existing key that the caller may look after.

    Raises:
        Refused: there is none of this id, or it is another's, which is told with the same words.
    """
    party = party_asked(caller, "")
    for one in node.tables.list_credentials(party):
        if one.id == key:
            return one
    raise Refused("not_found", where="key", value=key)


def issue(node: Node, caller: Caller, label: str, networks: str) -> IssuedCredential:
    """A new key of the caller's own party.

    Raises:
        Refused: a network that is none, or the caller looks after no party.
    """
    try:
        return node.tables.create_credential(own_party(caller), label=label, networks=networks, made_by=caller.name)
    except TablesError as error:
        raise Refused("field_unusable", where="networks", value=networks, what=str(error)) from error


def register(node: Node, caller: Caller, public_key: str, label: str, networks: str) -> Credential:
    """Take signatures of an SM2 public key as the caller's own party.

    Raises:
        Refused: it is no key, a network is none, or the caller looks after no party.
    """
    try:
        key, party = public_sm2_key(public_key), own_party(caller)
        return node.tables.register_public_key(party, key, label=label, networks=networks, made_by=caller.name)
    except KeyWrong as error:
        raise Refused("field_unusable", where="public_key", value=public_key, what=str(error)) from error
    except TablesError as error:
        raise Refused("field_unusable", where="networks", value=networks, what=str(error)) from error


def ask(node: Node, caller: Caller, party: str, label: str) -> Request:
    """Ask for a key of any party: an administrator who could make one alone could speak for everybody.

    Raises:
        Refused: nobody is listed under the party's code.
    """
    if node.catalogue.party(party, day_of(node.ledger.clock())) is None:
        raise Refused("field_unusable", where="party", value=party, what="Nobody is listed under this code.")
    return node.tables.ask("key", party, caller.name, reason=label)


def replace(node: Node, caller: Caller, key: Credential, overlap_days: int) -> IssuedCredential:
    """A new key in place of one of the caller's own party, which stays good for some days.

    Raises:
        Refused: the key has ended, has no secret, or is another party's.
    """
    own_party(caller)
    try:
        return node.tables.replace_credential(key.id, timedelta(days=overlap_days), made_by=caller.name)
    except TablesError as error:
        raise Refused("not_now", where="key", value=key.id, what=str(error)) from error
