"""Who is calling: a key of an institution's software, a session of a person, or a citizen."""

from starlette.requests import Request

from suyuan.portals.access import ROLE_OF_KIND, Caller
from suyuan.portals.problem import Refused
from suyuan.portals.site import Site

SOFTWARE = "x-client-software"


async def identify(site: Site, request: Request) -> Caller:
    """The caller of a request.

    Raises:
        Refused: something was shown as proof, and it proves nothing.
    """
    software = request.headers.get(SOFTWARE, "")[:100]
    address = request.client.host if request.client else ""
    scheme, _, proof = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        return Caller(software=software, address=address)
    key, _, secret = proof.strip().partition(".")
    party = site.node.tables.check_credential(key, secret) if scheme.lower() == "bearer" else None
    if party is None:
        raise Refused("signature_wrong", headers={"www-authenticate": "Bearer"})
    listed = site.party(party)
    role = ROLE_OF_KIND[listed.kind] if listed else "institution"
    region = listed.region if listed else ""
    return Caller(role=role, party=party, region=region, key=key, software=software, address=address)
