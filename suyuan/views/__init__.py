"""What happened, as lists: tables over the journal's feed that can always be made again."""

from suyuan.views.follow import Views
from suyuan.views.view import View

__all__ = ["VIEWS", "View", "Views"]

VIEWS: tuple[View, ...] = ()
"""Every view of a node, each in a module of its own."""
