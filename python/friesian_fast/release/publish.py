"""Builds a release, step by step, beside the live ones; ``CURRENT`` swings last. Offline: heavy imports allowed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import friesian_fast
from friesian_fast._files import replacing, sync
from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import IvfIndex
from friesian_fast.release.candidate_lists import write_candidates
from friesian_fast.release.candidates import check_lists
from friesian_fast.release.gates import Gate, check_gates, release_metrics
from friesian_fast.release.inputs import Inputs, read_inputs
from friesian_fast.release.item_index import write_index
from friesian_fast.release.manifest import (
    FILE_NAME,
    FileEntry,
    IndexEntry,
    Manifest,
    PopularEntry,
    RankerEntry,
    RowSetEntry,
)
from friesian_fast.release.open import BUILDING, CURRENT, POPULAR_FILE, SPEC_FILE, load, sha256_of
from friesian_fast.release.plan import Interactions, PublishPlan
from friesian_fast.release.race import Track
from friesian_fast.release.ranker import check_rank_plan, write_ranker
from friesian_fast.release.serving_parts import write_item_columns, write_rules, write_seen
from friesian_fast.release.tables import RowTable, read_columns
from friesian_fast.spec import CANDIDATE, FeatureSpec
from friesian_fast.store import MappedRowStore

LOCK = ".lock"
POPULAR_LIMIT = 1000


def publish(plan_path: str | os.PathLike[str], releases: str | os.PathLike[str]) -> Path:
    """Freeze what a plan names into a release and make it the current one.

    Parameters
    ----------
    plan_path : path
        A ``publish.yaml``.
    releases : path
        The directory of releases; made if it is not there.

    Returns
    -------
    Path
        The release.

    Raises
    ------
    InvalidInputError, NotFoundError
        If an input is missing or does not fit the spec; it names the file and the column. The releases are then as
        they were.
    """
    return publish_plan(PublishPlan.load(plan_path), releases)


def publish_plan(
    plan: PublishPlan,
    releases: str | os.PathLike[str],
    on_step: Callable[[str], None] = lambda step: None,
    track: Track = iter,
    *,
    require: Sequence[Gate] = (),
    evaluation: Path | None = None,
) -> Path:
    """`publish` of a plan at hand; `on_step` is told what begins, `track` shows how far the ranker's timing is.

    What falls short of `require`, by the training's metrics or by the report of an evaluation, is not published.
    """
    check_rank_plan(plan.rank)
    on_step("reading and checking the inputs")
    inputs = read_inputs(plan)
    if require:
        check_gates(require, release_metrics(inputs.training, evaluation))
    releases = Path(releases).absolute()
    try:
        releases.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"cannot make the directory of releases {releases}: {error.strerror}") from error
    with _exclusive(releases, on_step):
        _remove_leftovers(releases)
        release_id = _free_id(releases, inputs.spec)
        building = releases / f"{BUILDING}{release_id}"
        building.mkdir()
        try:
            _build(inputs, building, release_id, on_step, track)
            return activate(building, releases, release_id)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _build(inputs: Inputs, building: Path, release_id: str, on_step: Callable[[str], None], track: Track) -> None:
    on_step("writing the rows")
    write_spec(inputs, building)
    row_sets = write_rows(inputs, building)
    on_step(f"building the index of {len(inputs.vectors['item'].ids):,} items and measuring its recall")
    index = write_index(inputs, building)
    row_sets |= write_serving_parts(inputs, building / index.layout, building)
    on_step("timing the ranker's runtimes on real requests")
    ranker = write_ranker(inputs, building, row_sets, index, track)
    on_step("writing the fallback list and the manifest")
    popular = write_popular(inputs, building)
    write_manifest(inputs, building, release_id, row_sets, index, ranker, popular)
    on_step("verifying")
    verify(building, release_id)


def write_spec(inputs: Inputs, building: Path) -> None:
    """The spec, with the vectors' row sets."""
    inputs.spec.save(building / SPEC_FILE)


def write_rows(inputs: Inputs, building: Path) -> dict[str, RowSetEntry]:
    """One mapped store per row set."""
    (building / "rows").mkdir()
    tables = dict(inputs.rows)
    for name, table in inputs.vectors.items():
        tables[f"{name}_vector"] = RowTable(table.ids, {"embedding": table.vectors})
    entries = {}
    for name, rows in tables.items():
        file, tag = f"rows/{name}.rows", inputs.spec.row_tag(name)
        MappedRowStore.write(building / file, inputs.spec.row_set(name), tag, rows.ids, rows.columns)
        entries[name] = RowSetEntry(file=file, rows=len(rows.ids), tag=tag.hex())
    return entries


def write_serving_parts(inputs: Inputs, layout: Path, building: Path) -> dict[str, RowSetEntry]:
    """Where the plan names it: item columns and rules, what users have seen, and what is proposed to them."""
    index, items = IvfIndex.open(layout, verify=False), inputs.vectors["item"].ids
    if inputs.columns is not None:
        index = index.with_columns(write_item_columns(inputs.columns, items, index, building))
    if inputs.rules is not None and inputs.rules_path is not None:
        write_rules(inputs.rules, inputs.rules_path, index, building)
    entries = {} if inputs.seen is None else write_seen(inputs.seen, items, index, inputs.spec, building)
    if inputs.candidates is not None:
        entries |= write_candidates(inputs.candidates, items, index, inputs.spec, building)
    return entries


