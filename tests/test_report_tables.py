"""The grammar of tables and cells, on random ones."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardpoint.errors import InputError
from hardpoint.hls.report.cells import Below, Mark, Span, count, nanoseconds, number, span
from hardpoint.hls.report.tables import table_below

CELL = st.text("abcXYZ019 .~<>_-/*()|", max_size=12).map(str.strip)
NAME = st.text("abcXYZ_", min_size=1, max_size=8)


def draw(columns, rows, ruled_at=()):
    """A table as the tools draw it: one blank before and after each cell."""
    widths = [2 + max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    rule = "+" + "+".join("-" * width for width in widths) + "+"

    def line(row):
        return "|" + "|".join(f" {cell}".ljust(width) for cell, width in zip(row, widths, strict=True)) + "|"

    body = []
    for i, row in enumerate(rows):
        body += [line(row)] + [rule] * (i in ruled_at)
    return [rule, line(columns), rule, *body, rule]


@given(st.data())
def test_what_was_drawn_is_read(data):
    columns = data.draw(st.lists(NAME, min_size=2, max_size=6))
    rows = data.draw(st.lists(st.tuples(*[CELL] * len(columns)), max_size=6))
    ruled = data.draw(st.sets(st.integers(0, 5)))
    table = table_below(["heading", "", *draw(columns, rows, ruled), "", "* a note"], 0)
    assert table.columns == tuple(columns)
    assert [tuple(cell.strip() for cell in row) for row in table.rows] == rows


@given(st.data())
def test_a_table_cut_anywhere_is_refused_or_whole(data):
    rows = data.draw(st.lists(st.tuples(NAME, NAME, NAME), min_size=1, max_size=5))
    page = "\n".join(["heading", *draw(("a", "b", "c"), rows)])
    whole = table_below(page.split("\n"), 0)
    cut = page[: data.draw(st.integers(len("heading\n"), len(page)))]
    try:
        table = table_below(cut.split("\n"), 0)
    except InputError:
        return
    assert table == whole or not table.rows  # the header and its rules are an empty table


def test_cells_above_name_what_they_span():
    page = [
        "+----------+----------+-----------+-------+",
        "|          |          |   Latency |       |",
        "+   RTL    +  Status  +-----------+ Total +",
        "|          |          | min | max |       |",
        "+----------+----------+-----------+-------+",
        "|   Verilog|      Pass|    1|    2|     33|",
        "+----------+----------+-----------+-------+",
    ]
    table = table_below(["", *page], 0)
    assert table.columns == ("RTL", "Status", "Latency min", "Latency max", "Total")
    assert [cell.strip() for cell in table.rows[0]] == ["Verilog", "Pass", "1", "2", "33"]


def test_wide_characters_move_the_bars():
    page = draw(("name", "n"), [("a", "1"), ("b", "2")])
    page[3] = page[3].replace("| a ", "| 名前 ")
    assert [row[0].strip() for row in table_below(["", *page], 0).rows] == ["名前", "b"]


def test_other_text_is_no_table():
    assert table_below(["* Loop:", "N/A", *draw(("a", "b"), [])], 0) is None
    with pytest.raises(InputError, match="the report ends where a table was to follow line 1"):
        table_below(["* Loop:", ""], 0)
    with pytest.raises(InputError, match="a row of the table at line 2 has 1 cells, not 2"):
        table_below(["", *draw(("a", "b"), [("x", "y")])[:3], "| x y |", "+---+---+"], 0)


@given(st.integers(0, 2**64 - 1))
def test_whole_numbers_are_exact(value):
    assert number(f" {value} ") == value
    assert count(str(value)) == value


@given(st.floats(0, 1e12).map(lambda value: round(value, 3)))
def test_times_keep_their_unit(value):
    for unit, scale in (("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("sec", 1e9)):
        assert math.isclose(nanoseconds(f"{value:.3f} {unit}"), value * scale, rel_tol=1e-9, abs_tol=1e-9)


@given(st.text(max_size=20))
def test_a_cell_is_a_number_a_mark_or_refused(text):
    try:
        value = number(text)
    except InputError:
        return
    assert isinstance(value, int | float | Mark | Below | Span)
    assert not isinstance(value, float) or math.isfinite(value)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_spans_collapse_and_rise(low, high):
    if low > high:
        with pytest.raises(InputError, match="a range rises, not"):
            span(str(low), str(high))
    else:
        assert span(str(low), str(high)) == (low if low == high else Span(low, high))
        assert number(f"{low} ~ {high}") == span(str(low), str(high))


@pytest.mark.parametrize(
    "text", ["9" * 21, "1e999", "nan", "inf", "٣", "1_000", "0x10", "<", "<-1", "~", "~1", "1~2~3"]
)
def test_no_number(text):
    with pytest.raises(InputError):
        number(text)
