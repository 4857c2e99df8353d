"""`labelstudio`: the JSON tasks that Label Studio imports and exports, with relations.

Gold becomes an annotation; what a model read becomes a prediction, which Label Studio shows as a pre-annotation that
somebody corrects and submits. Reading, an annotation that was submitted is taken before a prediction.

Offsets are Unicode code points, half-open, so Python's own, and a CR LF counts as two. Label Studio's editor turns the
browser's UTF-16 positions into them before it stores a span (``web/libs/editor/src/utils/selection-tools.js``: "Fix Range
start/end offsets to code points count instead of chars count"; pull request HumanSignal/label-studio#1559: "Store code
points instead of js length"), and its documentation of the Text tag says: "The Label Studio editor counts `\\r\\n` as two
different symbols … open files in Python with `newline=''` … This is especially important when you are doing span NER
labeling and need to get the correct offsets: `text[start_offset:end_offset]`". Versions before that change (2021) stored
UTF-16 units: a span whose own text stands where UTF-16 units point to, and not where code points do, is read so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from renshi.interchange.base import InterchangeError, Report, Span, assemble, holds
from renshi.interchange.lines import parse_json, read_text
from renshi.interchange.relations import RELATIONS, Relation, to_relations
from renshi.labels import LABEL_NAMES
from renshi.records import Failure, Record
from renshi.writers import Writer

__all__ = ["LabelStudioWriter", "fit", "label_config", "read"]

fit = holds("overlaps", "roles", "scores", "model", surrogates=True)


def label_config(numbers: int = 3) -> str:
    """The labeling interface to paste into a project's settings; relations for `numbers` organizations a title."""
    colours = {"PER": "#56b4e9", "TITLE": "#e69f00", "ORG": "#009e73"}  # Okabe and Ito, as the HTML output
    labels = [
        f'    <Label value="{label}" hint="{name}" background="{colours.get(label, "#cc79a7")}"/>'
        for label, name in LABEL_NAMES.items()
    ]
    suffixes = ["", *(f"-{number}" for number in range(2, numbers + 1))]
    relations = [f'    <Relation value="{kind}{suffix}"/>' for suffix in suffixes for kind in RELATIONS]
    return "\n".join([
        "<View>", '  <Labels name="label" toName="text">', *labels, "  </Labels>",
        "  <Relations>", *relations, "  </Relations>",
        "  <Style>.htx-text{ white-space: pre-wrap; }</Style>",  # every space shown and kept
        '  <Text name="text" value="$text" granularity="symbol"/>', "</View>", "",
    ])  # fmt: skip


