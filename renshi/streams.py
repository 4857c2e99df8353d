"""Files as streams of bytes, unpacked on the way where they are packed; never a whole one in memory."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

__all__ = ["PACKINGS", "ReadError", "open_stream"]

_BUFFER = 1 << 17


class ReadError(ValueError):
    """A file that cannot be read (further); the message says why and what to do, without the file's name."""


class _Unpacked(io.RawIOBase):
    """What a decompressor gives, as soon as it gives it: all that stands before a damage is read."""

    def __init__(self, stream: io.BufferedIOBase, errors: tuple[type[Exception], ...]) -> None:
        self._stream = stream
        self._errors: tuple[type[Exception], ...] = (EOFError, *errors)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            return self._stream.readinto1(buffer)
        except self._errors as error:
            raise ReadError(f"is damaged or cut short ({error}); get or pack it anew") from error


def _gzip(file: BinaryIO) -> _Unpacked:
    if not cast(io.BufferedReader, file).peek(
        1
    ):  # which Python takes for a file that holds nothing, gzip for a cut one
        raise ReadError("is damaged or cut short (it has no bytes at all); get or pack it anew")
    return _Unpacked(gzip.GzipFile(fileobj=file), (zlib.error, gzip.BadGzipFile))


def _zstd(file: BinaryIO) -> _Unpacked:
    # The module of Python 3.14, and its like for those before. The older package zstandard takes a file that was cut short
    # for a whole one.
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise ReadError('.zst files need the package backports.zstd: pip install "renshi[zst]"') from error
    return _Unpacked(cast(io.BufferedIOBase, zstd.ZstdFile(file)), (zstd.ZstdError,))


PACKINGS: dict[str, Callable[[BinaryIO], _Unpacked]] = {".gz": _gzip, ".zst": _zstd}
"""How a file is packed, by its last suffix."""


@contextmanager
def open_stream(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked if its last suffix says that it is packed. Raises `OSError`; reading raises it too, or
    `ReadError`."""
    with path.open("rb") as file:
        unpack = PACKINGS.get(path.suffix.lower())
        yield io.BufferedReader(unpack(file), _BUFFER) if unpack else file
