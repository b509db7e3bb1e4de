"""Endpoint configurations: one production variant on instances is what can be hosted here."""

from __future__ import annotations

from typing import Any

from localcloud.sagemaker.context import Context, Operation, now
from localcloud.sagemaker.errors import unsupported, validation
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.paging import Listing, list_page
from localcloud.sagemaker.tags import drop_tags, put_tags

_KIND = "EndpointConfig"
_NOT_SUPPORTED = ("AsyncInferenceConfig", "ExplainerConfig", "ShadowProductionVariants")
_VARIANT_NOT_SUPPORTED = ("ServerlessConfig", "InstancePools", "ManagedInstanceScaling")


class EndpointConfigs:
    """CreateEndpointConfig and its siblings."""

    def __init__(self, context: Context, models: Models) -> None:
        self._context = context
        self._store = context.store
        self._models = models

    def operations(self) -> dict[str, Operation]:
        """The API."""
        return {
            "CreateEndpointConfig": self._create,
            "DescribeEndpointConfig": lambda request: self.config(request["EndpointConfigName"]),
            "ListEndpointConfigs": self._list,
            "DeleteEndpointConfig": self._delete,
        }

    def config(self, name: str) -> dict[str, Any]:
        """The configuration. Raises ValidationException."""
        document = self._store.get(_KIND, name.lower())
        if document is None:
            arn = self._context.arns.of("endpoint-config", name)
            raise validation(f'Could not find endpoint configuration "{arn}".')
        return document

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name, variants = request["EndpointConfigName"], request["ProductionVariants"]
        for member in _NOT_SUPPORTED:
            if request.get(member):
                raise unsupported(f"{member} of CreateEndpointConfig")
        if request.get("DataCaptureConfig", {}).get("EnableCapture"):
            raise unsupported("data capture")
        if len(variants) != 1:
            raise unsupported("endpoints with more than one production variant")
        for member in _VARIANT_NOT_SUPPORTED:
            if member in variants[0]:
                raise unsupported(f"{member} of a production variant")
        if "ModelName" not in variants[0]:
            raise unsupported("production variants without a model")
        self._models.model(variants[0]["ModelName"])
        arn = self._context.arns.of("endpoint-config", name)
        with self._store.transaction():
            if self._store.get(_KIND, name.lower()):
                raise validation(f'Cannot create already existing endpoint configuration "{arn}".')
            document = {key: value for key, value in request.items() if key != "Tags"}
            document |= {"EndpointConfigArn": arn, "CreationTime": now()}
            self._store.put(_KIND, name.lower(), document)
            put_tags(self._store, arn, request.get("Tags", []))
        return {"EndpointConfigArn": arn}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        listing = Listing(name="EndpointConfigName")
        page, token = list_page(request, self._store.all(_KIND), listing, lambda item: str(item["EndpointConfigName"]))
        members = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        return {"EndpointConfigs": [{key: item[key] for key in members} for item in page], **token}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._store.transaction():
            document = self.config(request["EndpointConfigName"])
            self._store.delete(_KIND, document["EndpointConfigName"].lower())
            drop_tags(self._store, document["EndpointConfigArn"])
        return {}
