"""Typed access to the attributes of one level of a metadata document; every failure names the JSON path."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ahiflow.errors import MalformedMetadataError


@dataclass(frozen=True, slots=True)
class Attributes:
    """One ``DICOM`` object of the document: keyword -> JSON value. ``path`` is where it stands, with indices in place
    of UIDs, so that it may be shown.

    HealthImaging keeps DICOM padding and writes DS and IS as strings, US and UL as numbers, VM 1-n as lists, and empty
    values as null; the accessors level all of that. An absent and an empty attribute are the same: None.
    """

    path: str
    values: Mapping[str, Any]

    def text(self, keyword: str) -> str | None:
        """The stripped first value, as text. None when absent or empty."""
        texts = self.texts(keyword)
        return texts[0] if texts else None

    def texts(self, keyword: str) -> tuple[str, ...]:
        """All values, stripped; empty ones are left out."""
        found = []
        for value in self._list(keyword):
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                raise self._malformed(keyword, "is neither text nor a number")
            text = str(value).strip(" \0")
            if text:
                found.append(text)
        return tuple(found)

    def number(self, keyword: str) -> float | None:
        """A finite decimal (DS, FD, FL, IS, US, ...). None when absent or empty."""
        numbers = self.numbers(keyword)
        return numbers[0] if numbers else None

    def numbers(self, keyword: str, count: int | None = None) -> tuple[float, ...]:
        """All values as finite decimals; empty when absent. ``count`` is the only other number that is accepted."""
        numbers = tuple(self._decimal(keyword, text) for text in self.texts(keyword))
        if numbers and count is not None and len(numbers) != count:
            raise self._malformed(keyword, f"has {len(numbers)} values instead of {count}")
        return numbers

    def integer(self, keyword: str) -> int | None:
        """A whole number. None when absent or empty."""
        number = self.number(keyword)
        if number is None:
            return None
        if number != int(number):
            raise self._malformed(keyword, "is not a whole number")
        return int(number)

    def required_integer(self, keyword: str, low: int, high: int) -> int:
        """A whole number within ``low`` to ``high``, both included."""
        number = self.integer(keyword)
        if number is None:
            raise self._malformed(keyword, "is missing")
        if not low <= number <= high:
            raise self._malformed(keyword, f"is not within {low} to {high}")
        return number

    def item(self, keyword: str, index: int) -> Attributes | None:
        """Item ``index`` (0-based) of a sequence. None when the sequence is absent or shorter."""
        items = self._list(keyword)
        if index >= len(items):
            return None
        path = f"{self.path}.{keyword}[{index}]"
        if not isinstance(items[index], Mapping):
            raise MalformedMetadataError(f"{path} is not an object")
        return Attributes(path, items[index])

    def has(self, keyword: str) -> bool:
        """Whether the attribute is there with a value."""
        return self.values.get(keyword) is not None

    def _list(self, keyword: str) -> Sequence[Any]:
        value = self.values.get(keyword)
        if value is None:
            return ()
        return value if isinstance(value, list) else (value,)

    def _decimal(self, keyword: str, text: str) -> float:
        try:
            number = float(text)
        except ValueError as error:
            raise self._malformed(keyword, "is not a number") from error
        if not math.isfinite(number):
            raise self._malformed(keyword, "is not a finite number")
        return number

    def _malformed(self, keyword: str, problem: str) -> MalformedMetadataError:
        return MalformedMetadataError(f"{self.path}.{keyword} {problem}")
