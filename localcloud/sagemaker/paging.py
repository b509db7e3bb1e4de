"""Filters, order and pages of the List operations."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.utils import parse_to_aware_datetime

from localcloud.sagemaker.errors import validation


@dataclass(frozen=True, slots=True)
class Listing:
    """How one kind of resource is listed: which fields the filters and SortBy values read."""

    name: str
    created: str = "CreationTime"
    modified: str = "LastModifiedTime"
    status: str = ""
    sort_default: str = "CreationTime"
    order_default: str = "Descending"


def list_page(
    request: Mapping[str, Any], items: Sequence[dict[str, Any]], listing: Listing, key: Callable[[dict[str, Any]], str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Filter, sort and cut ``items``; returns one page and ``{"NextToken": ...}`` when there is more."""
    chosen = [item for item in items if _matches(request, item, listing)]
    by = {"Name": listing.name, "Status": listing.status}.get(request.get("SortBy", listing.sort_default), "")
    if by:
        chosen.sort(key=lambda item: str(item.get(by, "")))
    if request.get("SortOrder", listing.order_default) == "Descending":
        chosen.reverse()
    return cut(request, chosen, key)


def cut(
    request: Mapping[str, Any], items: Sequence[dict[str, Any]], key: Callable[[dict[str, Any]], str], size: int = 100
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """One page after the item that NextToken names. Raises ValidationException for a token that was never given."""
    start = 0
    if "NextToken" in request:
        after = _open(request["NextToken"])
        keys = [key(item) for item in items]
        if after not in keys:
            raise validation("Invalid NextToken")
        start = keys.index(after) + 1
    end = start + request.get("MaxResults", size)
    page = list(items[start:end])
    if end >= len(items):
        return page, {}
    return page, {"NextToken": base64.urlsafe_b64encode(key(page[-1]).encode()).decode()}


def _open(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError) as error:
        raise validation("Invalid NextToken") from error


def _matches(request: Mapping[str, Any], item: Mapping[str, Any], listing: Listing) -> bool:
    name = str(item.get(listing.name, ""))
    prefix = request.get("PipelineNamePrefix", "")
    if request.get("NameContains", "").lower() not in name.lower() or not name.startswith(prefix):
        return False
    if "StatusEquals" in request and item.get(listing.status) != request["StatusEquals"]:
        return False
    for field, prefixes in ((listing.created, ("CreationTime", "Created")), (listing.modified, ("LastModifiedTime",))):
        for prefix in prefixes:
            value = item.get(field, 0)
            if value <= _seconds(request.get(f"{prefix}After"), float("-inf")):
                return False
            if value >= _seconds(request.get(f"{prefix}Before"), float("inf")):
                return False
    return True


def _seconds(value: Any, default: float) -> float:
    if value is None:
        return default
    if isinstance(value, (int, float)):
        return float(value)
    moment: datetime = parse_to_aware_datetime(value)
    return moment.timestamp()
