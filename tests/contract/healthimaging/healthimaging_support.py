"""A HealthImaging of one's own: the emulator over HTTP, moto's S3 beside it, boto3 in front, each answer checked."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.config import Config
from botocore.validate import ParamValidator
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from localcloud.healthimaging.service import HealthImagingService
from localcloud.healthimaging.switches import Switches
from localcloud.standalone import serve_alone

ROLE = "arn:aws:iam::123456789012:role/import"
FAST = Switches(
    datastore_creating_seconds=0, datastore_deleting_seconds=0, job_submitted_seconds=0, image_set_deleting_seconds=0
)
SHARED_DATA = Path(__file__).parents[4] / "shared" / "data"


def require_shared_data() -> Path:
    """Skip without ../shared/data; in CI its absence is a failure."""
    if not SHARED_DATA.is_dir():
        if os.environ.get("CI"):
            pytest.fail("../shared/data is missing")
        pytest.skip("needs ../shared/data")
    return SHARED_DATA


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Return the first true value; fail at the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


class HealthImaging:
    """What a test sees: ``api`` (boto3), ``s3``, ``events`` that the bus got, ``service`` for its faults."""

    def __init__(self, url: str, s3: Any, events: list[dict[str, Any]], service: HealthImagingService) -> None:
        self.api = client(url)
        self.s3, self.events, self.service = s3, events, service

    def datastore(self, **parameters: Any) -> str:
        datastore_id: str = self.api.create_datastore(datastoreName="tests", **parameters)["datastoreId"]
        wait_for(lambda: self.datastore_status(datastore_id) == "ACTIVE", "data store ACTIVE")
        return datastore_id

    def datastore_status(self, datastore_id: str) -> str:
        return str(self.api.get_datastore(datastoreId=datastore_id)["datastoreProperties"]["datastoreStatus"])

    def put(self, prefix: str, files: dict[str, bytes]) -> None:
        for name, data in files.items():
            self.s3.put_object(Bucket="ingest", Key=prefix + name, Body=data)

    def start_import(self, datastore_id: str, prefix: str, **parameters: Any) -> str:
        return str(
            self.api.start_dicom_import_job(
                datastoreId=datastore_id,
                dataAccessRoleArn=ROLE,
                inputS3Uri=f"s3://ingest/{prefix}",
                outputS3Uri="s3://artifacts/imports/",
                **parameters,
            )["jobId"]
        )

    def job(self, datastore_id: str, job_id: str) -> dict[str, Any]:
        properties: dict[str, Any] = self.api.get_dicom_import_job(datastoreId=datastore_id, jobId=job_id)[
            "jobProperties"
        ]
        return properties

    def ended(self, datastore_id: str, job_id: str) -> dict[str, Any]:
        done = ("COMPLETED", "FAILED")
        wait_for(lambda: self.job(datastore_id, job_id)["jobStatus"] in done, "the job's end")
        return self.job(datastore_id, job_id)

    def import_files(self, datastore_id: str, prefix: str, files: dict[str, bytes]) -> dict[str, Any]:
        """Import to the end; the manifest's summary."""
        self.put(prefix, files)
        job = self.ended(datastore_id, self.start_import(datastore_id, prefix))
        assert job["jobStatus"] == "COMPLETED", job
        summary: dict[str, Any] = json.loads(self.output(job, "job-output-manifest.json"))["jobSummary"]
        return summary

    def output(self, job: dict[str, Any], name: str) -> bytes:
        key = job["outputS3Uri"].removeprefix("s3://artifacts/") + name
        body: bytes = self.s3.get_object(Bucket="artifacts", Key=key)["Body"].read()
        return body

    def lines(self, job: dict[str, Any], name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output(job, name).splitlines()]

    def metadata(self, datastore_id: str, image_set_id: str, **parameters: Any) -> dict[str, Any]:
        answer = self.api.get_image_set_metadata(datastoreId=datastore_id, imageSetId=image_set_id, **parameters)
        document: dict[str, Any] = json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read()))
        return document

    def frame(self, datastore_id: str, image_set_id: str, image_frame_id: str) -> tuple[bytes, str]:
        answer = self.api.get_image_frame(
            datastoreId=datastore_id, imageSetId=image_set_id, imageFrameInformation={"imageFrameId": image_frame_id}
        )
        return answer["imageFrameBlob"].read(), answer["contentType"]

    def event_types(self) -> list[str]:
        return [event["detail_type"] for event in self.events]


