"""A cell of a table is read alike, whatever pandas keeps its texts in: Python's objects, its own arrays, Arrow."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from kdlearn.commands.alarms import tell_beyond
from kdlearn.commands.dates import ambiguous, days
from kdlearn.commands.decimals import bare, infinite, numbers, percent, short, target_numbers, unit_of
from kdlearn.commands.frames import read_table
from kdlearn.commands.rules import Rules

pd = pytest.importorskip("pandas")
STORES = ["python", *(["pyarrow"] if importlib.util.find_spec("pyarrow") else [])]
KINDS = [object, *(["str"] if pd.__version__ >= "3" else []), *(f"string[{store}]" for store in STORES)]
NBSP, THIN, UNIT = "\u00a0", "\u2009", "\x1f"  # an unbreakable and a thin space; one that Arrow takes for none


def test_what_lies_fifty_deviations_away_is_said():
    for cells, found in ((["110", "-90", "9"], 0), (["9", "111"], 1), (["-91", "111"], 2)):
        said, cells = [], pd.Series(cells)
        tell_beyond("a", cells, cells.astype(float), 10.0, 2.0, said)
        assert len(said) == bool(found) and all(("2 cells" in s) == (found == 2) for s in said)
        assert all(f"'{'111' if found == 1 else '-91'}'" in s for s in said)


def test_a_long_cell_is_quoted_by_its_beginning():
    assert short("a" * 40) == repr("a" * 40)
    assert short("a" * 41) == repr("a" * 39 + "…")


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_cell_is_read_alike_in_every_type(kind):
    """Arrow's patterns know no \\u00a0: nothing could be read at all."""

    def cells(*given):
        return pd.Series(given, dtype=object).astype(kind)

    found = numbers(cells(f"1{NBSP}234,5", "1.234,5", f"7{THIN}%", f"3{UNIT}", "12 EUR", "x", None, "٣"), True)
    np.testing.assert_array_equal(found, [1234.5, 1234.5, 7, 3, 12, np.nan, np.nan, 3])
    assert found.dtype == float
    assert numbers(cells("0.126", "1,234", "0,126", "$5"), False).fillna(-1).tolist() == [0.126, 1234, -1, 5]
    assert percent(cells("5 %", "6", None)) == 0.5 and percent(cells(None)) == 0
    assert infinite(cells("-Inf", "∞", "information", None)).tolist() == [True, True, False, False]
    assert days(cells("2000-01-02", "03.01.2000", "1/4/2000", None)).fillna(-1).tolist() == [1, 2, -1, -1]
    assert ambiguous(cells("1/4/2000", "2/4/2000")) and not ambiguous(cells("2000-01-02"))
    for nothing in (cells(None, None), cells()):
        assert numbers(nothing, False).isna().all() and days(nothing).isna().all() and not infinite(nothing).any()


def test_a_blank_inside_a_number_stands_between_thousands():
    """120 80, a blood pressure, was read as 12080, and 1,2 3 as 1.23."""
    for space in (" ", NBSP, THIN, "\u202f", "'"):
        cells = pd.Series([f"12{space}345{space}678 kg", f"-1{space}200 kg", f"1{space}2 kg"], dtype=object)
        found = numbers(bare(cells, unit_of(cells)), False)
        assert found.fillna(0).tolist() == [12345678, -1200, 0]
    none = [
        "120 80",
        "1 2",
        "12 34",
        "12345 678",
        "1 2345",
        "12 345 6",
        "0 345",
        "1 .5",
        "1. 5",
        "5 $ 3",
        "5%3",
        "1 e5",
    ]
    assert numbers(pd.Series(none, dtype=object), False).isna().all()
    commas = pd.Series(["1,2 3", "1 2,5", "1 234,5", "- 5 %", "EUR 1 234", "5 EUR"], dtype=object)
    assert numbers(commas, True).fillna(0).tolist() == [0, 0, 1234.5, -5, 1234, 5]


@pytest.mark.parametrize("store", STORES)
def test_a_file_is_read_alike_in_every_store(store, tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"{UNIT}1{NBSP}234,5{NBSP};2024-01-0{i % 9 + 1};{'NA' if i % 4 else 'x'};0{i % 3};{i}.0" for i in range(40)]
    path.write_text("price;day;word;code;label\n" + "\n".join(rows), "utf-8")
    said: list[str] = []
    with pd.option_context("mode.string_storage", store):
        table = read_table(path, said=said)
        assert set(map(str, table.dtypes)) == {"object"} and table["price"][0] == f"1{NBSP}234,5"
        rules = Rules.of(table, (), (), ("price",), said)
        assert [column["kind"] for column in rules.columns] == ["number", "date", "text", "text"]
        made = rules(table)
        assert target_numbers(table, "price", said)[0].eq(1234.5).all()
    assert made["price"].eq(1234.5).all() and set(made["word"]) == {"x", ""} and set(made["code"]) == {"00", "01", "02"}
    assert said[-1] == "the target 'price': '1\\xa0234,5' is read as 1234.5." and made["word"].dtype == object


def test_a_target_is_read_once_with_each_sign(monkeypatch):
    from kdlearn.commands import decimals

    calls, read = [], decimals.numbers
    monkeypatch.setattr(decimals, "numbers", lambda cells, comma: calls.append(comma) or read(cells, comma))
    table = pd.DataFrame({"price": ["1,5", "2,5", "3"]}, dtype=object)
    assert target_numbers(table, "price", [])[0].tolist() == [1.5, 2.5, 3] and calls == [False, True]
