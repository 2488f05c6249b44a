"""Rows as aligned columns for a terminal. Pure."""

from collections.abc import Sequence


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines: words to the left, columns of nothing but figures to the right.

    Args:
        rows: The header first; all of one length.

    >>> aligned([("RULE", "ALERTS", "WHY"), ("a", "12", "x"), ("b", "–", "y")])
    ['RULE  ALERTS  WHY', 'a         12  x', 'b          –  y']
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [all(_is_figure(cell) for cell in column[1:]) for column in columns]
    return [
        "  ".join(
            cell.rjust(width) if figures else cell.ljust(width)
            for cell, width, figures in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _is_figure(cell: str) -> bool:
    return cell[:1] in ("", "–", "−", "+") or cell[0].isdigit() or cell.startswith("under ")