class LabelStudioWriter(Writer):
    """A JSON array, one task a line."""

    def begin(self) -> None:
        self._separator = "["

    def write(self, record: Record | Failure) -> None:
        if isinstance(record, Failure):
            return
        task = json.dumps(_task(record), ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8")
        self._stream.write(f"{self._separator}\n{task}")
        self._separator = ","

    def end(self) -> None:
        self._stream.write(f"{self._separator}\n]\n" if self._separator == "[" else "\n]\n")


def _task(record: Record) -> dict[str, Any]:
    result: list[dict[str, Any]] = [
        {
            "id": f"e{index}",
            "from_name": "label",
            "to_name": "text",
            "type": "labels",
            "value": {"start": entity.start, "end": entity.end, "text": entity.text, "labels": [entity.label]},
        }
        | ({} if entity.score == 1.0 else {"score": entity.score})
        for index, entity in enumerate(record.entities)
    ]
    result += [
        {
            "type": "relation",
            "from_id": f"e{relation.source}",
            "to_id": f"e{relation.target}",
            "direction": "right",
            "labels": [relation.type],
        }
        for relation in to_relations(record.roles)
    ]
    task: dict[str, Any] = {"data": {"id": record.id, "text": record.text}}
    if record.model:
        lowest = min((entity.score for entity in record.entities), default=1.0)  # the tool can sort by it
        task["predictions"] = [{"model_version": record.model, "score": lowest, "result": result}]
    else:
        task["annotations"] = [{"result": result}]
    return task


def read(path: Path, report: Report) -> Iterator[Record | Failure]:
    """The tasks of an export ("JSON", not "JSON-MIN"); a task that nobody annotated or predicted has no entities."""
    try:
        tasks = parse_json(read_text(path))
    except ValueError as error:
        if isinstance(error, InterchangeError):
            raise
        raise InterchangeError(f"{path}: is not JSON ({error}); export from Label Studio as JSON") from error
    if isinstance(tasks, dict):
        tasks = [tasks]
    if not isinstance(tasks, list):
        raise InterchangeError(f"{path}: is a JSON {type(tasks).__name__}; an export is an array of tasks")
    for number, task in enumerate(tasks, start=1):
        place = f"{path}: task {number}"
        try:
            yield _read_task(task, place, report)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            yield Failure(
                place,
                type(error).__name__,
                f'{place}: is no task ({what}); a task is {{"data": {{"text": …}}, "annotations": [{{"result": […]}}]}}',
            )


def _read_task(task: Mapping[str, Any], place: str, report: Report) -> Record | Failure:
    data = task["data"]
    text = data["text"]
    if not isinstance(text, str):
        raise TypeError(f"its text is a JSON {type(text).__name__}")
    id = str(data.get("id", task.get("id", place)))
    chosen, model = _choose(task, place, report)
    spans, relations = [], []
    for item in chosen:
        value = item.get("value", {})
        if item.get("type") == "relation":
            names = item.get("labels") or [""]
            relations += [Relation(str(name), item["from_id"], item["to_id"]) for name in names]
        elif str(item.get("type", "")).endswith("labels") and "start" in value and "end" in value:
            labels = value.get(item["type"]) or value.get("labels") or [""]
            start, end = _offsets(text, value)
            spans.append(Span(item.get("id"), start, end, str(labels[0]), float(item.get("score", 1.0))))
            if len(labels) > 1:
                report.add_wrong("labels of spans with several, of which the first is taken", place)
        else:
            report.add_wrong(f"results of type {item.get('type')!r}", place)
    return assemble(place, id, text, spans, relations, report, model)


def _choose(task: Mapping[str, Any], place: str, report: Report) -> tuple[Sequence[Mapping[str, Any]], str]:
    """The result to read, and the model that made it, if one did."""
    annotations = [a for a in task.get("annotations") or [] if not a.get("was_cancelled")]
    predictions = task.get("predictions") or []
    if annotations:
        best = max(annotations, key=lambda a: (bool(a.get("ground_truth")), str(a.get("updated_at") or "")))
        if len(annotations) > 1:
            report.add_lost(
                "annotations of tasks with several; the ground truth or the latest is taken",
                place,
                len(annotations) - 1,
            )
        return best["result"], ""
    if predictions and not task.get("annotations"):  # else somebody skipped the task
        return predictions[-1]["result"], str(predictions[-1].get("model_version") or "unknown")
    report.add_wrong("tasks without annotation; they are read as texts without entities", place)
    return [], ""


def _offsets(text: str, value: Mapping[str, Any]) -> tuple[int, int]:
    """Half-open code points. Raises `ValueError` where the span's own text stands in neither way."""
    start, end = int(value["start"]), int(value["end"])
    said = value.get("text")
    if not isinstance(said, str) or _same(said, text[start:end]):
        return start, end
    utf16 = text.encode("utf-16-le", "surrogatepass")
    head, inside = utf16[: 2 * start], utf16[2 * start : 2 * end]
    try:
        if _same(said, inside.decode("utf-16-le")):
            at = len(head.decode("utf-16-le"))
            return at, at + len(inside.decode("utf-16-le"))
    except UnicodeDecodeError:  # between two halves of a character
        pass
    raise ValueError(f"its span [{start}, {end}) says {said!r}, but {text[start:end]!r} stands there")


def _same(said: str, there: str) -> bool:
    r"""The editor writes a line end in a span's text as ``\n``, backslash and all, and browsers trim spaces."""
    return said == there or re.sub(r"\\n|\s", "", said) == re.sub(r"\\n|\s", "", there)
