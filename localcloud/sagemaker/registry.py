"""The model registry: groups, versions, approval, and the event that an approval is."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from localcloud.sagemaker import events
from localcloud.sagemaker.arns import last_part
from localcloud.sagemaker.context import Context, Operation, now
from localcloud.sagemaker.errors import conflict, unsupported, validation
from localcloud.sagemaker.paging import Listing, list_page
from localcloud.sagemaker.tags import drop_tags, put_tags

_GROUP = "ModelPackageGroup"
_PACKAGE = "ModelPackage"
_TOKEN = "CreateModelPackage"
_NOT_SUPPORTED = (
    "ModelPackageName",
    "CertifyForMarketplace",
    "ValidationSpecification",
    "SourceAlgorithmSpecification",
)
_SUMMARY = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "ModelLifeCycle",
)
# Answered by Describe, sent in events.
USER = {"UserProfileName": "local"}


class Registry:
    """Model package groups and their versions. Documents are what Describe answers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    def operations(self) -> dict[str, Operation]:
        """The API."""
        return {
            "CreateModelPackageGroup": self._create_group,
            "DescribeModelPackageGroup": lambda request: self._group(last_part(request["ModelPackageGroupName"])),
            "ListModelPackageGroups": self._list_groups,
            "DeleteModelPackageGroup": self._delete_group,
            "CreateModelPackage": self._create,
            "DescribeModelPackage": lambda request: self.package(request["ModelPackageName"]),
            "ListModelPackages": self._list,
            "UpdateModelPackage": self._update,
            "DeleteModelPackage": self._delete,
        }

    def package(self, name: str) -> dict[str, Any]:
        """A version by its ARN or ``group/version``. Raises ValidationException."""
        group, _, version = name.partition("model-package/")[2].rpartition("/") if ":" in name else name.rpartition("/")
        document = self._store.get(_PACKAGE, f"{group}/{version}")
        if document is None:
            raise validation(f"ModelPackage {name} does not exist.")
        return document

    def create(self, request: dict[str, Any], *, with_group: bool = False) -> dict[str, Any]:
        """Register the next version; ``with_group`` also creates a group that is not there (RegisterModel steps do)."""
        for member in _NOT_SUPPORTED:
            if request.get(member):
                raise unsupported(f"{member} of CreateModelPackage")
        if "ModelPackageGroupName" not in request:
            raise unsupported("model packages outside a group")
        group = last_part(request["ModelPackageGroupName"])
        with self._store.transaction():
            if with_group and self._store.get(_GROUP, group) is None:
                self._create_group({"ModelPackageGroupName": group})
            self._group(group)
            version = self._store.next_number(f"model-package/{group}")
            arn = self._context.arns.model_package(group, version)
            kept = {key: value for key, value in request.items() if key not in ("Tags", "ClientToken")}
            document: dict[str, Any] = {
                **kept,
                "ModelPackageGroupName": group,
                "ModelPackageVersion": version,
                "ModelPackageArn": arn,
                "ModelPackageName": f"{group}/{version}",
                "CreationTime": now(),
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
                "CertifyForMarketplace": False,
                "ModelApprovalStatus": request.get("ModelApprovalStatus", "PendingManualApproval"),
                "CreatedBy": USER,
            }
            document["ModelPackageName"] = group
            self._store.put(_PACKAGE, f"{group}/{version}", document, parent=group)
            put_tags(self._store, arn, request.get("Tags", []))
            events.model_package_changed(self._store, document)
        self._context.outbox.wake()
        return document

    def _create_group(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        if "ManagedConfiguration" in request:
            raise unsupported("ManagedConfiguration of CreateModelPackageGroup")
        arn = self._context.arns.model_package_group(name)
        with self._store.transaction():
            if self._store.get(_GROUP, name):
                raise validation(f"Model Package Group already exists: {arn}")
            document = {key: value for key, value in request.items() if key != "Tags"} | {
                "ModelPackageGroupArn": arn,
                "CreationTime": now(),
                "CreatedBy": USER,
                "ModelPackageGroupStatus": "Completed",
            }
            self._store.put(_GROUP, name, document)
            put_tags(self._store, arn, request.get("Tags", []))
        return {"ModelPackageGroupArn": arn}

    def _group(self, name: str) -> dict[str, Any]:
        document = self._store.get(_GROUP, name)
        if document is None:
            raise validation(f"ModelPackageGroup {self._context.arns.model_package_group(name)} does not exist.")
        return document

    def _list_groups(self, request: dict[str, Any]) -> dict[str, Any]:
        listing = Listing(name="ModelPackageGroupName", order_default="Ascending")
        page, token = list_page(request, self._store.all(_GROUP), listing, lambda i: str(i["ModelPackageGroupName"]))
        return {"ModelPackageGroupSummaryList": [_without(item, "CreatedBy") for item in page], **token}

    def _delete_group(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._store.transaction():
            document = self._group(last_part(request["ModelPackageGroupName"]))
            if self._store.all(_PACKAGE, document["ModelPackageGroupName"]):
                raise conflict(f"{document['ModelPackageGroupArn']} cannot be deleted: it is not empty.")
            self._store.delete(_GROUP, document["ModelPackageGroupName"])
            drop_tags(self._store, document["ModelPackageGroupArn"])
        return {}

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        token = request.get("ClientToken")
        with self._store.transaction():
            fingerprint = hashlib.sha256(
                json.dumps(_without(request, "ClientToken"), sort_keys=True).encode()
            ).hexdigest()
            used = self._store.token(_TOKEN, token) if token else None
            if used and used[0] != fingerprint:
                raise conflict("The ClientToken was used for another request.")
            if used:
                return {"ModelPackageArn": used[1]}
            arn = self.create(request)["ModelPackageArn"]
            if token:
                self._store.put_token(_TOKEN, token, fingerprint, arn)
        return {"ModelPackageArn": arn}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("ModelPackageType", "Versioned") == "Unversioned" or "ModelPackageGroupName" not in request:
            documents = []  # without a group the service lists unversioned packages, of which there are none here
            if request.get("ModelPackageType") in ("Versioned", "Both"):
                documents = self._store.all(_PACKAGE)
        else:
            group = last_part(request["ModelPackageGroupName"])
            self._group(group)
            documents = self._store.all(_PACKAGE, group)
        if "ModelApprovalStatus" in request:
            documents = [d for d in documents if d["ModelApprovalStatus"] == request["ModelApprovalStatus"]]
        listing = Listing(name="ModelPackageGroupName")
        page, token = list_page(request, documents, listing, lambda item: str(item["ModelPackageArn"]))
        summaries = [{key: value for key, value in item.items() if key in _SUMMARY} for item in page]
        return {"ModelPackageSummaryList": summaries, **token}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._store.transaction():
            document = self.package(request["ModelPackageArn"])
            removed = request.get("CustomerMetadataPropertiesToRemove", [])
            added = request.get("AdditionalInferenceSpecificationsToAdd", [])
            changes = {
                key: value
                for key, value in request.items()
                if key not in ("ModelPackageArn", "ClientToken", "AdditionalInferenceSpecificationsToAdd")
                and key != "CustomerMetadataPropertiesToRemove"
            }
            updated = list(changes)
            properties = document.get("CustomerMetadataProperties", {}) | changes.pop("CustomerMetadataProperties", {})
            properties = {key: value for key, value in properties.items() if key not in removed}
            document |= changes
            if properties or "CustomerMetadataProperties" in document:
                document["CustomerMetadataProperties"] = properties
            if removed and "CustomerMetadataProperties" not in updated:
                updated.append("CustomerMetadataProperties")
            if added:
                document["AdditionalInferenceSpecifications"] = [
                    *document.get("AdditionalInferenceSpecifications", []),
                    *added,
                ]
                updated.append("AdditionalInferenceSpecifications")
            document |= {"LastModifiedTime": now(), "LastModifiedBy": USER}
            self._store.put(_PACKAGE, _key(document), document)
            events.model_package_changed(self._store, document, updated)
        self._context.outbox.wake()
        return {"ModelPackageArn": document["ModelPackageArn"]}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._store.transaction():
            document = self.package(request["ModelPackageName"])
            self._store.delete(_PACKAGE, _key(document))
            drop_tags(self._store, document["ModelPackageArn"])
            events.model_package_changed(self._store, document | {"ModelPackageStatus": "Deleting"})
        self._context.outbox.wake()
        return {}


def _key(document: dict[str, Any]) -> str:
    return f"{document['ModelPackageGroupName']}/{document['ModelPackageVersion']}"


def _without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in names}
