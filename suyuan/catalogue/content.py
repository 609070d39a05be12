"""The rows of a catalogue, table by table, as they are kept, exported and loaded."""

from typing import Any, NamedTuple

import msgspec

from suyuan.catalogue.leaflets import Leaflet
from suyuan.catalogue.mapping import Edge, Transcode
from suyuan.catalogue.no_code import NATIONAL_EXEMPTIONS, Exemption, NoCodeEntry, VirtualCode
from suyuan.catalogue.packages import Package
from suyuan.catalogue.parties import Delegation, Party
from suyuan.catalogue.prefixes import VIRTUAL_SCHEME, MakerScheme, Prefix
from suyuan.catalogue.product import Product


class Content(msgspec.Struct, kw_only=True):
    """Everything a catalogue is made of. Within one key of a table the periods do not overlap."""

    products: list[Product] = []
    prefixes: list[Prefix] = []
    maker_schemes: list[MakerScheme] = msgspec.field(default_factory=lambda: [VIRTUAL_SCHEME])
    packages: list[Package] = []
    edges: list[Edge] = []
    transcodes: list[Transcode] = []
    parties: list[Party] = []
    delegations: list[Delegation] = []
    no_code: list[NoCodeEntry] = []
    virtual_codes: list[VirtualCode] = []
    exemptions: list[Exemption] = msgspec.field(default_factory=lambda: list(NATIONAL_EXEMPTIONS))
    leaflets: list[Leaflet] = []


class Table(NamedTuple):
    """One table: its name, its row type, and the fields that say which rows are about the same thing."""

    name: str
    row: type[Any]
    key: tuple[str, ...]

    def key_of(self, row: Any) -> tuple[Any, ...]:  # noqa: ANN401  any of the row types
        """What the row is about; with its first day it is unique."""
        return tuple(getattr(row, field) for field in self.key)


TABLES: tuple[Table, ...] = (
    Table("products", Product, ("nhsa",)),
    Table("prefixes", Prefix, ("product_key",)),
    Table("maker_schemes", MakerScheme, ("scheme",)),
    Table("packages", Package, ("product_key",)),
    Table("edges", Edge, ("left", "right")),
    Table("transcodes", Transcode, ("former",)),
    Table("parties", Party, ("code",)),
    Table("delegations", Delegation, ("grantor", "delegate")),
    Table("no_code", NoCodeEntry, ("institution", "nhsa", "kind")),
    Table("virtual_codes", VirtualCode, ("key",)),
    Table("exemptions", Exemption, ("product_class", "setting", "split_only")),
    Table("leaflets", Leaflet, ("approval",)),
)

TABLE = {table.name: table for table in TABLES}
