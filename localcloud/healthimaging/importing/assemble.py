"""From staged instances to image set versions ready to be made visible: documents written, nothing in the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.healthimaging.importing.grouping import Group
from localcloud.healthimaging.importing.instance import StagedInstance
from localcloud.healthimaging.importing.report import FailedFile, ImportedFile, Report, job_folder
from localcloud.healthimaging.metadata.document import ImageSetDocument
from localcloud.healthimaging.pixels.transcode import Warned
from localcloud.healthimaging.state.image_sets import FrameRow, NewVersion
from localcloud.healthimaging.switches import Switches


@dataclass(frozen=True, slots=True)
class Existing:
    """The version that a group extends."""

    version: int
    metadata: Path


@dataclass(slots=True)
class Assembled:
    """One group's outcome: a version and its files, or no version and the reasons."""

    version: NewVersion | None
    imported: list[ImportedFile] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Assembler:
    """Writes the documents of one job's image sets below ``state / folder``."""

    datastore_id: str
    job_id: str
    state: Path
    folder: Path
    switches: Switches

    def assemble(self, group: Group, staged: Sequence[StagedInstance], existing: Existing | None) -> Assembled:
        """Build one group's document and rows. Of one SOP instance sent twice in the job the later file stands."""
        members = [staged[position] for position in group.members]
        first = members[0].identity
        image_set_id = group.merges_into or self._new_id(members)
        if existing:
            document = ImageSetDocument.from_gzip(existing.metadata.read_bytes())
        else:
            document = ImageSetDocument.new(self.datastore_id, image_set_id, first.series_instance_uid)
        version = existing.version + 1 if existing else 1
        outcome = Assembled(None)
        frames: dict[str, list[FrameRow]] = {}
        for member in members:
            record = json.loads(member.staged.read_text(encoding="utf-8"))
            sop_instance_uid = member.identity.sop_instance_uid
            differing = document.add(sop_instance_uid, record)
            frames[sop_instance_uid] = self._frame_rows(member, record)
            warnings = member.warnings + self._coercion(differing)
            outcome.imported.append(ImportedFile(member.key, image_set_id, version, group.is_primary, warnings))
        compressed, size = document.to_gzip()
        if size > self.switches.max_metadata_bytes:  # what the service answers then is not public (fact sheet 9.5)
            message = f"ImageSetMetadata is larger than {self.switches.max_metadata_bytes} bytes"
            return Assembled(None, failed=[FailedFile(member.key, message) for member in members])
        metadata = self.folder / "metadata" / f"{image_set_id}.json.gz"
        metadata.write_bytes(compressed)
        outcome.version = NewVersion(
            image_set_id=image_set_id,
            version=version,
            is_primary=group.is_primary,
            identity=first,
            metadata_path=str(metadata.relative_to(self.state)),
            search_tags=document.search_tags(),
            frames=[row for rows in frames.values() for row in rows],
            matched_instances=len(frames),
        )
        return outcome

    def _new_id(self, members: Sequence[StagedInstance]) -> str:
        """Derived, so that a job run again after a crash gives the same image sets."""
        return hashlib.sha256(f"{self.job_id}\n{members[0].key}".encode()).hexdigest()[:32]

    def _frame_rows(self, member: StagedInstance, record: dict[str, Any]) -> list[FrameRow]:
        path = str(member.staged.with_suffix(".frames").relative_to(self.state))
        uid = str(record.get("stored_transfer_syntax_uid", ""))
        return [
            FrameRow(frame["entry"]["ID"], path, frame["start"], frame["length"], uid) for frame in record["frames"]
        ]

    def _coercion(self, differing: list[str]) -> tuple[Warned, ...]:
        if not differing or not self.switches.warn_when_levels_differ:
            return ()
        names = ", ".join(differing[:10])
        message = f"The file was imported but the image set keeps its earlier values of {names}."
        return (Warned(45056, "CoercionOfDataElements", message),)


def compose_report(job: Any, scanned: int, outcomes: Sequence[Assembled], failed: Sequence[FailedFile]) -> Report:
    """Say what became of a job's files: those of ``outcomes``, and those that ``failed`` before."""
    folder = job_folder(job["output_uri"], job["datastore_id"], job["id"])
    report = Report(job["id"], job["datastore_id"], job["input_uri"], folder, scanned, failed=list(failed))
    for outcome in outcomes:
        report.imported += outcome.imported
        report.failed += outcome.failed
        if outcome.version:
            report.image_sets.append(
                {
                    "imageSetId": outcome.version.image_set_id,
                    "imageSetVersion": outcome.version.version,
                    "isPrimary": outcome.version.is_primary,
                    "numberOfMatchedSOPInstances": outcome.version.matched_instances,
                }
            )
    return report
