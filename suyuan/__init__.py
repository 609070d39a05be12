"""Suyuan (溯源): where has this box been, has it been paid for before, and what is wrong if it has?"""

__version__ = "0.1.0"

COLLECT_AFTER = 1_000_000
"""Uploads make millions of short-lived records without cycles: looking every 700 costs a quarter of the time."""
