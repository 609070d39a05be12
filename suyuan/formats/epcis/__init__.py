"""EPCIS events: production, packing and movement as makers and wholesalers report them."""

from suyuan.formats.epcis.json_ld import read

__all__ = ["read"]
