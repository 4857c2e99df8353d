"""Bytes to text where nobody said in which encoding: UTF-8, else a byte order mark, else a decision that is sure, else none.

Chinese files that are no UTF-8 are GB18030 (with GBK and GB2312 in it), Big5 (with Hong Kong's additions) or UTF-16. Nearly
any bytes of the one are characters of the other, only rare ones: 会长 is 頗酗 in Big5. So each is read, and the readings are
weighed by how many of their characters are among the most common ones. Only a reading that is far likelier than every
other and than chance is taken; what a wrong guess would cost is a page of nonsense that looks like a result.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter

__all__ = ["AUTO", "CANDIDATES", "EncodingError", "decode_text", "detect", "detect_beginning"]

AUTO = "auto"
"""The name of an encoding that is to be found out."""

CANDIDATES = ("gb18030", "big5hkscs", "utf-16-le", "utf-16-be")
"""What a text that is no UTF-8 may be, under Python's names: each holds all that older ones of its kind do."""

_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    ("\ufeff".encode("gb18030"), "gb18030"),
)

# The 500 most common characters of mainland news and of Taiwan's presidential office each (counted over six megabytes), with
# the marks among them: four of five characters of any text in Chinese, and one of ten of a wrong reading.
_COMMON = frozenset(
    "一七万三上下不与专且世业东两严並个中为主举义之九也习乡书了事二于互五亚些亞交产京人亿今从他代令以们件价任企伊众优"
    "会传但位住体何作使來供係促俄保信修個們值做健備傳僑元充先光克党入內全兩八公六共关其具典内再军农决况准几出击分切列"
    "创別利别到制則前副創劃力办功加务动助努势動務勞勢包化北区医區十千升午华协協南卫历原去县参參及友双反发取受变叙口只"
    "可台史号司各合同名后向吳告员周命和品員商問善嚴四回因团国國團土在地场均坚型城域基堅報場境增士处备复外多大天太夫央"
    "头奥奮女好如始委婦子存学學安完官定宝实客宣家容富實对导将將專尊對導小少尔尤就局层居屆届展山岛岸州工已巴市布希带師"
    "席常干平年并幾广应府度康廣建开式引张張強强当形影往待很後得從復德心必志快念性总息情想意愛感愿態憲應成我或战戰房所"
    "手才打技把投护报拉持指据接推提揮播支收改放政效救教敬数整文断斯新方於施族无日时明易春是显時晚更書曾最會月有服望期"
    "未本术机权李村条来東极构林果查标校样格案條業極榮樂標機權次欧歡正此步武歷段每比民气氣水求江決沒没河治法洲活流济海"
    "消深温游源滿演濟灣火灾点為無然營爭物特獎獲獻率环现現理環生產用由电界略畫當病登發百的益监目直相省看真眾着知研确確"
    "礎示社祝神福禮种科秘积程種稳積究空突立競第等策管節米精系紀組結給統經維總繁繼續约级纪线组织经结给络统继续维网罗美"
    "群義老考者而联聯職肯育胞能臨自至致臺與興舉航良色节華萬落著蔣藉處行術表被装西要見規視親觀见观规视解言計討訪設許詞"
    "話該認誠說調談請論謝識警議護變计认让议记讲论设访话说调象貢責貴貿賀資賓質责质贸费资赛走起超越路身軍輝轉车转辦農边"
    "达过迎运近还这进连选這通速造進運過道達遠選邀還部都醫里重量金铁長长開間關门问间闻队防阿际降院除陪陳陸際障难雄集雖"
    "雙難電需青非面革響項須領題願顧项预领题风首馬驗马體高點黨"
    "、。，：；？！“”‘’「」『』（）《》〈〉【】…—·０１２３４５６７８９"
)
_FOR, _AGAINST, _STRANGE = 1.6, 1.4, 6.0  # log odds: ln(0.8 / 0.16), ln(0.84 / 0.2), and of what no text holds
_STRANGE_CHARACTER = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufffd]")
_SURE = 8.0
"""How much likelier the reading must be than chance, and than every other, in the same measure: six common characters."""
_SAMPLE = 20_000  # bytes that are weighed


class EncodingError(ValueError):
    """Bytes that are not in the encoding, or in none that is sure; the message says where and what to do, without the
    file's name."""


