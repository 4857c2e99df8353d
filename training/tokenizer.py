"""The tokenizer of a base model, whatever form its folder or Hub repository has it in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from renshi.text import normalize

__all__ = ["build_vocabulary", "from_vocabulary", "load_fast_tokenizer"]

SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def from_vocabulary(entries: list[str]) -> PreTrainedTokenizerFast:
    """BERT's own tokenization (lower case, accents stripped, one token an ideograph, word pieces) over `entries`."""
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **SPECIAL_TOKENS)


def load_fast_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a folder (``tokenizer.json``, or only ``vocab.txt``) or of a Hub id."""
    vocabulary = Path(name, "vocab.txt")
    if vocabulary.exists() and not Path(name, "tokenizer.json").exists():
        return from_vocabulary(vocabulary.read_text(encoding="utf-8").split("\n")[:-1])
    tokenizer: Any = AutoTokenizer.from_pretrained(name, use_fast=True)
    return cast(PreTrainedTokenizerFast, tokenizer)


def build_vocabulary(texts: Iterable[str], min_count: int = 1) -> list[str]:
    """BERT's special tokens, then every character of the normalized texts that occurs at least `min_count` times, in
    order of frequency; what stands inside Latin words and numbers also as a word piece, so that no word is unknown."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(character for character in normalize(text).text.lower() if not character.isspace())
    frequent = [character for character, count in counts.most_common() if count >= min_count]
    pieces = [f"##{character}" for character in frequent if character.isascii() and character.isalnum()]
    return [*SPECIAL_TOKENS.values(), *frequent, *pieces]