@contextmanager
def health_imaging(
    state: Path, s3: Any, switches: Switches = FAST, emit: Callable[..., None] | None = None
) -> Iterator[HealthImaging]:
    """Serve the emulator over ``state``; the buckets ``ingest`` and ``artifacts`` are in ``s3``."""
    events: list[dict[str, Any]] = []
    services: list[HealthImagingService] = []

    def record(**event: Any) -> None:
        events.append(event)

    def build(backplane: Any) -> HealthImagingService:
        services.append(HealthImagingService(backplane, switches))
        return services[0]

    with serve_alone(build, state, aws=lambda name: s3, emit=emit or record) as url:
        yield HealthImaging(url, s3, events, services[0])


@cache
def _session() -> Any:
    """One session: it keeps the parsed service model."""
    return boto3.Session()


def client(url: str) -> Any:
    """A boto3 client without retries, whose every answer must satisfy botocore's output shape."""
    api = _session().client(
        "medical-imaging",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
    )
    api.meta.events.register("after-call.medical-imaging", _check_answer)
    return api


def _check_answer(parsed: dict[str, Any], model: Any, **_: Any) -> None:
    if "Error" in parsed:
        assert parsed["Error"]["Code"] in {shape.name for shape in model.error_shapes} | {"ThrottlingException"}
        return
    payload = model.output_shape.serialization.get("payload")
    values = {name: value for name, value in parsed.items() if name not in ("ResponseMetadata", payload)}
    checked = dict(values)
    if payload:
        assert payload in parsed
        checked[payload] = b""
    report = ParamValidator().validate(checked, model.output_shape)
    assert not report.has_errors(), report.generate_report()
    problems = list(_broken(model.output_shape, values, model.name))
    assert not problems, problems


def _broken(shape: Any, value: Any, path: str) -> Iterator[str]:
    """What ParamValidator leaves out: enumerations, patterns, greatest lengths; values are not shown."""
    if shape.type_name == "structure":
        for name, item in value.items():
            yield from _broken(shape.members[name], item, f"{path}.{name}")
    elif shape.type_name == "list":
        for item in value:
            yield from _broken(shape.member, item, f"{path}[]")
    elif shape.type_name == "map":
        for item in value.values():
            yield from _broken(shape.value, item, f"{path}{{}}")
    elif shape.type_name == "string":
        pattern = shape.metadata.get("pattern", "").replace(r"\p{ASCII}", r"[\x00-\x7f]")
        if shape.enum and value not in shape.enum:
            yield f"{path} is not in its enumeration"
        if pattern and not re.fullmatch(pattern, value):
            yield f"{path} does not match {pattern}"
        if len(value) > shape.metadata.get("max", len(value)):
            yield f"{path} is too long"


def ct_slice(number: int = 1, *, study: str = "1.2.3", series: str = "1.2.3.4", **attributes: Any) -> bytes:
    """A small signed CT instance, Part 10, explicit little endian; ``attributes`` by keyword replace or add."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    base: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"{series}.{number}",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "StudyDate": "20260102",
        "StudyTime": "030405",
        "StudyID": "S1",
        "AccessionNumber": "A1",
        "PatientID": "P1",
        "PatientName": "Phantom^One",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "Modality": "CT",
        "Manufacturer": "ahiflow",
        "SeriesNumber": "1",
        "InstanceNumber": str(number),
        "ImagePositionPatient": [0, 0, number],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": ["0.5", "0.5"],
        "Rows": 70,
        "Columns": 80,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
        "PixelData": ct_pixels(number).tobytes(),
    }
    for keyword, value in (base | attributes).items():
        setattr(dataset, keyword, value)
    return part10(dataset)


def ct_pixels(number: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    """The pixels of :func:`ct_slice`."""
    return (np.arange(70 * 80, dtype=np.int16).reshape(70, 80) * number) - np.int16(1000)


def part10(dataset: Dataset) -> bytes:
    """Bytes of a Part 10 file."""
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def series(count: int, **attributes: Any) -> dict[str, bytes]:
    """A series of ``count`` slices by file name."""
    return {f"{number}.dcm": ct_slice(number, **attributes) for number in range(1, count + 1)}


def only_series(document: dict[str, Any]) -> dict[str, Any]:
    """The one series of a metadata document."""
    found: Sequence[dict[str, Any]] = list(document["Study"]["Series"].values())
    (one,) = found
    return one
