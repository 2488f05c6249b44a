import unicodedata

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from services.commands.terminal import fail, printable, printable_lines


@pytest.mark.parametrize(
    "text, shown",
    [
        ("Zoë & Söhne 株式会社 🙂 −31 %", "Zoë & Söhne 株式会社 🙂 −31 %"),
        ("\x1b]0;owned\x07\x1b[2J", "�]0;owned��[2J"),
        ("\x9b2J", "�2J"),
        ("Acme\nHIGH  forged", "Acme�HIGH  forged"),
        ("Acme\r\x7f\x08\x85\u2028", "Acme�����"),
        ("abc\u202etxt.exe", "abc�txt.exe"),
        ("\ufeff\u200b\ud800", "���"),
        ("EUR\u00a01,200\u3000", "EUR 1,200 "),
        ("", ""),
    ],
)
def test_what_is_not_printable_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_no_text_does_anything_to_a_terminal_or_makes_a_line(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert shown.isprintable()
    assert not any(unicodedata.category(one).startswith("C") for one in shown)
    assert len(shown.splitlines()) <= 1


def test_line_breaks_of_our_own_stay() -> None:
    assert printable_lines("one\x1b\ntwo\r") == "one�\ntwo�"


def test_an_error_does_nothing_to_the_terminal_either(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        fail("account \x1b[2J\nis not known")
    assert capsys.readouterr().err == "account �[2J\nis not known\n"
