"""Draw what the reports of `training.evaluate` and `training.calibrate` say.

    python -m training.pictures REPORT.json… --output FOLDER

From a report of `training.evaluate`, for each set: ``SET-f1.png`` (F1 of each label with its 95 % interval) and
``SET-confusion.png`` (what became of the gold spans). From one of `training.calibrate`: ``SET-reliability.png`` (score
against share of right spans, before and after) and ``SET-thresholds.png`` (least score against precision, recall, F1).
Colours are Okabe and Ito's, which colour-blind people tell apart too; labels are named in Chinese where a font for it is
installed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from renshi.labels import LABEL_NAMES, LABELS

__all__ = ["draw", "main", "save"]

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#666666"
_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC",
          "Hiragino Sans GB", "Microsoft YaHei", "SimHei", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Noto Serif CJK SC",
          "Noto Serif CJK JP", "Droid Sans Fallback", "Arial Unicode MS")  # fmt: skip


def chinese_font() -> str | None:
    """The name of an installed font that can draw the labels' names, or None."""
    if (name := _known_font()) is None:
        # Matplotlib's list of fonts is a cache; one that was installed later is not in it.
        known = {entry.fname for entry in font_manager.fontManager.ttflist}
        for path in sorted(set(font_manager.findSystemFonts()) - known):
            with suppress(RuntimeError, OSError):  # what FreeType cannot read
                font_manager.fontManager.addfont(path)
        name = _known_font()
    return name


def _known_font() -> str | None:
    installed = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    wanted = {ord(character) for name in LABEL_NAMES.values() for character in name}
    for name in (*_FONTS, *sorted(name for name in installed if "CJK" in name)):
        if name in installed and wanted <= FT2Font(installed[name]).get_charmap().keys():
            return name
    return None


def _name(label: str, font: str | None) -> str:
    return f"{label} {LABEL_NAMES[label]}" if font and label in LABEL_NAMES else label


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _families(font: str | None) -> list[str]:
    return ["DejaVu Sans", *([font] if font else [])]  # a glyph that the first lacks comes from the next


def draw_f1(report: dict[str, Any], font: str | None) -> Figure:
    """A dot a label with its interval, the number of gold spans beside."""
    rows = [(name, row) for name, row in report["spans"].items() if row["support"]]
    order = {
        name: place
        for place, name in enumerate(["micro", "PER", "TITLE", "ORG", "EVENT", "EVENT, type ignored", *LABELS])
    }
    rows.sort(key=lambda row: -order.get(row[0], 99))
    figure = _figure(7, 0.8 + 0.3 * len(rows))
    axes = figure.add_subplot(xlabel="strict F1, 95 % interval", xlim=(0, 1.02))
    places = np.arange(len(rows))
    for place, (_, row) in zip(places, rows, strict=True):
        axes.plot(
            [row.get("f1_low", row["f1"]), row.get("f1_high", row["f1"])], [place, place], color=BLUE, lw=2, alpha=0.5
        )
        axes.annotate(
            f"{row['f1']:.3f}", (row["f1"], place), (0, 5), textcoords="offset points", ha="center", fontsize=7
        )
    axes.plot([row["f1"] for _, row in rows], places, "o", color=BLUE)
    axes.set_yticks(
        places, [f"{_name(name, font)}  ({row['support']:,})" for name, row in rows], family=_families(font)
    )
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    return figure


def draw_confusion(report: dict[str, Any], font: str | None) -> Figure:
    """Rows are gold labels, columns what became of their spans, in shares of the row; the last row is what was found where
    nothing is."""
    table = report["confusion"]
    labels = [label for label in LABELS if label in table or any(label in row for row in table.values())]
    columns = [*labels, "boundary", "other", "missed"]
    rows = [*labels, "spurious"]
    counts = np.array([[table.get(row, {}).get(column, 0) for column in columns] for row in rows], dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = _figure(1.9 + 0.5 * len(columns), 1.6 + 0.36 * len(rows))
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for place, count in np.ndenumerate(counts):
        if count:
            colour = "black" if shares[place] > 0.55 else "white"
            axes.text(place[1], place[0], f"{int(count)}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(
        range(len(columns)), [_name(c, font) for c in columns], rotation=60, ha="right", family=_families(font)
    )
    axes.set_yticks(range(len(rows)), [_name(r, font) for r in rows], family=_families(font))
    axes.set(xlabel="predicted on the same span, or what else", ylabel="gold")
    figure.colorbar(image, label="share of the row")
    return figure


def draw_reliability(report: dict[str, Any], font: str | None) -> Figure:
    """Before and after side by side: mean score of a bin against the share of its spans that are right."""
    figure = _figure(8, 4.3)
    for number, (name, colour) in enumerate((("before", ORANGE), ("after", BLUE))):
        row = report[name]["micro"]
        axes = figure.add_subplot(1, 2, number + 1, xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="score")
        axes.set_ylabel("share of spans that are right" if number == 0 else "")
        axes.set_title(f"{name} calibration: ECE {row['ece']:.3f}", fontsize=10)
        axes.plot([0, 1], [0, 1], "--", color=GREY, lw=1)
        sizes = [20 + 300 * part["spans"] / row["spans"] for part in row["bins"]]
        points = [part["score"] for part in row["bins"]], [part["right"] for part in row["bins"]]
        axes.plot(*points, color=colour, lw=1)
        axes.scatter(*points, s=sizes, color=colour, alpha=0.7, label="area: number of spans")
        axes.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def draw_thresholds(report: dict[str, Any], font: str | None) -> Figure:
    """What every least score would give."""
    figure = _figure(6, 4)
    axes = figure.add_subplot(xlabel="least score (--min-score)", ylabel="strict, micro")
    rows = report["thresholds"]
    at = [row["min_score"] for row in rows]
    for key, colour, style in (("precision", BLUE, "-"), ("recall", ORANGE, "--"), ("f1", GREEN, "-.")):
        axes.plot(at, [row[key] for row in rows], style, color=colour, label="F1" if key == "f1" else key)
    axes.grid(color="#dddddd")
    axes.legend(frameon=False)
    return figure


def draw(report: dict[str, Any]) -> Iterator[tuple[str, Figure]]:
    """(file name, figure) of everything that a report holds. Raises `ValueError` where it is of neither kind."""
    font = chinese_font()
    for name, result in report.get("sets", {}).items():
        short = name.replace("/", "-").partition(".")[0]
        if "spans" in result:
            yield f"{short}-f1.png", draw_f1(result, font)
            yield f"{short}-confusion.png", draw_confusion(result, font)
        elif "thresholds" in result:
            yield f"{short}-reliability.png", draw_reliability(result, font)
            yield f"{short}-thresholds.png", draw_thresholds(result, font)
        else:
            raise ValueError(f"{name}: is neither a report of training.evaluate nor one of training.calibrate")
    if not report.get("sets"):
        raise ValueError("holds no sets: give a report of training.evaluate or training.calibrate")


def save(report: dict[str, Any], folder: Path) -> None:
    """Draw a report into a folder, which is made. Raises `ValueError` as `draw`, and OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in draw(report):
        figure.savefig(folder / name, dpi=110)
        print(folder / name)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT.json")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args(arguments)
    if chinese_font() is None:
        print(
            "no font with Chinese glyphs is installed (such as Noto Sans CJK): labels are not named in Chinese",
            file=sys.stderr,
        )
    status = 0
    for path in options.reports:
        try:
            save(json.loads(path.read_text(encoding="utf-8")), options.output)
        except (OSError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            status = 2
    return status


if __name__ == "__main__":
    raise SystemExit(main())
