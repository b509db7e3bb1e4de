"""The metadata document of an image set: schema "1.1" (fact sheet 3, two real documents)."""

from __future__ import annotations

import gzip
import json
from typing import Any

from localcloud.healthimaging.metadata.levels import INSTANCE, PATIENT, SERIES, STUDY

SCHEMA_VERSION = "1.1"


class ImageSetDocument:
    """One series' document, grown instance by instance from nothing or from an earlier version."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    @classmethod
    def new(cls, datastore_id: str, image_set_id: str, series_instance_uid: str) -> ImageSetDocument:
        """An empty document."""
        return cls(
            {
                "SchemaVersion": SCHEMA_VERSION,
                "DatastoreID": datastore_id,
                "ImageSetID": image_set_id,
                "Patient": {"DICOM": {}},
                "Study": {"DICOM": {}, "Series": {series_instance_uid: {"DICOM": {}, "Instances": {}}}},
            }
        )

    @classmethod
    def from_gzip(cls, data: bytes) -> ImageSetDocument:
        """An earlier version, as stored."""
        return cls(json.loads(gzip.decompress(data)))

    def to_gzip(self) -> tuple[bytes, int]:
        """Return the document as it is stored and served, and its size before compression."""
        text = json.dumps(self.content, ensure_ascii=False, allow_nan=False).encode()
        return gzip.compress(text, compresslevel=6, mtime=0), len(text)

    @property
    def series(self) -> dict[str, Any]:
        """The one series."""
        series: dict[str, Any]
        (series,) = self.content["Study"]["Series"].values()
        return series

    def add(self, sop_instance_uid: str, record: dict[str, Any]) -> list[str]:
        """Add or replace an instance (a staged record). Returns the hoisted keywords whose value differs from the
        one that the document has and keeps."""
        instance: dict[str, Any] = {"DICOM": record["levels"][INSTANCE], "DICOMVRs": record["vrs"]}
        if "stored_transfer_syntax_uid" in record:
            instance["StoredTransferSyntaxUID"] = record["stored_transfer_syntax_uid"]
            instance["ChecksumType"] = record["checksum_type"]
        instance["ImageFrames"] = [frame["entry"] for frame in record["frames"]]
        self.series["Instances"][sop_instance_uid] = instance
        homes = (
            (PATIENT, self.content["Patient"]["DICOM"]),
            (STUDY, self.content["Study"]["DICOM"]),
            (SERIES, self.series["DICOM"]),
        )
        return [
            keyword
            for level, home in homes
            for keyword, value in record["levels"][level].items()
            if home.setdefault(keyword, value) != value
        ]

    def search_tags(self) -> dict[str, Any]:
        """The DICOMTags of SearchImageSets' summaries; what is absent or does not fit its shape is left out."""
        patient, study = self.content["Patient"]["DICOM"], self.content["Study"]["DICOM"]
        series = self.series["DICOM"]
        number = str(series.get("SeriesNumber") or "").strip()
        tags = {
            "DICOMPatientId": patient.get("PatientID"),
            "DICOMPatientName": patient.get("PatientName"),
            "DICOMPatientBirthDate": patient.get("PatientBirthDate"),
            "DICOMPatientSex": patient.get("PatientSex"),
            "DICOMStudyInstanceUID": study.get("StudyInstanceUID"),
            "DICOMStudyId": study.get("StudyID"),
            "DICOMStudyDescription": study.get("StudyDescription"),
            "DICOMAccessionNumber": study.get("AccessionNumber"),
            "DICOMStudyDate": study.get("StudyDate"),
            "DICOMStudyTime": study.get("StudyTime"),
            "DICOMSeriesInstanceUID": series.get("SeriesInstanceUID"),
            "DICOMSeriesModality": series.get("Modality"),
            "DICOMSeriesBodyPart": series.get("BodyPartExamined"),
            "DICOMSeriesNumber": int(number) if number.lstrip("+-").isdecimal() else None,
            "DICOMNumberOfStudyRelatedSeries": 1,
            "DICOMNumberOfStudyRelatedInstances": len(self.series["Instances"]),
        }
        return {name: value for name, value in tags.items() if value is not None}