def decode_text(data: bytes, encoding: str = AUTO, advice: str = "") -> str:
    """The text of a file's bytes, without a byte order mark.

    Args:
        encoding: Any that Python knows, or `AUTO`.
        advice: What to do where it is another one; by default to name it.

    Raises:
        EncodingError: It is another one, or which one is not sure.
        LookupError: Python knows no such encoding.
    """
    if encoding.lower() == AUTO:
        return _decode_found(data)
    utf8 = codecs.lookup(encoding).name == "utf-8"
    skipped = len(codecs.BOM_UTF8) if utf8 and data.startswith(codecs.BOM_UTF8) else 0
    if not advice and utf8:
        advice = "save the file as UTF-8, or name its encoding, such as --encoding gb18030"
    return _decode(data, encoding, skipped, advice or "name the encoding that it is in, such as --encoding utf-8")


def _decode(data: bytes, encoding: str, skipped: int, advice: str) -> str:
    try:
        return data[skipped:].decode(encoding)
    except UnicodeDecodeError as error:
        position = error.start + skipped
        raise EncodingError(f"byte {position} (0x{data[position]:02x}) is not valid {encoding}; {advice}") from error


def _decode_found(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decode(data, encoding, len(mark), "as its first bytes say; save the file as UTF-8")
    if sure := detect(data):
        return data.decode(sure)
    position = _first_invalid(data, "utf-8")
    readings = {name: text for name in CANDIDATES if (text := _reading(data, name)) is not None}
    likely = sorted(readings, key=lambda name: -_weight(readings[name]))[:2]
    invalid = f"byte {position} (0x{data[position]:02x}) is not valid utf-8"
    if not likely or _weight(readings[likely[0]]) < -_SURE:
        raise EncodingError(f"{invalid}, and no text in {', '.join(CANDIDATES)} either; is it a text? Save it as UTF-8")
    shown = ", ".join(f"{name} it begins {_beginning(readings[name])!r}" for name in likely)
    raise EncodingError(
        f"{invalid}, and no other encoding is sure (in {shown}); name it, such as --encoding {likely[0]}"
    )


def detect(data: bytes) -> str | None:
    """The encoding of `data` where it is sure, else None; byte order marks are not looked at."""
    if _first_invalid(data, "utf-8") < 0:
        return _utf16_all_the_same(data) or "utf-8"
    weights = {name: _weight(text) for name in CANDIDATES if (text := _reading(data, name)) is not None}
    if not weights:
        return None
    best = max(weights, key=lambda name: weights[name])
    second = max((weight for name, weight in weights.items() if name != best), default=0.0)
    sure = weights[best] >= _SURE and weights[best] - second >= _SURE
    return best if sure and _first_invalid(data, best) < 0 else None


def detect_beginning(data: bytes) -> str:
    """The encoding, under a name by which Python passes over a byte order mark, of a file of lines that begins with `data`
    and is read in a stream; UTF-8 where none is sure."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return "utf-8-sig" if encoding == "utf-8" else encoding.removesuffix("-le").removesuffix("-be")
    lines = data[: data.rfind(b"\n") + 1] or data  # a character may be cut at the end
    return detect(lines) or "utf-8"


def _utf16_all_the_same(data: bytes) -> str | None:
    """UTF-16 where valid UTF-8 is that: Latin letters with a NUL beside each, ideographs of two ASCII bytes."""
    text = _reading(data, "utf-8") or ""
    if not _STRANGE_CHARACTER.search(text):
        return None
    # The letter N, read from its other end, is 一: here letters count for more than ideographs do.
    weights = {
        name: _weight(read) + 2 * sum(map(str.isascii, read))
        for name in CANDIDATES[2:]
        if (read := _reading(data, name)) is not None
    }
    best = max(weights, key=lambda name: weights[name], default=None)
    sure = best and weights[best] >= max(0.0, _weight(text) + 2 * _SURE) and _first_invalid(data, best) < 0
    return best if sure else None


def _first_invalid(data: bytes, encoding: str) -> int:
    """Where `data` is not in the encoding; −1 where all of it is."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start
    return -1


def _reading(data: bytes, encoding: str) -> str | None:
    """The beginning of `data` in the encoding, or None where it is not in it."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data[:_SAMPLE], final=len(data) <= _SAMPLE)
    except UnicodeDecodeError:
        return None


def _weight(text: str) -> float:
    """How much likelier `text` is Chinese than chance, as the logarithm of the odds."""
    weight = 0.0
    for char, number in Counter(text).items():
        if char in _COMMON:
            weight += _FOR * number
        elif _STRANGE_CHARACTER.match(char) or unicodedata.category(char) in ("Co", "Cn", "Cs"):
            weight -= _STRANGE * number
        elif char > "\x7f":
            weight -= _AGAINST * number
    return weight


def _beginning(text: str) -> str:
    return "".join(char for char in text if char > "\x7f")[:8]
