"""The comparison of indexed values: every leaf counts, and nothing is equal by accident."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardpoint.errors import InputError
from hardpoint.expected import check_folder, check_folders, leaves

LEAF = st.one_of(st.integers(-(2**60), 2**60), st.floats(-1e6, 1e6), st.text("abc", min_size=1), st.booleans())
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz"), inner, max_size=3)
)


@given(VALUE)
def test_everything_equals_itself(value):
    assert all(leaf.equal for leaf in leaves(value, value))


@given(VALUE, st.data())
def test_one_changed_leaf_is_one_difference(value, data):
    places = [leaf.place for leaf in leaves(value, value) if not isinstance(leaf.expected, dict | list)]
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    changed = [leaf for leaf in leaves(value, _without(value, place)) if not leaf.equal]
    assert [leaf.place for leaf in changed] == [leaf.place for leaf in leaves(value, value) if leaf.place == place]


def _without(value, place, here=""):
    """`value` with the leaf at `place` made another one."""
    if isinstance(value, dict) and value:
        return {key: _without(item, place, f"{here}.{key}" if here else key) for key, item in value.items()}
    if isinstance(value, list) and value:
        return [_without(item, place, f"{here}[{i}]") for i, item in enumerate(value)]
    return object() if here == place else value


@pytest.mark.parametrize(
    ("expected", "found", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ("16", 16, True),
        ("0x10", 16, True),
        ("0x0C", 12, True),
        ("010", 10, True),
        ("ten", 10, False),
        ("1.0", 1.0, False),
        (2**53 + 1, 2**53, False),
        (0.161, 0.1610001, False),
        (5.0, None, False),
        ([], [], True),
        ([], [1], False),
        ({}, {"a": 1}, False),
        ({"a": 1}, {}, False),
        ([1, 2], [1], False),
    ],
)
def test_equality_of_leaves(expected, found, equal):
    assert all(leaf.equal for leaf in leaves(expected, found)) is equal


def test_null_means_that_the_index_is_silent():
    (leaf,) = leaves(None, 7)
    assert (leaf.equal, leaf.silent, leaf.found) == (True, True, 7)


def test_a_changed_file_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    entry = {"file": "a.txt", "sha256": hashlib.sha256(b"other").hexdigest(), "expected": {"x": 1}}
    (tmp_path / "index.json").write_text(json.dumps({"items": [entry, {"file": "none.txt"}]}))
    outcome = check_folder(tmp_path, lambda item: lambda path: {"x": int(path.read_text() == "text")})
    assert [file.right for file in outcome.files] == [False, False]
    assert list(outcome.lines())[1:] == [
        "  a.txt: the file is not the one that the index describes (sha256)",
        f"  none.txt: [Errno 2] No such file or directory: '{tmp_path / 'none.txt'}'",
    ]


def test_an_index_of_another_form_is_named(tmp_path):
    (tmp_path / "index.json").write_text('{"items": [1]}')
    with pytest.raises(InputError, match="has no list 'items' of entries that each name a 'file'"):
        check_folders(tmp_path, lambda item: None)
