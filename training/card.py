"""Write the numbers of the model card, the READMEs and the site from the committed results, so that nobody types them.

    python -m training.card            # rewrites what stands between the markers
    python -m training.card --check    # status 1 where a file differs from its results

A block begins with ``<!-- results: NAME -->`` and ends with ``<!-- end -->`` (in the card's YAML head: ``# results: NAME``
and ``# end``). `BLOCKS` says what each is made of: the reports that `training.evaluate` and `scripts/benchmark.py` wrote.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from renshi.labels import LABELS
from renshi.model import PACKAGED_MODEL
from renshi.onnx_model import ONNX_FILES

__all__ = ["BLOCKS", "onnx", "render"]

ROOT = Path(__file__).parents[1]
CARD = ROOT / "model_card.md"
FILES = (CARD, ROOT / "README.md", ROOT / "README.zh.md", ROOT / "docs/performance.md", ROOT / "training/README.md")
SETS: dict[str, str] = {
    "real/dev": "real news, dev",
    "annotations/test": "real news drawn at random, test",
    "original/test": "invented news of this repository, test",
    "measure/test": "invented news in other hands, test",
    "cluener/dev.json": "CLUENER2020 dev, its persons, organizations, titles",
    "resume/test.char.bmes": "ResumeNER test, its persons, organizations, titles",
    "msra/test.bio": "MSRA test, its persons and organizations",
}
SETS_ZH: dict[str, str] = {
    "real/dev": "真实新闻，开发集",
    "annotations/test": "随机抽取的真实新闻，测试集",
    "original/test": "本仓库自编新闻，测试集",
    "measure/test": "他人自编新闻，测试集",
    "cluener/dev.json": "CLUENER2020 开发集（人物、机构、职务）",
    "resume/test.char.bmes": "ResumeNER 测试集（人物、机构、职务）",
    "msra/test.bio": "MSRA 测试集（人物、机构）",
}

LIBRARIES = ("torch", "transformers", "onnxruntime", "openvino")

_BLOCK = re.compile(
    r"(?P<open><!--|#) results: (?P<name>[\w-]+)(?P<close> -->)?\n.*?(?=(?:<!-- end -->|# end\n))", re.DOTALL
)

Results = dict[str, Any]


def load(name: str) -> Results:
    return json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))


def _score(row: Results) -> str:
    interval = f" ({row['f1_low']:.3f}–{row['f1_high']:.3f})" if "f1_low" in row else ""
    return f"{row['f1']:.3f}{interval}"


def _row(name: str, cells: Iterable[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _study(name: str) -> Results:
    """The reports of a study, by their sets."""
    return {key: report for key, report in load(name).items() if key != "model"}


def summary(
    names: dict[str, str] = SETS, head: str = "micro F1 (95 %) | PER | TITLE | ORG | EVENT | roles from text"
) -> str:
    """The main scores, a row for each set."""
    rows = [f"| | {head} |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for name, report in _sets():
        spans, roles = report["spans"], report.get("roles", {})
        parts = [f"{spans[label]['f1']:.3f}" if label in spans else "" for label in ("PER", "TITLE", "ORG", "EVENT")]
        role = f"{roles['from text']['f1']:.3f}" if roles else ""
        rows.append(_row(names[name], [_score(spans["micro"]), *parts, role]))
    return "\n".join(rows)


def summary_zh() -> str:
    """`summary` in Chinese."""
    return summary(SETS_ZH, "微平均 F1（95 % 区间） | 人物 | 职务 | 机构 | 事件 | 任职关系（从原文预测）")


def _sets() -> list[tuple[str, Results]]:
    sets = load("default")["sets"]
    return [(name, sets[name]) for name in SETS if name in sets]


def labels() -> str:
    """Every label on the sets that have all of them."""
    names = [name for name, report in _sets() if "event_types" in report]
    head = "".join(f" {SETS[name]}: precision | recall | F1 (95 %) | gold |" for name in names)
    rows = [f"| label |{head}", "| --- |" + " ---: | ---: | --- | ---: |" * len(names)]
    reports = dict(_sets())
    for label in reports[names[0]]["spans"]:
        cells = []
        for name in names:
            row = reports[name]["spans"][label]
            cells.append(f" {row['precision']:.3f} | {row['recall']:.3f} | {_score(row)} | {row['support']} |")
        rows.append(f"| {label} |{''.join(cells)}")
    return "\n".join(rows)


def roles() -> str:
    """Roles and document event types."""
    rows = ["| | " + " | ".join(SETS[name] for name, r in _sets() if "roles" in r) + " |"]
    reports = [report for _, report in _sets() if "roles" in report]
    rows.append("| --- |" + " --- |" * len(reports))
    for key in ("from text", "from text, person and title", "from gold entities"):
        rows.append(_row(f"roles {key}", (_score(report["roles"][key]) for report in reports)))
    types = [report["event_types"] for report in reports]
    rows.append(_row("event types of the document", (f"{found['set']['f1']:.3f}" for found in types)))
    rows.append(_row("most salient type is the same", (f"{found['first']['accuracy']:.3f}" for found in types)))
    return "\n".join(rows)


def slices() -> str:
    """Micro F1 on parts of the data."""
    reports = [(SETS[name], report["slices"]) for name, report in _sets() if "event_types" in report]
    rows = [_row("slice", (f"{name}: F1 | gold spans" for name, _ in reports))]
    rows.append("| --- |" + " ---: | ---: |" * len(reports))
    for key in dict.fromkeys(key for _, table in reports for key in table):
        cells = (f"{t[key]['f1']:.3f} | {t[key]['support']}" if key in t else " | " for _, t in reports)
        rows.append(_row(key, cells))
    return "\n".join(rows)


def index() -> str:
    """The `results` of the Hub's model-index (YAML): each set's micro scores, and the F1 of each of its labels."""
    lines = []
    for name, report in _sets():
        lines += ["      - task: {type: token-classification, name: Named Entity Recognition}"]
        lines += [f'        dataset: {{type: {name.split("/")[0]}, name: "{SETS[name]}"}}', "        metrics:"]
        for key in ("precision", "recall", "f1"):
            lines.append(
                f"          - {{type: {key}, value: {report['spans']['micro'][key]}, name: strict micro {key}}}"
            )
        for label in filter(report["spans"].__contains__, LABELS):
            lines.append(f"          - {{type: f1, value: {report['spans'][label]['f1']}, name: strict F1 of {label}}}")
    return "\n".join(lines)


def speed() -> str:
    """renshi and other engines on mixed documents, side by side."""
    report = load("benchmark")
    parts = []
    for size, title in (("default", "The model in the package"), ("base", "A random 12×768")):
        kind = report["sizes"][size]["mixed"]
        rows = [
            f"{title}, {kind['documents']} documents of {kind['characters']:,} characters:\n",
            "| engine | characters/s | CPU seconds | in the network | padding | of the ceiling | spans that differ |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for name, row in kind["engines"].items():
            top = f"{row['share_of_ceiling']:.0%}" if row["share_of_ceiling"] else "–"
            rows.append(
                f"| {name} | {row['characters_per_second']:,} | {row['cpu_seconds']:.1f} | {row['share_in_network']:.0%} | "
                f"{row['padding']:.1%} | {top} | {row['spans_that_differ']} of {row['spans']} |"
            )
        ratios = (f"**{ratio:.2f}** ({precisions})" for precisions, ratio in kind["ratios"].items())
        tops = ", ".join(f"{value:g} GFLOP/s in {dtype}" for dtype, value in kind["ceiling_gigaflops"].items())
        parts.append("\n".join(rows) + f"\n\nrenshi to the best pipeline: {', '.join(ratios)}. Ceiling: {tops}.")
    rows = ["| renshi to the best pipeline |" + "".join(f" {precisions} |" for precisions in kind["ratios"])]
    rows.append("| --- |" + " ---: |" * len(kind["ratios"]))
    for size, title in (("default", "The model in the package"), ("base", "12×768")):
        for name, kind in report["sizes"][size].items():
            cells = "".join(f" {ratio:.2f} |" for ratio in kind["ratios"].values())
            length = kind["characters"] / kind["documents"]
            rows.append(f"| {title}, {name} documents (of {length:,.0f} characters) |{cells}")
    parts.append("\n".join(rows))
    costs = report["microseconds_per_character"]
    rows = ["| renshi, microseconds a character | |", "| --- | --- |"]
    for name, title in (
        ("by_length", "documents of so many characters"),
        ("by_number_of_200", "so many of 200 characters"),
    ):
        rows.append(f"| {title} | {', '.join(f'{int(number):,}: {cost:g}' for number, cost in costs[name].items())} |")
    parts.append("\n".join(rows))
    if peaks := report.get("peak_megabytes"):
        parts.append(
            "Peak memory on the mixed documents: " + ", ".join(f"{name} {mb:,} MB" for name, mb in peaks.items()) + "."
        )
    about = report["conditions"]
    libraries = ", ".join(f"{name} {about[name]}" for name in LIBRARIES if name in about)
    parts.append(
        f"{about['processor']} ({about['instructions']}), {about['threads']} threads, median of {report['repetitions']}; "
        f"{libraries}."
    )
    return "\n\n".join(parts)


def stages() -> str:
    """Where the seconds go."""
    report = load("stages")
    rows = ["| stage | share |", "| --- | ---: |"]
    rows += [f"| {stage} | {share:.1%} |" for stage, share in report["shares"].items()]
    rate = report["characters"] / report["seconds"]
    about = report["conditions"]
    return "\n".join(
        [
            *rows,
            "",
            f"{rate:,.0f} characters a second, {about['dtype']}, {about['threads']} threads, {about['processor']}.",
        ]
    )


def onnx(report: Results | None = None) -> str:
    """What the ONNX files lose: the report of `training.export`, or of the packaged model's."""
    report = report or load("onnx")
    names = list(next(iter(report["files"].values()))["sets"])
    head = "".join(f" {SETS.get(name, name)}: F1 | documents that differ |" for name in names)
    rows = [f"| file | MB | largest logit difference |{head}", "| --- | ---: | ---: |" + " ---: | ---: |" * len(names)]
    for dtype, file in report["files"].items():
        cells = f" {ONNX_FILES[dtype]} | {file['bytes'] / 1e6:.1f} | {file['logits']['largest_difference']:g} |"
        for row in file["sets"].values():
            cells += f" {row['f1']:.4f} ({row['f1'] - row['f1_torch']:+.4f}) |"
            cells += f" {row['documents_that_differ']} of {row['documents']} |"
        rows.append(f"|{cells}")
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return "\n".join([*rows, "", f"Beside torch in float32, on a CPU; {versions}."])


