"""What the studies of a model on annotated pages have in common: their command line and their report."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from renshi.model import Model, load_model
from training import models
from training.runs import write_json
from training.sources import Example, read_source

__all__ = ["run_study"]


def run_study(
    description: str | None,
    study: Callable[[Model, Sequence[Example]], dict[str, Any]],
    arguments: Sequence[str] | None = None,
) -> int:
    """Print the report on each set, by the last two parts of its path, and write it where the command line says so."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, help="folders of inline markup")
    parser.add_argument("--model", default=models.PACKAGED, help="folder, Hub id, or default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the reports")
    options = parser.parse_args(arguments)
    model = load_model(models.find(options.model))
    report = {"/".join(path.parts[-2:]): study(model, read_source("markup", path)[0]) for path in options.data}
    print(json.dumps(report, indent=1))
    if options.json:
        write_json(options.json, {"model": models.title(options.model), **report})
    return 0
