"""Which instances make one image set, and whether it is primary (developer guide, understanding-image-sets).

One image set holds one series. Instances join the primary image set of their series when StudyDate, AccessionNumber,
PatientID and StudyID agree with what the primary image sets of that study have, and SeriesNumber and StudyInstanceUID
with what the series has. What conflicts becomes a non-primary image set of its own, once for each import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """The grouping elements of a study, padding removed, absent as ''."""

    study_date: str
    accession_number: str
    patient_id: str
    study_id: str


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """All that grouping looks at."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    study: StudyIdentity
    series_number: str


@dataclass(frozen=True, slots=True)
class EstablishedSeries:
    """A primary image set that exists."""

    image_set_id: str
    study_instance_uid: str
    series_number: str


@dataclass(frozen=True, slots=True)
class Established:
    """What the data store's primary image sets say, by Study and by Series Instance UID."""

    studies: Mapping[str, StudyIdentity]
    series: Mapping[str, EstablishedSeries]


@dataclass(frozen=True, slots=True)
class Group:
    """Instances (by position in the input) of one image set; ``merges_into`` names the primary that they extend."""

    members: tuple[int, ...]
    is_primary: bool
    merges_into: str | None


def group_instances(
    instances: Sequence[InstanceIdentity], established: Established, *, last_is_primary: bool = False
) -> list[Group]:
    """Partition ``instances``. Of conflicting parts of a new study or series the first by position becomes primary,
    or the last, as the switch says."""
    parts: dict[tuple[str, str, StudyIdentity, str], list[int]] = {}
    for position, instance in enumerate(instances):
        key = (instance.study_instance_uid, instance.series_instance_uid, instance.study, instance.series_number)
        parts.setdefault(key, []).append(position)
    studies = dict(established.studies)
    series = dict(established.series)
    taken: set[str] = set()
    groups = []
    for key in reversed(parts) if last_is_primary else parts:
        study_uid, series_uid, study, series_number = key
        known = series.get(series_uid)
        is_primary = studies.get(study_uid, study) == study and (
            known is None or (known.study_instance_uid, known.series_number) == (study_uid, series_number)
        )
        is_primary = is_primary and series_uid not in taken
        merges_into = known.image_set_id if is_primary and known else None
        if is_primary:
            taken.add(series_uid)
            studies[study_uid] = study
            series.setdefault(series_uid, EstablishedSeries("", study_uid, series_number))
        groups.append(Group(tuple(parts[key]), is_primary, merges_into or None))
    return groups