def calibration() -> str:
    """ECE and log loss before and after, for each set and group."""
    report = load("calibration")
    rows = ["| | spans | ECE before | after | log loss before | after |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, result in report["sets"].items():
        for group, after in result["after"].items():
            before = result["before"][group]
            cells = f"{before['ece']:.3f} | {after['ece']:.3f} | {before['log_loss']:.3f} | {after['log_loss']:.3f}"
            rows.append(f"| {SETS.get(name, name)}, {group} | {after['spans']:,} | {cells} |")
    fitted = report["calibration"]
    found = f"Temperature {fitted['temperature']:g}, least score {fitted['min_score']:g}."
    return "\n".join([*rows, "", found])


def reading() -> str:
    """What is known of a page beside the network, one part at a time left out."""
    sets = _study("reading")
    reports = list(sets.values())
    rows = [f"| | {' | '.join(f'`{name}`' for name in sets)} |", "| --- |" + " ---: |" * len(sets)]
    rows.append(_row("the network alone", (f"{report['none']['f1']:.4f}" for report in reports)))
    # "line_feeds" is left out: the model in the package has a token for them and is not told.
    parts = (
        ("without", "single_characters", "single characters"),
        ("without", "marks", "pairs of marks"),
        ("without", "columns", "ends of columns"),
        ("without", "repeats", "names elsewhere"),
        ("text", "rosters", "rosters"),
        ("text", "broken_lines", "broken lines"),
    )
    for table, part, name in parts:
        found = [report[table][part] for report in reports]
        cells = (f"{row['f1']:.4f} ({row['p']:.3f})" for row in found)
        rows.append(_row(f'without {name} (p of "better with it")', cells))
    for size in reports[0]["windows"]:
        rows.append(_row(f"windows of {size} tokens", (f"{report['windows'][size]:.4f}" for report in reports)))
    rows.append(_row("all", (f"**{report['all']:.4f}**" for report in reports)))
    rows.append(_row("names elsewhere: spans added", (str(report["added_by_repeats"]) for report in reports)))
    shares = (f"{report['of_these_right']:.2f}, {report['their_mean_score']:.2f}" for report in reports)
    rows.append(_row("of these right, and by their scores", shares))
    return "\n".join(rows)


def robustness() -> str:
    """The same pages clean, Traditional and damaged: F1, and the difference to that of the clean ones."""
    sets = _study("robustness")
    sets = {name: report for name, report in sets.items() if report["documents"]}  # of some no page is clean
    reports = list(sets.values())
    rows = [_row("the same pages", (f"`{name}`, {report['documents']} pages" for name, report in sets.items()))]
    rows.append("| --- |" + " --- |" * len(sets))
    rows.append(_row("clean", (f"{report['clean']:.3f}" for report in reports)))
    for kind in (key for key in reports[0] if key not in ("documents", "clean")):
        found = [report[kind] for report in reports]
        cells = (
            f"{row['f1']:.3f}, {_points(row['lost'])} ({_points(row['high'])} to {_points(row['low'])})"
            for row in found
        )
        rows.append(_row(kind, cells))
    return "\n".join(rows)


def _points(lost: float) -> str:
    """What is lost, as a change in points."""
    return f"{-100 * lost:+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0")


