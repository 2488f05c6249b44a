"""Good inputs, garbled: cut, spliced, repeated, bits turned, words put in where none belong."""

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.fuzz.target import Target

ODD: Sequence[bytes] = (
    *(b"", b"\0", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\n", b"\x1f"),
    *(b"0", b"-1", b"-0.0", b"1e400", b"NaN", b"9223372036854775808", b"1" * 400),
    *(b"null", b"true", b"[]", b"{}", b'""', b'"', b"\\", b"\\ud800", b"\\u0000", b"'", b"`"),
    *(b"[" * 40, b'{"a":' * 40, b"x" * 300, b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:60Z"),
)
"""What has broken decoders before."""

CHANGES = 5


@st.composite
def inputs(draw: st.DrawFn, target: Target) -> bytes:
    """Draw an input of a target: mostly a seed with a few changes, at times nothing but noise."""
    seeds = target.seeds()
    if draw(st.integers(0, 9)) == 9:
        return draw(st.binary(max_size=200))
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, CHANGES))):
        text = _changed(draw, text, seeds, (*ODD, *target.words))
    return text


def _changed(draw: st.DrawFn, text: bytes, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    at = draw(st.integers(0, len(text)))
    end = min(len(text), at + draw(st.integers(0, 12) | st.integers(0, len(text))))
    kind = draw(st.sampled_from(("word", "byte", "cut", "drop", "twice", "splice", "noise")))
    if kind == "byte":
        return text[:at] + bytes([draw(st.integers(0, 255))]) + text[at + 1 :]
    if kind == "cut":
        return text[:at]
    return text[:at] + _middle(draw, kind, text[at:end], seeds, words) + text[end:]


def _middle(
    draw: st.DrawFn, kind: str, text: bytes, seeds: Sequence[bytes], words: Sequence[bytes]
) -> bytes:
    """Return what comes in place of a part."""
    match kind:
        case "word":
            return draw(st.sampled_from(words))
        case "twice":
            return text * 2
        case "splice":
            return _slice(draw, draw(st.sampled_from(seeds)))
        case "noise":
            return draw(st.binary(max_size=12))
    return b""


def _slice(draw: st.DrawFn, text: bytes) -> bytes:
    begin = draw(st.integers(0, len(text)))
    return text[begin : begin + draw(st.integers(0, 100))]
