"""What happened, as lists: tables over the journal's feed that can always be made again."""

from suyuan.views.alerts import AlertsView
from suyuan.views.claims import ClaimsView
from suyuan.views.counts import CountsView
from suyuan.views.flow import FlowView
from suyuan.views.follow import Views
from suyuan.views.no_code import NoCodeView
from suyuan.views.owed import OWED
from suyuan.views.prescriptions import PrescriptionsView
from suyuan.views.reports import ReportsView
from suyuan.views.sales import SalesView
from suyuan.views.software import SoftwareView
from suyuan.views.uploads import UPLOADS
from suyuan.views.view import View

__all__ = ["VIEWS", "View", "Views"]

VIEWS: tuple[View, ...] = (
    AlertsView(),
    CountsView(),
    ReportsView(),
    ClaimsView(),
    SalesView(),
    PrescriptionsView(),
    NoCodeView(),
    OWED,
    UPLOADS,
    FlowView(),
    SoftwareView(),
)
"""Every view of a node, each in a module of its own."""
