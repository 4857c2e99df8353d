"""Traditional characters for a vocabulary that has only Simplified ones, without training.

    python -m training.traditional models/encoder runs/encoder-traditional

`renshi` folds Traditional into Simplified before the model reads, so its own extraction has no need of this. The plain
pipeline does not: 學 is ``[UNK]`` to it. Here every Traditional character whose Simplified form has an entry gets one
beside it with the same embedding (and the same output bias), so that 學會 is to the network exactly what 学会 is, as long
as nothing is trained; a later pretraining with a `traditional_share` lets the two part. It costs the rows: the encoder
here gets 1,851 of 256 dimensions, 0.9 MB in bfloat16. What it cannot do is the rest of the normalization (spaces inside
names, half-width punctuation, pinyin).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import transformers
from transformers import AutoConfig

from renshi.text import normalize
from training.tokenizer import add_entries, load_fast_tokenizer

__all__ = ["add_traditional", "traditional_forms"]

# The ideographs of the first plane: what OpenCC's tables know beyond them occurs in no news.
_HAN = [chr(code) for first, last in ((0x3400, 0x4DC0), (0x4E00, 0xA000)) for code in range(first, last)]


def traditional_forms() -> dict[str, str]:
    """The Simplified form of every Traditional ideograph, as `renshi.text.normalize` folds it."""
    folded = normalize("\n".join(_HAN)).text.split("\n")
    return {char: form for char, form in zip(_HAN, folded, strict=True) if char != form}


def add_traditional(name: str, output: Path) -> int:
    """Write to `output` the model `name` (a folder or a Hub id) with Traditional characters; returns their number.
    Whatever else a folder holds is copied, except graphs in ONNX, whose tables would be the old ones."""
    config = AutoConfig.from_pretrained(name)
    architecture = (config.architectures or ["AutoModel"])[0]
    model = getattr(transformers, architecture).from_pretrained(name, dtype="auto")
    tokenizer, added = add_entries(model, load_fast_tokenizer(name), traditional_forms())
    if Path(name).is_dir():
        shutil.copytree(name, output, ignore=shutil.ignore_patterns("*.onnx*", "onnx", "vocab.txt", "*.safetensors*"))
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    size = added * model.get_input_embeddings().weight[0].nbytes
    print(f"{added:,} Traditional characters added, {size / 1e6:.1f} MB; the model is in {output}")
    return added


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder or a Hub id")
    parser.add_argument("output", type=Path, help="a folder that is not there yet")
    options = parser.parse_args(arguments)
    if options.output.exists():
        print(f"{options.output}: is there already; name a folder that is not", file=sys.stderr)
        return 2
    try:
        add_traditional(options.model, options.output)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
