"""Planted frauds: one pattern a file, each with `plant(country, rng, count)`."""

from collections.abc import Callable
from random import Random

from suyuan.simulation.frauds import clone, repeated_settlement, resale, swap, two_lines
from suyuan.simulation.world import Country

PATTERNS: tuple[tuple[str, Callable[[Country, Random, int], int]], ...] = (
    ("resale", resale.plant),
    ("swap", swap.plant),
    ("clone", clone.plant),
    ("repeated_settlement", repeated_settlement.plant),
    ("two_lines", two_lines.plant),
)
"""Every pattern with its name in the truth; each answers how many instances it could plant."""