def write_popular(inputs: Inputs, building: Path) -> PopularEntry:
    """The fallback list: the live items by their share of the interactions."""
    log, id_type = inputs.interactions, inputs.spec.row_set("item").id_type
    counts = pc.value_counts(_interacted(log))
    total = pc.sum(counts.field("counts")).as_py() or 0
    live = pa.array(inputs.rows["item"].ids, pa.int64() if id_type == "int64" else pa.string())
    try:
        values = counts.field("values").cast(live.type)
    except pa.ArrowException as error:
        raise InvalidInputError(f"{log.path}: column '{log.item}' holds no {id_type} item ids ({error})") from error
    known = pa.table({"id": values, "count": counts.field("counts")}).filter(pc.is_in(values, live))
    best = known.sort_by([("count", "descending"), ("id", "ascending")]).slice(0, POPULAR_LIMIT).to_pylist()
    if not best:
        raise InvalidInputError(f"{log.path}: column '{log.item}' names none of the items that have rows")
    _write_json(building / POPULAR_FILE, [{"id": row["id"], "score": row["count"] / total} for row in best])
    return PopularEntry(file=POPULAR_FILE, items=len(best))


def write_manifest(
    inputs: Inputs,
    building: Path,
    release_id: str,
    row_sets: dict[str, RowSetEntry],
    index: IndexEntry,
    ranker: RankerEntry,
    popular: PopularEntry,
) -> None:
    """Sizes and hashes of all that was written, and how it was made."""
    names = sorted(path.relative_to(building).as_posix() for path in building.rglob("*") if path.is_file())
    manifest = Manifest(
        id=release_id,
        name=inputs.spec.name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        spec_fingerprint=inputs.spec.fingerprint(),
        files={
            name: FileEntry(bytes=(building / name).stat().st_size, sha256=sha256_of(building / name)) for name in names
        },
        row_sets=row_sets,
        index=index,
        ranker=ranker,
        popular=popular,
        metrics=inputs.training.get("metrics", {}),
        versions=_versions(inputs.training),
    )
    (building / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")


def verify(building: Path, release_id: str) -> None:
    """Open what was written as a server would, and read it once; then let it reach the disk.

    Rows and index are held against the checksums that were taken before they were written. The manifest's hashes are
    those of the files as they are, so a server, which reads all again by them, would believe what was damaged on its
    way; to hash once more here would say nothing new.
    """
    release = load(building, release_id, verify=False)
    for name, entry in release.manifest.row_sets.items():
        store = MappedRowStore.open(building / entry.file, release.spec.row_set(name), release.spec.row_tag(name))
        if name == CANDIDATE:
            check_lists(store)  # or servers would refuse them
        store.close()
    IvfIndex.open(building / release.manifest.index.layout)
    for path in (building, *building.rglob("*")):
        sync(path)


def activate(building: Path, releases: Path, release_id: str) -> Path:
    """Rename the release into place, then swing ``CURRENT``."""
    release = releases / release_id
    building.rename(release)
    sync(releases)
    with replacing(releases / CURRENT) as partial:
        partial.write_text(release_id + "\n", encoding="utf-8")
        sync(partial)
    return release


def _interacted(log: Interactions) -> Any:
    table = read_columns(log.path, [log.item] + ([log.label] if log.label else []))
    items = table[log.item]
    if log.label:
        label = table[log.label]
        if not (pa.types.is_integer(label.type) or pa.types.is_floating(label.type) or pa.types.is_boolean(label.type)):
            raise InvalidInputError(f"{log.path}: label '{log.label}' has type {label.type}; it must be a number")
        items = items.filter(pc.greater(label.cast(pa.float64()), 0.0))
    return items.drop_null().combine_chunks()


def _versions(training: dict[str, Any]) -> dict[str, str]:
    versions = {"friesian_fast": friesian_fast.__version__}
    versions |= {name: version(package) for name, package in _PACKAGES.items()}
    framework = training.get("framework")
    if isinstance(framework, dict):
        versions |= {str(name): str(value) for name, value in framework.items()}
    elif framework:
        versions["framework"] = str(framework)
    return versions


_PACKAGES = {"numpy": "numpy", "faiss": "faiss-cpu", "onnx": "onnx"}


@contextmanager
def _exclusive(releases: Path, on_step: Callable[[str], None]) -> Iterator[None]:
    """One publish at a time; the lock goes with the process, however it ends."""
    with (releases / LOCK).open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_step(f"waiting for another publish into {releases}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_leftovers(releases: Path) -> None:
    for path in releases.glob(f"{BUILDING}*"):
        shutil.rmtree(path)


def _free_id(releases: Path, spec: FeatureSpec) -> str:
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    base = f"{stamp}-{spec.fingerprint()[:8]}"
    candidate, number = base, 1
    while (releases / candidate).exists():
        number += 1
        candidate = f"{base}-{number}"
    return candidate


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
