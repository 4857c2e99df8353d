"""Text to token ids, with every token's place in the text: the fast tokenizer, many texts in one call."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

__all__ = ["Encoded", "Encoder", "TokenizerError", "panics_are_errors"]


class TokenizerError(ValueError):
    """The tokenizers library broke off; the message is its own."""


@contextmanager
def panics_are_errors() -> Iterator[None]:
    """The library is written in Rust, and what it did not foresee in a stranger's tokenizer.json is a panic there, which
    derives from BaseException alone. Raises `TokenizerError` in its place."""
    try:
        yield
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":  # where PyO3 puts the class; it cannot be imported
            raise
        raise TokenizerError(str(error).split("\n")[0]) from error


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What the model reads of one text, or of a part of it.

    Attributes:
        source: Index of the text in the call.
        input_ids: (tokens,) int64, ``[CLS]`` and ``[SEP]`` included.
        offsets: (tokens, 2) int64, each token's ``[start, end)`` in the text; (0, 0) for the special tokens.
        first, last: The part ``[first, last)`` of the text that is this row's to decide: all of it, but for a text too long
            for one row.
        line_starts: Ascending indices of the tokens before which a line ends unseen, for white space has no token; none
            where the vocabulary has an entry for the line feed (`training.tokenizer.add_line_feed`).
    """

    source: int
    input_ids: NDArray[np.int64]
    offsets: NDArray[np.int64]
    line_starts: NDArray[np.int64]
    first: int = 0
    last: int = sys.maxsize


class Encoder:
    """A tokenizer with a limit, made for whole chunks: `encode` cuts nothing silently, a text over the limit becomes
    several overlapping rows. (Windows are measured in characters and a token is nearly always one or more of them, but
    a decomposed Hangul syllable, for one, may be three.)"""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, overlap: int) -> None:
        from tokenizers import Tokenizer as FastTokenizer

        self.max_tokens = max_tokens
        self._overlap = overlap
        self._tokenizer = FastTokenizer.from_str(tokenizer.to_str())  # our own: limits are state of the object
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens, stride=overlap)
        self.pad_id = self._tokenizer.token_to_id("[PAD]") or 0
        self._sees_line_feeds = self._tokenizer.token_to_id("\n") is not None

    def encode(self, texts: Sequence[str], refused: dict[int, str] | None = None) -> Iterator[Encoded]:
        """The rows of all texts, in order. What the tokenizer breaks off at has none, and `refused` gets its index and why.

        Raises:
            TokenizerError: It breaks off at a text, and there is no `refused`.
        """
        for source, encoding in enumerate(self._encodings(texts)):
            if isinstance(encoding, TokenizerError):
                if refused is None:
                    raise encoding
                refused[source] = str(encoding)
                continue
            rows = [encoding, *encoding.overflowing]
            offsets = [np.array(row.offsets, dtype=np.int64).reshape(-1, 2) for row in rows]
            # Of what two rows share, the first half belongs to the row before.
            borders = [0, *(int(places[1 + self._overlap // 2, 0]) for places in offsets[1:]), sys.maxsize]
            feeds = _line_feeds("" if self._sees_line_feeds else texts[source])
            for number, row in enumerate(rows):
                ids, places = np.array(row.ids, dtype=np.int64), offsets[number]
                line_starts = _tokens_behind(feeds, places)
                yield Encoded(source, ids, places, line_starts, borders[number], borders[number + 1])

    def _encodings(self, texts: Sequence[str]) -> list[Encoding | TokenizerError]:
        try:
            with panics_are_errors():
                return [*self._tokenizer.encode_batch(list(texts))]
        except Exception as error:  # the library raises bare Exception
            if len(texts) == 1:
                return [error if isinstance(error, TokenizerError) else TokenizerError(str(error))]
        half = len(texts) // 2
        return self._encodings(texts[:half]) + self._encodings(texts[half:])


def _line_feeds(text: str) -> NDArray[np.int64]:
    """Where in the text its line feeds are."""
    if "\n" not in text:
        return np.zeros(0, dtype=np.int64)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    return np.flatnonzero(codes == ord("\n"))


def _tokens_behind(places: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each place in the text, ascending, the first token behind it, each once; none for those behind the last one."""
    if not len(places):  # most windows have no line feed
        return places
    starts = offsets[1:-1, 0]
    behind = np.unique(np.searchsorted(starts, places))
    return behind[behind < len(starts)] + 1  # [CLS] stands before
