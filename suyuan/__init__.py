"""Suyuan (溯源): where has this box been, has it been paid for before, and what is wrong if it has?"""

__version__ = "0.1.0"
