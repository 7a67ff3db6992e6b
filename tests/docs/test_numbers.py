"""What docs/architecture.md says of digits; tests/distill/test_response.py measures them."""

from __future__ import annotations

from pathlib import Path


def test_the_page_of_numbers_says_what_was_measured():
    page = (Path(__file__).resolve().parents[2] / "docs" / "architecture.md").read_text("utf-8")
    numbers = page.partition("## Numbers")[2].partition("##")[0]
    for T, distance, said in ((1e4, 1.0, 1e-12), (1e8, 1.0, 1e-8), (1e8, 1e-5, 1e-3)):
        assert f"{said:.0e}".replace("e-0", "e-") in numbers and 0.2 < 2.2e-16 * T / distance / said < 5
    assert "2e-16 T/d" in numbers and "last digits" not in numbers
