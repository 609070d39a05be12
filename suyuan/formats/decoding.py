"""Bytes as received, turned into text or a JSON value, or into words why not."""

import msgspec

from suyuan.formats.faults import UnreadableError, refusal

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""One JSON message or document; a table has no limit, its lines have."""

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")

_decode = msgspec.json.Decoder().decode


def to_text(raw: bytes) -> str:
    """Text of UTF-8 bytes, with or without mark, or of GBK bytes (read as GB18030). Raises UnreadableError."""
    if raw.startswith(_UTF16_BOMS):
        raise UnreadableError(refusal("not_text", "UTF-16"))
    try:
        return raw.removeprefix(_UTF8_BOM).decode()
    except UnicodeDecodeError:
        pass
    try:
        text = raw.decode("gb18030")
        text.encode()
    except UnicodeError as error:
        raise UnreadableError(refusal("not_text", f"byte {getattr(error, 'start', 0)}")) from error
    return text


def to_json(raw: bytes) -> object:
    """The JSON value in the bytes. Raises UnreadableError, also for depth, size and numbers beyond any use."""
    if len(raw) > MESSAGE_BYTES_MAX:
        raise UnreadableError(refusal("too_large", f"{len(raw)} bytes, limit {MESSAGE_BYTES_MAX}"))
    raw = raw.removeprefix(_UTF8_BOM)
    if not raw.strip():
        raise UnreadableError(refusal("empty"))
    try:
        return _decode(raw)
    except UnicodeDecodeError:
        return to_json(to_text(raw).encode())
    except RecursionError as error:
        raise UnreadableError(refusal("too_deep")) from error
    except msgspec.MsgspecError as error:
        if raw.startswith(_UTF16_BOMS):
            raise UnreadableError(refusal("not_text", "UTF-16")) from error
        raise UnreadableError(refusal("not_json", str(error))) from error
