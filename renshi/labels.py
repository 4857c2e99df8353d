"""What the model looks for: the labels of the annotation guidelines, their names, and the BIO tags made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["EVENT_TYPES", "LABELS", "LABEL_NAMES", "TAGS", "EventTypeInfo", "bio_tags", "event_type", "label_of"]


@dataclass(frozen=True, slots=True)
class EventTypeInfo:
    """One of the twelve event types: its name in Chinese and in English, and words that stand for it."""

    chinese: str
    english: str
    examples: tuple[str, ...]


EVENT_TYPES: dict[str, EventTypeInfo] = {
    "FOUNDING": EventTypeInfo("成立", "founding", ("成立大会", "成立仪式", "组建")),
    "UNVEILING": EventTypeInfo("揭牌授牌", "plaque unveiled or awarded", ("揭牌仪式", "授牌仪式", "挂牌", "落户")),
    "ELECTION": EventTypeInfo("换届任命", "election or appointment", ("换届大会", "当选", "颁发聘书", "任命")),
    "MEETING": EventTypeInfo("会议", "meeting", ("工作会议", "座谈会", "推进会", "大会")),
    "FORUM": EventTypeInfo("学术论坛", "scholarly gathering", ("论坛", "研讨会", "学术年会", "高峰会")),
    "TRAINING": EventTypeInfo("培训", "training", ("培训班", "讲座", "进修班", "演练")),
    "LAUNCH": EventTypeInfo("启动", "launch or opening", ("启动仪式", "开幕式", "开工", "上线")),
    "SIGNING": EventTypeInfo("签约合作", "agreement signed", ("签约仪式", "签署", "战略合作签约")),
    "AWARD": EventTypeInfo("表彰获奖", "honour or prize", ("表彰大会", "颁奖典礼", "荣获")),
    "OUTREACH": EventTypeInfo("义诊公益", "service to the public", ("义诊", "健康咨询活动", "捐赠", "慰问")),
    "VISIT": EventTypeInfo("调研来访", "visit or inspection", ("调研", "考察", "来访", "会见")),
    "CONTEST": EventTypeInfo("竞赛", "competition", ("技能竞赛", "大赛", "演讲比赛")),
}

LABELS: tuple[str, ...] = ("PER", "TITLE", "ORG", *(f"EVENT.{name}" for name in EVENT_TYPES))

LABEL_NAMES: dict[str, str] = {"PER": "人物", "TITLE": "职务", "ORG": "机构"} | {
    f"EVENT.{name}": info.chinese for name, info in EVENT_TYPES.items()
}
"""Chinese display names."""


def bio_tags(labels: Sequence[str]) -> tuple[str, ...]:
    """``O``, then B and I of each label: the order that the decoder's arithmetic and the aligner's bit masks rest on."""
    return ("O", *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


TAGS: tuple[str, ...] = bio_tags(LABELS)
"""The model's classes in order: ``O``, then B and I of each label; an artifact whose ``id2label`` differs is refused."""


def event_type(label: str) -> str | None:
    """``FOUNDING`` for ``EVENT.FOUNDING``; None for the other labels."""
    head, _, tail = label.partition(".")
    return tail if head == "EVENT" else None


def label_of(tag: str) -> str | None:
    """``PER`` for ``B-PER`` and ``I-PER``; None for ``O``."""
    return None if tag == "O" else tag[2:]
