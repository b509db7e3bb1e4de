"""What the public record leaves open or a test needs to shorten, each as one named switch with its evidence.

Section numbers are those of the project's HealthImaging fact sheet; [U] there means unconfirmed.
docs/healthimaging-emulator.md holds the same list for a reader.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switches:
    """Times in seconds, sizes in bytes. The defaults suit a laptop; the service's own limits are the defaults."""

    # Delays. AWS creates a data store in "a few minutes" and imports in a minute or two (2.2); locally that is waste.
    datastore_creating_seconds: float = 0.2
    datastore_deleting_seconds: float = 0.2
    job_submitted_seconds: float = 0.05
    image_set_deleting_seconds: float = 0.2

    # Quotas (2.1).
    max_files_per_job: int = 5_000
    max_bytes_per_job: int = 10 * 2**30
    max_bytes_per_file: int = 4 * 2**30
    max_concurrent_jobs: int = 100
    max_datastores: int = 10
    max_metadata_bytes: int = 50 * 10**6

    # [U] 9.2: what a job does when nothing lies under its prefix: COMPLETED with zero files, or FAILED.
    empty_prefix_fails: bool = False
    # [U] 2.1: zero-byte keys that end in "/" (console "folders") are passed over and not counted as scanned.
    skip_folder_objects: bool = True
    # [U] 9.3: whether SUCCESS, FAILURE and WARNING files are written when they would be empty.
    write_empty_ndjson: bool = False
    # [U] 2.3: whether a file that was imported with a warning stands in SUCCESS too. "isPrimary" there is JSON.
    warned_files_in_success: bool = False
    # [U] 5: what an increment of a primary image set emits: "Image Set Updated", "Image Set Created" or "" (nothing).
    increment_detail_type: str = "Image Set Updated"
    # [O] 0.1: real events spell imageSetId; the developer guide prints imagesetId.
    event_image_set_id_key: str = "imageSetId"
    # [O] 5: detail.outputS3Uri of the completed event is the job's folder; the guide's example shows the prefix.
    completed_event_has_job_folder: bool = True
    # [U] 2.5: when one job holds conflicting instances of a new study, the first by key order makes the primary.
    last_conflicting_group_is_primary: bool = False
    # [U] 2.5: an instance whose hoisted Patient, Study or Series values differ from the image set's own is imported
    # with warning 45056; off: in silence. Either way the first value stands.
    warn_when_levels_differ: bool = True
    # [O] 0.10: documents of 2025 have one full-resolution checksum; those of 2023 had base, half and full.
    checksum_levels: int = 1
    # [O] 3: DS and IS keep the padding of the file in 2025 documents; those of 2023 had none.
    keep_number_padding: bool = True
    # [U] 4: use the reversible colour transform for RGB frames; others (YBR as stored) never use one.
    colour_transform_for_rgb: bool = True
    # [U] 4: Content-Type of frames stored as 1.2.840.10008.1.2.4.90, which the model's table leaves out.
    jpeg_2000_lossless_content_type: str = "application/octet-stream"
    # [U] 3: ChecksumType of frames kept as they came; "DECOMPRESSED" is the one value observed, for transcoded ones.
    kept_frame_checksum_type: str = "COMPRESSED"

    import_threads: int = 2
