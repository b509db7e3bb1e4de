"""Tags of any resource, by ARN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from localcloud.sagemaker.context import Context, Operation
from localcloud.sagemaker.errors import limit_exceeded
from localcloud.sagemaker.paging import cut
from localcloud.sagemaker.store import Store

_KIND = "Tags"
_MAXIMUM = 50


def put_tags(store: Store, arn: str, tags: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Add tags, replacing those of the same key; returns all. Raises ResourceLimitExceeded above 50."""
    with store.transaction():
        current = {tag["Key"]: tag for tag in get_tags(store, arn)} | {tag["Key"]: dict(tag) for tag in tags}
        if len(current) > _MAXIMUM:
            raise limit_exceeded(f"{arn} cannot have more than {_MAXIMUM} tags")
        if current:
            store.put(_KIND, arn, {"tags": list(current.values())})
    return list(current.values())


def get_tags(store: Store, arn: str) -> list[dict[str, str]]:
    """All tags of a resource, in the order in which they were added."""
    return list((store.get(_KIND, arn) or {"tags": []})["tags"])


def drop_tags(store: Store, arn: str) -> None:
    """Forget the tags of a resource that is deleted."""
    store.delete(_KIND, arn)


class Tags:
    """AddTags, ListTags, DeleteTags."""

    def __init__(self, context: Context) -> None:
        self._store = context.store

    def operations(self) -> dict[str, Operation]:
        """The API."""
        return {"AddTags": self._add, "ListTags": self._list, "DeleteTags": self._delete}

    def _add(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": put_tags(self._store, request["ResourceArn"], request["Tags"])}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        page, token = cut(request, get_tags(self._store, request["ResourceArn"]), lambda tag: tag["Key"])
        return {"Tags": page, **token}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["ResourceArn"]
        with self._store.transaction():
            kept = [tag for tag in get_tags(self._store, arn) if tag["Key"] not in request["TagKeys"]]
            self._store.put(_KIND, arn, {"tags": kept})
        return {}
