"""Which image set an instance lands in."""

from __future__ import annotations

from dataclasses import replace

from localcloud.healthimaging.importing.grouping import (
    Established,
    EstablishedSeries,
    Group,
    InstanceIdentity,
    StudyIdentity,
    group_instances,
)

STUDY = StudyIdentity("20260102", "A1", "P1", "S1")
ONE = InstanceIdentity("1.2", "1.2.1", "1.2.1.1", STUDY, "1")
NOTHING = Established({}, {})


def test_series_of_one_study_are_image_sets_of_their_own_and_all_primary() -> None:
    other = replace(ONE, series_instance_uid="1.2.2", sop_instance_uid="1.2.2.1", series_number="2")
    assert group_instances([ONE, other, ONE], NOTHING) == [Group((0, 2), True, None), Group((1,), True, None)]


def test_what_agrees_with_the_primary_extends_it() -> None:
    known = Established({"1.2": STUDY}, {"1.2.1": EstablishedSeries("a" * 32, "1.2", "1")})
    assert group_instances([ONE], known) == [Group((0,), True, "a" * 32)]


def test_what_conflicts_with_the_study_cannot_be_primary_even_in_a_series_of_its_own() -> None:
    other = replace(ONE, series_instance_uid="1.2.2", study=replace(STUDY, study_date="20260103"))
    known = Established({"1.2": STUDY}, {})
    assert group_instances([other], known) == [Group((0,), False, None)]


def test_two_patients_in_one_job_split_and_the_switch_says_which_is_primary() -> None:
    other = replace(ONE, sop_instance_uid="1.2.1.2", study=replace(STUDY, patient_id="P2"))
    assert [group.is_primary for group in group_instances([ONE, other], NOTHING)] == [True, False]
    last = group_instances([ONE, other], NOTHING, last_is_primary=True)
    assert [(group.members, group.is_primary) for group in last] == [((1,), True), ((0,), False)]


def test_a_series_uid_used_by_two_studies_is_primary_once() -> None:
    other = replace(ONE, study_instance_uid="1.3")
    assert [group.is_primary for group in group_instances([ONE, other], NOTHING)] == [True, False]
