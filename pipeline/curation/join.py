"""Joins labels of instances with image sets. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ahiflow.dataset import Candidate
from ahiflow.labels import LabelTable
from pipeline.curation.index import CuratedImageSet


@dataclass(frozen=True, slots=True)
class Joined:
    """Image sets with one label each; those left out, image set id -> why; labelled instances that were not fetched."""

    candidates: tuple[Candidate, ...]
    left_out: dict[str, str]
    missing_instances: int


def join_labels(records: Iterable[CuratedImageSet], table: LabelTable) -> Joined:
    """Give each image set the label that its labelled instances agree on.

    An image set without a label is no fault and is not listed; one whose instances disagree, or without pixels, is.
    """
    candidates: list[Candidate] = []
    left_out: dict[str, str] = {}
    seen: set[str] = set()
    for record in records:
        labelled = [h for h in record.sop_instance_hashes if h in table.labels]
        seen.update(labelled)
        labels = {table.labels[h] for h in labelled}
        if not labels:
            continue
        if len(labels) > 1:
            left_out[record.image_set_id] = "its instances have different labels"
        elif record.pixel_checksum is None:
            left_out[record.image_set_id] = "it is labelled but has no pixels"
        else:
            candidates.append(
                Candidate(
                    datastore_id=record.datastore_id,
                    image_set_id=record.image_set_id,
                    version_id=record.version_id,
                    patient_pseudonym=record.patient_pseudonym,
                    pixel_checksum=record.pixel_checksum,
                    label=labels.pop(),
                    labelled_instances=len(labelled),
                )
            )
    return Joined(tuple(candidates), left_out, missing_instances=len(table.labels.keys() - seen))
