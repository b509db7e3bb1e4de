"""Where everything lies in the two buckets (design.md section 5). Nothing else spells a key.

Ingest bucket
    ``instances/<batch id>/<SOP Instance UID>.dcm``    one instance as received, Part 10
    ``batches/<batch id>.json``                        the batch manifest, written last
Artifacts bucket
    ``image-sets/<datastore>/<image set>/<version>/``  what the fetcher writes; ``_SUCCESS`` last
    ``imports/``                                       output folders of import jobs
    ``labels/<sha256>.json``, ``labels/current.json``  label tables and the one in force
    ``curation/image-sets/<image set>/<version>.json`` what curation knows of an image set version
    ``datasets/<sha256>/manifest.json``                immutable dataset manifests
    ``datasets/current.json``                          the dataset claimed last (compare-and-swap)
    ``executions/<pipeline execution id>/<step>/``     what an execution's steps write
    ``approvals/<sha256 of the model package arn>/<number>.json``  signed approvals and rejections, chained
"""

from __future__ import annotations

import hashlib

INSTANCES = "instances/"
BATCHES = "batches/"
IMAGE_SETS = "image-sets/"
IMPORTS = "imports/"
LABELS = "labels/"
CURRENT_LABELS = "labels/current.json"
CURATED_IMAGE_SETS = "curation/image-sets/"
DATASETS = "datasets/"
CURRENT_DATASET = "datasets/current.json"
EXECUTIONS = "executions/"
APPROVALS = "approvals/"
SUCCESS_MARKER = "_SUCCESS"


def batch_prefix(batch_id: str) -> str:
    """Prefix of a batch's instances, with the trailing slash that StartDICOMImportJob needs."""
    return f"{INSTANCES}{batch_id}/"


def instance_key(batch_id: str, sop_instance_uid: str, duplicate: int = 0) -> str:
    """Key of one received instance; ``duplicate`` > 0 marks the same SOP Instance UID sent again in one batch."""
    suffix = f".{duplicate}" if duplicate else ""
    return f"{INSTANCES}{batch_id}/{sop_instance_uid}{suffix}.dcm"


def batch_manifest_key(batch_id: str) -> str:
    """Key of a batch manifest. Its creation is the event that starts the import."""
    return f"{BATCHES}{batch_id}.json"


def image_set_prefix(datastore_id: str, image_set_id: str, version_id: str) -> str:
    """Prefix of the fetcher's output for one image set version, with the trailing slash."""
    return f"{IMAGE_SETS}{datastore_id}/{image_set_id}/{version_id}/"


def curated_image_set_key(image_set_id: str, version_id: str) -> str:
    """Key of what curation knows of one image set version."""
    return f"{CURATED_IMAGE_SETS}{image_set_id}/{version_id}.json"


def labels_key(sha256: str) -> str:
    """Key of an immutable label table."""
    return f"{LABELS}{sha256}.json"


def dataset_prefix(sha256: str) -> str:
    """Prefix of an immutable dataset, named by the SHA-256 of its manifest."""
    return f"{DATASETS}{sha256}/"


def approval_prefix(model_package_arn: str) -> str:
    """Prefix of the signed decisions on one model package."""
    return f"{APPROVALS}{hashlib.sha256(model_package_arn.encode()).hexdigest()}/"


def approval_key(model_package_arn: str, number: int) -> str:
    """Key of the n-th decision on a model package, from 1; keys sort as the decisions were made."""
    return f"{approval_prefix(model_package_arn)}{number:06d}.json"
