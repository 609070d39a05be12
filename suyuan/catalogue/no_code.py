"""The four reasons why a box may go without a scan, and the platform's own stand-in codes (settlement rule R20)."""

from datetime import date

import msgspec

from suyuan.catalogue.dating import ALWAYS, OPEN

KINDS = ("legacy", "exempt", "unreadable", "virtual")
"""In order of precedence where an institution has several entries for one product."""

SETTINGS = ("pharmacy", "outpatient", "inpatient")


class NoCodeEntry(msgspec.Struct, frozen=True, gc=False):
    """What one institution has declared to hold without readable codes."""

    institution: str
    nhsa: str
    kind: str = "legacy"
    quantity: int = 0
    """Declared smallest packages; the declining balance is the ledger's. 0 means no limit, for `exempt` only."""
    reason: str = ""
    reference: str = ""
    """Number of the declaration or photo that stands behind it."""
    valid_from: date = ALWAYS
    valid_to: date = OPEN

    @property
    def until(self) -> date:
        """The last day on which the entry settles without a scan."""
        return self.valid_to


class VirtualCode(msgspec.Struct, frozen=True, gc=False):
    """A code the platform issued for goods that have none, bound to one institution, product and quantity."""

    key: str
    """Box key of the code, as `codes` recognises it."""
    institution: str
    nhsa: str
    quantity: int = 1
    """Smallest packages it may stand for in all."""
    reason: str = ""
    valid_from: date = ALWAYS
    valid_to: date = OPEN

    @property
    def until(self) -> date:
        """The last day on which it may be used."""
        return self.valid_to


class Exemption(msgspec.Struct, frozen=True, gc=False):
    """Dated policy: which class of product, in which setting, needs no scan (settlement rule R13)."""

    product_class: str
    """`Product.exempt`, such as `herbal_slices`; empty for every product."""
    setting: str = ""
    """pharmacy, outpatient or inpatient; empty for all."""
    split_only: bool = False
    """True where it covers doses taken from a split pack only."""
    name: str = ""
    """The word that verdicts carry, such as `inpatient_split`."""
    valid_from: date = ALWAYS
    valid_to: date = OPEN


NATIONAL_EXEMPTIONS = (
    Exemption("herbal_slices", name="herbal_slices"),
    Exemption("granules", name="granules"),
    Exemption("", setting="inpatient", split_only=True, name="inpatient_split"),
)
"""As published for 2025 (spec/domain.md §8); a region's table may end or add rows by date."""
