"""What must hold for any input: grouping loses and invents nothing; a frame comes back as it went in."""

from __future__ import annotations

import zlib
from typing import Any

import imagecodecs
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from localcloud.healthimaging.importing.grouping import (
    Established,
    EstablishedSeries,
    InstanceIdentity,
    StudyIdentity,
    group_instances,
)
from localcloud.healthimaging.pixels.htj2k import read_codestream
from localcloud.healthimaging.pixels.transcode import plan
from localcloud.healthimaging.switches import Switches

few = st.sampled_from(["1", "2"])
identities = st.builds(
    InstanceIdentity,
    study_instance_uid=few,
    series_instance_uid=st.sampled_from(["1.1", "1.2", "2.1"]),
    sop_instance_uid=st.sampled_from(["a", "b", "c"]),
    study=st.builds(StudyIdentity, study_date=few, accession_number=few, patient_id=few, study_id=few),
    series_number=few,
)


@given(st.lists(identities, max_size=20), st.booleans())
def test_grouping_is_a_partition_with_one_primary_for_each_series(
    instances: list[InstanceIdentity], last_is_primary: bool
) -> None:
    groups = group_instances(instances, Established({}, {}), last_is_primary=last_is_primary)
    members = [position for group in groups for position in group.members]
    assert sorted(members) == list(range(len(instances)))
    for group in groups:
        assert len({(i.series_instance_uid, i.study, i.series_number) for i in _of(group, instances)}) == 1
    primaries = [_of(group, instances)[0] for group in groups if group.is_primary]
    assert len({item.series_instance_uid for item in primaries}) == len(primaries)
    for study_uid in {item.study_instance_uid for item in primaries}:
        assert len({item.study for item in primaries if item.study_instance_uid == study_uid}) == 1
    assert bool(primaries) == bool(instances)


@given(st.lists(identities, min_size=1, max_size=12))
def test_the_same_files_again_extend_exactly_the_primaries(instances: list[InstanceIdentity]) -> None:
    first = group_instances(instances, Established({}, {}))
    studies, series = {}, {}
    for number, group in enumerate(first):
        identity = _of(group, instances)[0]
        if group.is_primary:
            studies[identity.study_instance_uid] = identity.study
            series[identity.series_instance_uid] = EstablishedSeries(
                str(number), identity.study_instance_uid, identity.series_number
            )
    again = group_instances(instances, Established(studies, series))
    assert [group.members for group in again] == [group.members for group in first]
    for number, (group, before) in enumerate(zip(again, first, strict=True)):
        assert group.is_primary == before.is_primary
        assert group.merges_into == (str(number) if before.is_primary else None)


def _of(group: Any, instances: list[InstanceIdentity]) -> list[InstanceIdentity]:
    return [instances[position] for position in group.members]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4"]),
    st.sampled_from([1, 3]),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["noise", "flat", "extremes"]),
)
def test_any_frame_comes_back_as_it_went_in(
    rows: int, columns: int, kind: str, samples: int, seed: int, texture: str
) -> None:
    dtype = np.dtype("<" + kind)
    shape = (rows, columns) if samples == 1 else (rows, columns, samples)
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    pixels = {
        "noise": lambda: rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True),
        "flat": lambda: np.full(shape, limits.min, dtype),
        "extremes": lambda: rng.choice(np.array([limits.min, limits.max], dtype), shape),
    }[texture]()
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, samples
    dataset.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
    if samples == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = dtype.itemsize * 8
    dataset.HighBit = dtype.itemsize * 8 - 1
    dataset.PixelRepresentation = int(dtype.kind == "i")
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OW"
    transcoding = plan(dataset, "HTJ2K", Switches())
    assert transcoding is not None
    (frame,) = transcoding.frames
    decoded = imagecodecs.htj2k_decode(frame.data, planar=False)
    assert decoded.dtype == dtype
    assert np.array_equal(decoded.reshape(shape), pixels)
    assert frame.checksums[-1]["Checksum"] == zlib.crc32(pixels.tobytes())
    assert (frame.minimum, frame.maximum) == (pixels.min(), pixels.max())
    facts = read_codestream(frame.data)
    assert (facts.progression, facts.has_tlm, facts.tile_parts) == (2, True, facts.levels + 1)
