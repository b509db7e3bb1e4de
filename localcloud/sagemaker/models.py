"""Models: what an endpoint serves. A container is given by image and data, or by an approved model package."""

from __future__ import annotations

from typing import Any

from localcloud.sagemaker.context import Context, Operation, now
from localcloud.sagemaker.errors import unsupported, validation
from localcloud.sagemaker.paging import Listing, list_page
from localcloud.sagemaker.registry import Registry
from localcloud.sagemaker.tags import drop_tags, put_tags

_KIND = "Model"


class Models:
    """CreateModel and its siblings. One container per model is what an endpoint here can serve."""

    def __init__(self, context: Context, registry: Registry) -> None:
        self._context = context
        self._store = context.store
        self._registry = registry

    def operations(self) -> dict[str, Operation]:
        """The API."""
        return {
            "CreateModel": lambda request: {"ModelArn": self.create(request)["ModelArn"]},
            "DescribeModel": lambda request: self.model(request["ModelName"]),
            "ListModels": self._list,
            "DeleteModel": self._delete,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """Record a model; returns its document. Raises ValidationException."""
        container = _only_container(request)
        if "ModelPackageName" in container:
            package = self._registry.package(container["ModelPackageName"])
            if package["ModelApprovalStatus"] != "Approved":
                raise validation(f"Model package {package['ModelPackageArn']} is not in Approved status.")
            self.served(container)
        elif "Image" not in container:
            raise validation("A container definition needs Image or ModelPackageName.")
        name = request["ModelName"]
        arn = self._context.arns.of("model", name)
        with self._store.transaction():
            if self._store.get(_KIND, name.lower()):
                raise validation(f'Cannot create already existing model "{arn}".')
            document = {key: value for key, value in request.items() if key != "Tags"} | {
                "CreationTime": now(),
                "ModelArn": arn,
                "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
            }
            self._store.put(_KIND, name.lower(), document)
            put_tags(self._store, arn, request.get("Tags", []))
        return document

    def model(self, name: str) -> dict[str, Any]:
        """The model's document. Raises ValidationException."""
        document = self._store.get(_KIND, name.lower())
        if document is None:
            raise validation(f'Could not find model "{self._context.arns.of("model", name)}".')
        return document

    def served(self, container: dict[str, Any]) -> dict[str, Any]:
        """Image, ModelDataUrl and Environment that a container comes down to; a package's are its first container's."""
        if "ModelPackageName" not in container:
            return container
        package = self._registry.package(container["ModelPackageName"])
        containers = package.get("InferenceSpecification", {}).get("Containers", [])
        if not containers or "Image" not in containers[0]:
            raise validation(f"The model package {package['ModelPackageArn']} has no container with an image.")
        own = {key: value for key, value in container.items() if key not in ("ModelPackageName", "Environment")}
        environment = containers[0].get("Environment", {}) | container.get("Environment", {})
        first: dict[str, Any] = containers[0]
        return first | own | {"Environment": environment}

    def container(self, name: str) -> dict[str, Any]:
        """What the endpoint of the model ``name`` starts."""
        return self.served(_only_container(self.model(name)))

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        documents = self._store.all(_KIND)
        page, token = list_page(request, documents, Listing(name="ModelName"), lambda item: str(item["ModelName"]))
        members = ("ModelName", "ModelArn", "CreationTime")
        return {"Models": [{key: item[key] for key in members} for item in page], **token}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._store.transaction():
            document = self.model(request["ModelName"])
            self._store.delete(_KIND, document["ModelName"].lower())
            drop_tags(self._store, document["ModelArn"])
        return {}


def _only_container(document: dict[str, Any]) -> dict[str, Any]:
    containers = [document["PrimaryContainer"]] if "PrimaryContainer" in document else document.get("Containers", [])
    if len(containers) != 1:
        raise unsupported("models with any other number of containers than one")
    container: dict[str, Any] = containers[0]
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise unsupported("multi-model containers")
    if "ModelDataSource" in container or "AdditionalModelDataSources" in container:
        raise unsupported("ModelDataSource: use ModelDataUrl")
    return container
