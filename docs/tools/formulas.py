"""LaTeX to MathML that looks the same in Chromium, Firefox and Safari.

latex2mathml writes MathML 3; browsers draw MathML Core, which drops most of ``mathvariant`` and takes the space
around an operator from its form. This file mends what differs: names of functions, limits, fences, upright and
bold letters.
"""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

from latex2mathml.converter import convert

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
LIMITS = {"max", "min", "argmax", "argmin", "sup", "inf", "lim"}
ANGLES = {"⟨": "prefix", "⟩": "postfix"}
GREEK_CAPITALS = "ΓΔΘΛΞΠΣΦΨΩ"  # upright, as TeX sets them
WORD = "word"  # the class of names such as max and reg
THIN_SPACE = "0.167em"  # TeX's thin space, 3/18 em
BOLD_CAPITAL, BOLD_SMALL, BOLD_DIGIT, DOUBLE_STRUCK_DIGIT = 0x1D400, 0x1D41A, 0x1D7CE, 0x1D7D8
ROMAN_MARK = "\u2060"  # says which text was a roman name; it is taken out again
ROMAN = re.compile(r"\\(?:mathrm|operatorname)\{([A-Za-z]+)\}")


def mathml(latex: str, *, block: bool) -> str:
    """Return a formula as MathML Core.

    Args:
        latex: The formula without its delimiters.
        block: Whether it stands on a line of its own.
    """
    source = ROMAN.sub(rf"\\text{{{ROMAN_MARK}\1}}", latex)
    tree = ET.fromstring(convert(source, display="block" if block else "inline"))
    for node in tree.iter():
        node.tag = node.tag.split("}")[-1]
    for node in list(tree.iter()):
        _name(node)
        _fence(node)
        _letter(node)
    _norms(tree)
    _limits(tree, block)
    _spaces(tree)
    tree.set("xmlns", NAMESPACE)
    return ET.tostring(tree, encoding="unicode")


def _name(node: ET.Element) -> None:
    """Names are text: as operators Chromium spaces them on both sides, as identifiers Firefox does on one."""
    text = node.text or ""
    if node.tag == "mtext" and text.startswith(ROMAN_MARK):
        node.text = text[1:]
        if len(text) > 2:
            node.set("class", WORD)
    elif node.tag in ("mo", "mi") and text.isalpha() and len(text) > 1:
        node.tag = "mtext"
        node.set("class", WORD)
    elif text == "∂" or (len(text) == 1 and text in GREEK_CAPITALS):
        node.tag = "mi"
        node.set("mathvariant", "normal")


def _fence(node: ET.Element) -> None:
    """Brackets say which side they stand on; a slash stands close to both."""
    text = node.text or ""
    if text in ANGLES:
        node.tag = "mo"
        node.attrib.update(stretchy="false", form=ANGLES[text])
    elif node.tag == "mo" and text in ("(", ")") and "minsize" in node.attrib:
        node.attrib.update(stretchy="true", form="prefix" if text == "(" else "postfix")
    elif node.tag == "mo" and text == "/":
        node.attrib.update(lspace="0", rspace="0")


def _letter(node: ET.Element) -> None:
    """Bold and double-struck letters have code points of their own; browsers know no other way."""
    variant = node.get("mathvariant")
    if variant in ("bold", "double-struck"):
        node.text = "".join(_styled(character, variant) for character in node.text or "")
        del node.attrib["mathvariant"]


def _styled(character: str, variant: str) -> str:
    digit = BOLD_DIGIT if variant == "bold" else DOUBLE_STRUCK_DIGIT
    if character.isdigit():
        return chr(digit + int(character))
    if variant != "bold" or not (character.isascii() and character.isalpha()):
        return character
    start, first = (BOLD_CAPITAL, "A") if character.isupper() else (BOLD_SMALL, "a")
    return chr(start + ord(character) - ord(first))


def _norms(tree: ET.Element) -> None:
    """The bars of a norm come in pairs: an opening one hugs what follows, a closing one what precedes."""
    opened = False
    for node in tree.iter("mo"):
        if node.text == "‖":
            node.attrib.update(
                stretchy="false", form="postfix" if opened else "prefix", lspace="0", rspace="0"
            )
            opened = not opened


def _limits(tree: ET.Element, block: bool) -> None:
    """On a line of its own, what stands under max and min goes below them, as it does for sums."""
    for node in tree.iter("msub"):
        if block and node[0].get("class") == WORD and node[0].text in LIMITS:
            node.tag = "munder"


def _spaces(tree: ET.Element) -> None:
    """A thin space parts a word from what it is applied to, and a factor from the word; brackets need none."""
    for parent in list(tree.iter("mrow")):
        for place, (child, follower) in reversed(list(enumerate(itertools.pairwise(list(parent))))):
            bracket = follower.tag == "mo" and follower.get("form") != "prefix"
            after = _is_word(child) and not bracket
            before = _is_word(follower) and child.tag not in ("mo", "mn")
            if (after or before) and "mspace" not in (child.tag, follower.tag):
                parent.insert(place + 1, ET.Element("mspace", width=THIN_SPACE))


def _is_word(node: ET.Element) -> bool:
    """Return whether a node is a word of letters, with or without scripts."""
    while node.tag in ("msub", "munder", "msup") or (node.tag == "mrow" and len(node) == 1):
        node = node[0]
    return node.get("class") == WORD
