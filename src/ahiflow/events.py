"""The events that ahiflow consumes, parsed once at the door.

Envelopes are EventBridge's. Sources of the shapes: AWS HealthImaging developer guide "event-notifications" (and the key
``imageSetId`` as AWS really sends it, where the guide prints ``imagesetId``); Amazon S3 user guide "EventBridge event
message structure"; SageMaker developer guide "Events for SageMaker AI" (``automating-sagemaker-with-eventbridge``).
Fields that nothing reads are not modelled and may change freely.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from ahiflow.errors import InvalidRequestError

RESOURCE_ID: Final = r"^[0-9a-z]{32}$"  # shapes DatastoreId and ImageSetId
OUR_SOURCE: Final = "ahiflow"
REPLAY_BATCH: Final = "Batch Replay Requested"
REPLAY_IMAGE_SET_VERSION: Final = "Image Set Version Replay Requested"
REBUILD_LEDGER: Final = "Ledger Rebuild Requested"

_Detail = TypeVar("_Detail", bound=BaseModel)
_ResourceId = Annotated[str, Field(pattern=RESOURCE_ID)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Event(_Frozen, Generic[_Detail]):
    """An EventBridge envelope. ``id`` is the same in every delivery of one event."""

    id: str
    source: str
    detail_type: str = Field(alias="detail-type")
    detail: _Detail


class Envelope(_Frozen):
    """An EventBridge envelope whose detail is not looked into."""

    id: str
    source: str
    detail_type: str = Field(alias="detail-type")


class _Bucket(_Frozen):
    name: str


class _Object(_Frozen):
    key: str


class ObjectCreated(_Frozen):
    """Detail of S3's "Object Created". The key is not percent-encoded (it is in S3's other notifications)."""

    bucket: _Bucket
    object: _Object


class ImportJobEnded(_Frozen):
    """Detail of "Import Job Completed" and "Import Job Failed". Brings neither counts nor a reason."""

    datastore_id: _ResourceId = Field(alias="datastoreId")
    import_job_id: str = Field(alias="jobId", pattern=r"^[0-9a-z]{1,32}$")


class ImageSetVersion(_Frozen):
    """Detail of "Image Set Created", "Copied" and "Updated". The version is a decimal string in events."""

    datastore_id: _ResourceId = Field(alias="datastoreId")
    image_set_id: _ResourceId = Field(validation_alias=AliasChoices("imageSetId", "imagesetId"))
    image_set_version_id: str = Field(alias="imageSetVersion", pattern=r"^\d+$", coerce_numbers_to_str=True)
    is_primary: bool | None = Field(default=None, alias="isPrimary")


class PipelineExecutionStatusChange(_Frozen):
    """Detail of "SageMaker Model Building Pipeline Execution Status Change"."""

    pipeline_execution_arn: str = Field(alias="pipelineExecutionArn")
    current_status: Literal["Executing", "Stopping", "Stopped", "Failed", "Succeeded"] = Field(
        alias="currentPipelineExecutionStatus"
    )


class ModelPackageStateChange(_Frozen):
    """Detail of "SageMaker Model Package State Change"."""

    model_package_arn: str = Field(alias="ModelPackageArn")
    model_package_group_name: str = Field(alias="ModelPackageGroupName")
    model_approval_status: Literal["Approved", "Rejected", "PendingManualApproval"] = Field(alias="ModelApprovalStatus")


class BatchReplay(_Frozen):
    """Detail of our own REPLAY_BATCH: import a batch once more, as the given attempt."""

    batch_id: str
    attempt: int = Field(ge=2)


class ImageSetVersionReplay(_Frozen):
    """Detail of our own REPLAY_IMAGE_SET_VERSION: start an execution once more, as the given attempt."""

    image_set_id: _ResourceId
    image_set_version_id: str = Field(pattern=r"^\d+$")
    attempt: int = Field(ge=2)


_Model = TypeVar("_Model", bound=BaseModel)


def parse(model: type[_Model], event: Mapping[str, Any]) -> _Model:
    """Parse an event. Raises InvalidRequestError that names the fields at fault and none of their values."""
    try:
        return model.model_validate(event)
    except ValidationError as error:
        fields = sorted({".".join(str(part) for part in detail["loc"]) for detail in error.errors(include_input=False)})
        raise InvalidRequestError(f"not the event that was expected: {', '.join(fields)}") from None
