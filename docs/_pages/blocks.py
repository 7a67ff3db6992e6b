"""What pages that are written by code share: blocks between two marks, and how numbers are set."""

from __future__ import annotations

MINUS, NO_BREAK = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"


def with_block(page, name, block):
    """The page with this block between the marks `name: begin` and `name: end`."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    assert page.count(begin) == page.count(end) == 1, f"no place, or several, for {name}"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{block}\n\n{end}{rest.partition(end)[2]}"
