"""Whatever the metadata document is, it parses or MalformedMetadataError says where it is wrong."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from fetch_support import SECRETS, axial_series, slices
from hypothesis import given, settings
from hypothesis import strategies as st

from ahiflow.errors import MalformedMetadataError
from ahiflow.fetching.plan import plan_fetch
from ahiflow.healthimaging.metadata import parse_metadata
from ahiflow.healthimaging.safe_attributes import safe_attributes

DOCUMENT = axial_series(slices(2)).document
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON document."""
    found = [path]
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        found += paths(child, (*path, key))
    return found


PATHS = [path for path in paths(DOCUMENT) if path]


def read(document: bytes) -> None:
    metadata = parse_metadata(document)
    plan_fetch(metadata)
    safe_attributes(metadata)


@settings(max_examples=400, deadline=None)
@given(path=st.sampled_from(PATHS), value=JSON, remove=st.booleans())
def test_one_wrong_value_is_read_or_located(path: tuple[Any, ...], value: Any, remove: bool) -> None:
    document = deepcopy(DOCUMENT)
    node: Any = document
    for key in path[:-1]:
        node = node[key]
    if remove:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    try:
        read(json.dumps(document).encode())
    except MalformedMetadataError as error:
        assert not [secret for secret in SECRETS if secret in str(error)], "a message must not hold patient data"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(document: bytes) -> None:
    try:
        read(document)
    except MalformedMetadataError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("document", [b"[" * 100_000, b'{"Study":' * 50_000, b'{"a": NaN}', b"1" * 10_000, b'"\xff"'])
def test_hostile_documents(document: bytes) -> None:
    with pytest.raises(MalformedMetadataError):
        parse_metadata(document)
