"""What a form of a page sends, as texts; where it may lead afterwards."""

from urllib.parse import urlsplit

from starlette.requests import Request

LENGTH_MAX = 2_000


async def form_of(request: Request) -> dict[str, str]:
    """The texts of a form, trimmed and cut to a length; files are left out."""
    async with request.form(max_files=0, max_fields=100) as sent:
        return {name: value.strip()[:LENGTH_MAX] for name, value in sent.items() if isinstance(value, str)}


def inside(address: str) -> str:
    """An address within this site, or the empty text: no form leads to another site."""
    parts = urlsplit(address)
    path = parts.path
    if parts.scheme or parts.netloc or not path.startswith("/") or path.startswith(("//", "/\\")):
        return ""
    return path + (f"?{parts.query}" if parts.query else "")