def ablations(study: str) -> str:
    """The variants of a study by `training.ablations`, the base first, then the best."""
    report = load(study)
    rows = ["| variant | micro F1, mean ± sd | seeds | to the base | p |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, row in sorted(report["variants"].items(), key=lambda item: (item[0] != "base", -item[1]["micro_f1"])):
        score = f"{row['micro_f1']:.4f}" + (f" ± {row['sd']:.4f}" if row["sd"] is not None else "")
        against = f"{row['difference']:+.4f} | {row['p']:.3f}" if "difference" in row else " | "
        rows.append(f"| {name} | {score} | {row['seeds']} | {against} |")
    return "\n".join(rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "summary": summary, "summary-zh": summary_zh, "labels": labels, "roles": roles, "slices": slices, "index": index,
    "speed": speed, "stages": stages, "onnx": onnx, "calibration": calibration,
    "ablations": partial(ablations, "ablations"), "continued": partial(ablations, "continued"),
    "reading": reading, "robustness": robustness,
}  # fmt: skip


def render(text: str, blocks: dict[str, Callable[[], str]] = BLOCKS) -> str:
    """The text with every one of the blocks made anew."""

    def made(match: re.Match[str]) -> str:
        head = f"{match['open']} results: {match['name']}{match['close'] or ''}\n"
        return f"{head}{blocks[match['name']]()}\n" if match["name"] in blocks else match[0]

    return _BLOCK.sub(made, text)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 where something would change")
    check = parser.parse_args(arguments).check
    stale = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if render(text) != text:
            stale.append(path.name)
            if not check:
                path.write_text(render(text), encoding="utf-8")
    if not check:
        shutil.copyfile(CARD, PACKAGED_MODEL / "README.md")  # the model folder bears its card
    if check and stale:
        print(f"{', '.join(stale)}: differs from results/; run python -m training.card", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
