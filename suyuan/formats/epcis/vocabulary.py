"""The words of the Core Business Vocabulary that EPCIS events use, in every form they are written in."""

BIZ_STEPS = frozenset(
    """accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting
    decommissioning departing destroying disassembling dispensing encoding entering_exiting holding inspecting
    installing killing loading other packing picking receiving removing repackaging repairing replacing reserving
    retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking storing transporting
    unloading unpacking void_shipping""".split()  # noqa: SIM905  words, not code
)
"""The 41 business steps of CBV 2.0."""

DISPOSITIONS = frozenset(
    """active available completeness_inferred completeness_verified conformant container_closed container_open damaged
    destroyed dispensed disposed encoded expired in_progress in_transit inactive mismatch_class mismatch_instance
    mismatch_quantity needs_replacement no_pedigree_match non_conformant non_sellable_other partially_dispensed recalled
    reserved retail_sold returned sellable_accessible sellable_not_accessible stolen unavailable unknown""".split()  # noqa: SIM905  words, not code
)
"""The 33 dispositions."""

TRANSACTION_TYPES = frozenset(
    "bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt".split()  # noqa: SIM905  words, not code
)
"""The 13 kinds of business transaction."""

PARTY_TYPES = frozenset({"owning_party", "possessing_party", "location"})
"""What a source or destination may be."""

_FORMS: dict[str, tuple[str, ...]] = {
    "bizstep": ("urn:epcglobal:cbv:bizstep:", "https://ref.gs1.org/cbv/BizStep-", "cbv:BizStep-"),
    "disp": ("urn:epcglobal:cbv:disp:", "https://ref.gs1.org/cbv/Disp-", "cbv:Disp-"),
    "btt": ("urn:epcglobal:cbv:btt:", "https://ref.gs1.org/cbv/BTT-", "cbv:BTT-"),
    "sdt": ("urn:epcglobal:cbv:sdt:", "https://ref.gs1.org/cbv/SDT-", "cbv:SDT-"),
}
_WORDS = {"bizstep": BIZ_STEPS, "disp": DISPOSITIONS, "btt": TRANSACTION_TYPES, "sdt": PARTY_TYPES}

MASTER_DATA = ("urn:epcglobal:cbv:mda:", "https://ref.gs1.org/cbv/", "https://gs1.org/voc/", "https://www.gs1.org/voc/")
"""Namespaces in which lot and expiry stand in instance/lot master data."""
MASTER_DATA_PREFIXES = frozenset({"cbvmda", "cbv", "gs1"})
"""Prefixes of the standard context for them."""


def bare(written: str, vocabulary: str) -> str:
    """The bare word of a value: written bare, as CURIE, URN or Web URI. A foreign URI or CURIE stays as it is."""
    for prefix in _FORMS[vocabulary]:
        if written.startswith(prefix):
            return written.removeprefix(prefix)
    return written


def is_allowed(written: str, vocabulary: str) -> bool:
    """Whether a value is of the standard vocabulary, or a full URI or CURIE of somebody else's."""
    word = bare(written, vocabulary)
    return word in _WORDS[vocabulary] or ":" in word
