"""Formulas become MathML that browsers draw alike: names, limits, fences, letters; and the font is there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "tools"))
from formulas import mathml  # noqa: E402


def drawn(latex: str, *, block: bool = True) -> str:
    """Return the MathML without its outer element."""
    return mathml(latex, block=block).split("<mrow>", 1)[1].removesuffix("</mrow></math>")


def test_limits_stand_below_max_and_sums_on_a_line_of_their_own_only() -> None:
    assert drawn(r"\max_j x").startswith('<munder><mtext class="word">max</mtext><mi>j</mi></munder><mspace')
    assert drawn(r"\max_j x", block=False).startswith("<msub>")
    assert "<munder><mo>∑</mo>" in drawn(r"\sum_{j \ne y} s_j")


def test_a_function_touches_its_bracket_and_keeps_off_a_letter() -> None:
    assert "mspace" not in drawn(r"\max(0, s)")
    assert '<mspace width="0.167em" /><mi>x</mi>' in drawn(r"\log x")
    assert '<mi>q</mi><mspace width="0.167em" /><mtext' in drawn(r"q \log x")


def test_roman_names_are_one_upright_word() -> None:
    assert '<mtext class="word">reg</mtext>' in drawn(r"\mathrm{reg} W")
    assert "<mtext>d</mtext><mi>W</mi>" in drawn(r"\mathrm{d}W").replace("<mrow>", "").replace("</mrow>", "")


def test_the_bars_of_a_norm_open_and_close() -> None:
    forms = re.findall(r'form="(\w+)"[^>]*>‖', drawn(r"a \lVert W \rVert^2 + \lVert V \rVert"))
    assert forms == ["prefix", "postfix", "prefix", "postfix"]


def test_bold_letters_have_code_points_of_their_own() -> None:
    assert "𝟏" in drawn(r"\mathbf{1}[x > 0]")
    assert "mathvariant" not in drawn(r"\mathbf{W}")
    assert "𝐖" in drawn(r"\mathbf{W}")


def test_every_formula_of_the_site_is_drawn_without_a_command_left_over() -> None:
    found = 0
    for page in (ROOT / "docs").rglob("*.md"):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for match in re.finditer(r"\\\[(.*?)\\\]|\\\((.*?)\\\)", text, re.DOTALL):
            formula = mathml(match[1] or match[2], block=bool(match[1]))
            ET.fromstring(formula)
            assert "\\" not in formula, formula
            assert 'mathvariant="b' not in formula, formula
            found += 1
    assert found > 60


def test_the_font_comes_with_its_licence() -> None:
    licence = (ROOT / "docs" / "assets" / "fonts" / "LICENCE.txt").read_text(encoding="utf-8")
    assert "TeX Gyre Termes Math" in licence
    assert "LaTeX Project Public License" in licence
