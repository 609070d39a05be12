"""A file as blocks of bytes, unpacked where it is a .gz or a .zip with one table in it, and never beyond a limit."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

from suyuan.formats.faults import UnreadableError, refusal

BLOCK_BYTES = 1 << 20
UNPACKED_BYTES_MAX = 8 << 30
"""A hundred million lines of codes; more is sent in parts."""
RATIO_MAX = 300
"""Codes compress 3 to 20 times; a file of one repeated line, 1,000 times and more."""
_RATIO_FROM = 16 << 20
"""Small files may compress as they like."""

_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"


def blocks(path: Path) -> Iterator[bytes]:
    """The file's bytes in blocks, unpacked. Raises UnreadableError with the reason in words."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            if head.startswith(_GZIP):
                yield from _bounded(gzip.GzipFile(fileobj=file), path)
            elif head.startswith(_ZIP):
                yield from _zipped(file, path)
            else:
                while block := file.read(BLOCK_BYTES):
                    yield block
    except (zlib.error, EOFError, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError, RuntimeError) as error:
        raise UnreadableError(refusal("bad_archive", str(error))) from error
    except OSError as error:
        raise UnreadableError(refusal("unreadable", error.strerror or str(error))) from error


def _zipped(file: IO[bytes], path: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if any(member.filename == "[Content_Types].xml" for member in members):
            raise UnreadableError(refusal("other_file", "an office document"))
        if len(members) != 1:
            raise UnreadableError(refusal("bad_archive", f"{len(members)} files in it"))
        yield from _bounded(archive.open(members[0]), path)


def _bounded(opened: IO[bytes] | gzip.GzipFile, path: Path) -> Iterator[bytes]:
    """Blocks of an unpacking stream; raises before a bomb does harm."""
    packed = path.stat().st_size
    unpacked = 0
    with closing(opened) as stream:
        while block := stream.read(BLOCK_BYTES):
            unpacked += len(block)
            if unpacked > UNPACKED_BYTES_MAX or (unpacked > _RATIO_FROM and unpacked > packed * RATIO_MAX):
                raise UnreadableError(refusal("bomb", f"{packed} bytes unpack to more than {unpacked}"))
            yield block
