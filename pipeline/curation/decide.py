"""Decides whether this execution trains, and says why in plain words."""

from __future__ import annotations

from dataclasses import dataclass, field

from ahiflow.dataset import DatasetManifest, build_manifest
from ahiflow.errors import DatasetError, NotYetConsistentError
from ahiflow.labels import LabelTable, WhenComplete
from ahiflow.object_store import ObjectStore
from pipeline.curation.claim import Claims, HeldClaim, Standing, get_manifest, put_manifest
from pipeline.curation.join import Joined

_ATTEMPTS = 50  # lost races in a row; each means that another execution got further, so a second is rare


@dataclass(frozen=True, slots=True)
class Decision:
    """``manifest`` is set exactly when this execution trains; ``dataset_sha256`` is what the reason is about."""

    reason: str
    manifest: DatasetManifest | None = None
    dataset_sha256: str | None = None
    labelled_image_sets: int = 0
    new_labelled_image_sets: int = 0
    patients: int = 0
    left_out: dict[str, str] = field(default_factory=dict)


def decide(store: ObjectStore, claims: Claims, table: LabelTable, joined: Joined) -> Decision:
    """Claim the dataset that the joined image sets make, or say why not.

    Raises NotYetConsistentError when other executions kept winning the compare-and-swap.
    """
    for _ in range(_ATTEMPTS):
        held = claims.current()
        decision = _consider(store, table, joined, held)
        if decision.manifest is None or (held is not None and held.standing is Standing.OURS):
            return decision
        put_manifest(store, decision.manifest)
        if claims.take(decision.manifest.sha256, held):
            return decision
    raise NotYetConsistentError("other executions keep changing the claim on the dataset")


def _consider(store: ObjectStore, table: LabelTable, joined: Joined, held: HeldClaim | None) -> Decision:
    if held is not None and held.standing is Standing.OURS:
        ours = get_manifest(store, held.claim.dataset_sha256)
        return _decision("this execution has claimed the dataset", ours, joined, len(ours.items))
    base_sha256 = held.base_dataset_sha256 if held else None
    base = get_manifest(store, base_sha256) if base_sha256 else None
    known = {(s.pixel_checksum, s.label) for s in base.items} if base else set()
    new = sum((c.pixel_checksum, c.label) not in known for c in joined.candidates)
    if reason := _waits(table, joined, new, base, held):
        return Decision(
            reason=reason,
            dataset_sha256=base_sha256,
            labelled_image_sets=len(joined.candidates),
            new_labelled_image_sets=new,
            patients=len({c.patient_pseudonym for c in joined.candidates}),
            left_out=joined.left_out,
        )
    last = get_manifest(store, held.claim.dataset_sha256) if held else None
    try:
        manifest = build_manifest(
            joined.candidates,
            label_name=table.label_name,
            class_names=table.class_names,
            label_table_sha256=table.sha256,
            kept={s.patient_pseudonym: s.split for s in last.items} if last else None,
        )
    except DatasetError as error:
        return Decision(
            reason=f"not trained: {error}",
            labelled_image_sets=len(joined.candidates),
            new_labelled_image_sets=new,
            patients=len({c.patient_pseudonym for c in joined.candidates}),
            left_out=joined.left_out,
        )
    why = f"{new} new labelled image sets" if base else f"{new} labelled image sets and no dataset before"
    return _decision(why, manifest, joined, new)


def _waits(
    table: LabelTable, joined: Joined, new: int, base: DatasetManifest | None, held: HeldClaim | None
) -> str | None:
    """Why not to train, or None."""
    if isinstance(table.train_when, WhenComplete) and joined.missing_instances:
        total = len(table.labels)
        return f"{total - joined.missing_instances} of {total} labelled instances had been fetched by then"
    if base is not None and held is not None and new == 0:
        standing = Standing.TRAINED if held.standing is Standing.VOID else held.standing
        return f"nothing new: all labelled image sets are in dataset {base.sha256[:12]}, and {standing.value}"
    if not isinstance(table.train_when, WhenComplete) and new < table.train_when.minimum_new_image_sets:
        return f"{new} of {table.train_when.minimum_new_image_sets} new labelled image sets had come by then"
    return None


def _decision(reason: str, manifest: DatasetManifest, joined: Joined, new: int) -> Decision:
    return Decision(
        reason=reason,
        manifest=manifest,
        dataset_sha256=manifest.sha256,
        labelled_image_sets=len(manifest.items),
        new_labelled_image_sets=new,
        patients=len(manifest.patients()),
        left_out=joined.left_out,
    )
