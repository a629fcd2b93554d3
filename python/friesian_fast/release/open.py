"""Opens a release: everything is verified before anything is mapped. Light: this is what servers import."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from friesian_fast.errors import FriesianError, MissingExtraError, ReleaseError, UnsupportedRuntimeError
from friesian_fast.rank import REFERENCE, RUNTIMES, Ranker, open_ranker
from friesian_fast.recall import ItemColumns, IvfIndex
from friesian_fast.recall.columns import FILE_NAME as COLUMNS_FILE
from friesian_fast.release.candidates import candidate_columns, check_lists
from friesian_fast.release.manifest import FILE_NAME, Manifest
from friesian_fast.release.rules import Rules, rules_from_json
from friesian_fast.release.seen import SEEN
from friesian_fast.spec import CANDIDATE, FeatureSpec
from friesian_fast.store import MappedRowStore

CURRENT = "CURRENT"
BUILDING = ".building-"
SPEC_FILE = "spec.json"
POPULAR_FILE = "popular.json"
RULES_FILE = "rules.json"
COLUMNS_DIRECTORY = "index/columns"
_LONGEST_ID = 100  # ours have 25 characters
_log = logging.getLogger(__name__)
_MEND = "publish again, or point CURRENT at another release"


class PopularItem(NamedTuple):
    """One entry of the fallback list; `score` is the item's share of the interactions."""

    id: int | str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An open release.

    Parameters
    ----------
    id : str
    path : Path
    manifest : Manifest
    spec : FeatureSpec
    popular : tuple of PopularItem
        Best first.
    rules : Rules or None
    huge_pages : bool
        Whether rows and index are copied into huge pages instead of mapped.
    """

    id: str
    path: Path
    manifest: Manifest
    spec: FeatureSpec
    popular: tuple[PopularItem, ...]
    rules: Rules | None = None
    huge_pages: bool = False

    @property
    def ranker_path(self) -> Path:
        """The ONNX model."""
        return self.path / self.manifest.ranker.file

    def ranker(self, threads: int = 1) -> Ranker:
        """Open the ranker on the runtime that `publish` chose, or, where this machine lacks it, on the reference.

        Parameters
        ----------
        threads : int, default 1
            Threads of one call.

        Raises
        ------
        ReleaseError, SchemaMismatchError
            If the model is damaged or not the spec's.
        """
        entry = self.manifest.ranker
        try:
            return open_ranker(self.path / entry.model, self.spec, runtime=entry.runtime, threads=threads)
        except (MissingExtraError, ReleaseError, UnsupportedRuntimeError) as error:
            if entry.runtime == REFERENCE:
                raise
            _log.warning("release %s ranks on %s, not on %s as published: %s", self.id, REFERENCE, entry.runtime, error)
        return open_ranker(self.ranker_path, self.spec, threads=threads)

    def row_store(self, name: str) -> MappedRowStore:
        """Map or copy the rows of a row set; the caller closes the store."""
        row_set, path = self.spec.row_set(name), self.path / self.manifest.row_sets[name].file
        tag = self.spec.row_tag(name)
        return MappedRowStore.open(path, row_set, tag, verify=False, huge_pages=self.huge_pages)

    def index(self) -> IvfIndex:
        """Map or copy the item index, with the item columns if there are any, set as `publish` measured it."""
        path = self.path / self.manifest.index.layout
        index = IvfIndex.open(path, verify=False, huge_pages=self.huge_pages)
        if f"{COLUMNS_DIRECTORY}/{COLUMNS_FILE}" not in self.manifest.files:
            return index
        return index.with_columns(ItemColumns.open(self.path / COLUMNS_DIRECTORY))


def open_release(path: str | os.PathLike[str], verify: bool = True, *, huge_pages: bool = False) -> Release:
    """Open a release, or the one that ``CURRENT`` names.

    Parameters
    ----------
    path : path
        A release, or a directory of releases.
    verify : bool, default True
        Whether to hash the files and read every list of candidates. Names, sizes, fingerprint and row tags are always
        checked; only the process that has just published may leave the rest out.
    huge_pages : bool, default False
        Copy what `row_store` and `index` open into huge pages. Look-ups in files far larger than the caches take less
        time; each process then holds copies of its own, and opening reads the files whole.

    Returns
    -------
    Release

    Raises
    ------
    ReleaseError
        If anything is missing, too much, altered, half-written or of an unknown version. It names the file.
    """
    directory = _resolve(Path(path))
    return replace(load(directory, directory.name, verify=verify), huge_pages=huge_pages)


def load(directory: Path, release_id: str, *, verify: bool) -> Release:
    """Check and read the release `release_id` in `directory`; `publish` calls this before it renames."""
    manifest = _read_manifest(directory)
    if manifest.id != release_id:
        raise ReleaseError(
            f"{directory / FILE_NAME} is of release '{manifest.id}', but stands in '{release_id}'; "
            "a release directory keeps its name"
        )
    _check_files(directory, manifest, verify)
    _check_names(directory, manifest)
    spec = _read_spec(directory, manifest)
    release = Release(
        id=manifest.id,
        path=directory,
        manifest=manifest,
        spec=spec,
        popular=_read_popular(directory, manifest, int if spec.row_set("item").id_type == "int64" else str),
        rules=_read_rules(directory, manifest, spec),
    )
    _check_parts(release, verify)
    return release


def _resolve(path: Path) -> Path:
    path = Path(os.path.abspath(path))  # noqa: PTH100 -- resolve() would follow a link and lose the id
    if not path.is_dir():
        raise ReleaseError(f"there is no release at {path}; `friesian publish` makes one")
    if path.name.startswith(BUILDING):
        raise ReleaseError(f"{path} is a half-written release; open the directory above it, or publish again")
    if (path / FILE_NAME).is_file():
        return path
    pointer = path / CURRENT
    if not pointer.is_file():
        raise ReleaseError(
            f"{path} holds neither {FILE_NAME} nor {CURRENT}, so it is no release and no directory of releases; "
            "`friesian publish` writes both"
        )
    name = pointer.read_text(encoding="utf-8", errors="replace").strip()
    if not name or Path(name).name != name or name.startswith(".") or len(name) > _LONGEST_ID:
        raise ReleaseError(f"{pointer} says {name[:_LONGEST_ID]!r}, which is no release id; {_MEND}")
    if not (path / name).is_dir():
        raise ReleaseError(f"{pointer} names the release '{name}', which is not there; {_MEND}")
    return path / name


def _read_manifest(directory: Path) -> Manifest:
    path = directory / FILE_NAME
    try:
        return Manifest.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ReleaseError(f"{directory} has no {FILE_NAME}: it is half-written or not a release; {_MEND}") from error
    except UnicodeDecodeError as error:
        raise ReleaseError(f"{path} is damaged: it is not UTF-8; {_MEND}") from error
    except OSError as error:
        raise ReleaseError(f"{path} cannot be read: {error.strerror}; {_MEND}") from error
    except ReleaseError as error:
        raise ReleaseError(f"{path}: {error}; {_MEND}") from error


def _check_files(directory: Path, manifest: Manifest, verify: bool) -> None:
    found = dict(_walk(directory))
    found.pop(FILE_NAME, None)
    for name in sorted(manifest.files.keys() - found.keys()):
        raise ReleaseError(f"{directory / name} is missing; {_MEND}")
    for name in sorted(found.keys() - manifest.files.keys()):
        raise ReleaseError(f"{directory / name} is not in the manifest; remove it: a release holds nothing else")
    for name, entry in manifest.files.items():
        info = found[name]
        if not stat.S_ISREG(info.st_mode):
            raise ReleaseError(f"{directory / name} is not a regular file; {_MEND}")
        if info.st_size != entry.bytes:
            raise ReleaseError(f"{directory / name} has {info.st_size} bytes instead of {entry.bytes}; {_MEND}")
        if verify and sha256_of(directory / name) != entry.sha256:
            raise ReleaseError(f"{directory / name} was altered: its SHA-256 is not the manifest's; {_MEND}")


def _walk(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    for folder, folders, files in os.walk(directory):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in files + links:
            path = Path(folder) / name
            yield path.relative_to(directory).as_posix(), path.lstat()


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _read_spec(directory: Path, manifest: Manifest) -> FeatureSpec:
    path = directory / SPEC_FILE
    try:
        spec = FeatureSpec.load(path)
    except FriesianError as error:
        raise ReleaseError(f"{error}; {_MEND}") from error
    if spec.fingerprint() != manifest.spec_fingerprint:
        raise ReleaseError(
            f"{path} has the fingerprint {spec.fingerprint()[:8]}… instead of {manifest.spec_fingerprint[:8]}…; {_MEND}"
        )
    return spec


def _read_popular(directory: Path, manifest: Manifest, id_type: type[int] | type[str]) -> tuple[PopularItem, ...]:
    path = directory / manifest.popular.file
    try:
        items = tuple(PopularItem(entry["id"], float(entry["score"])) for entry in json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"{path} is not a list of ids and scores ({error}); {_MEND}") from error
    if len(items) != manifest.popular.items:
        raise ReleaseError(f"{path} has {len(items)} items instead of {manifest.popular.items}; {_MEND}")
    if wrong := [item.id for item in items if type(item.id) is not id_type]:
        raise ReleaseError(f"{path} has the id {wrong[0]!r}, which is no {id_type.__name__}; {_MEND}")
    return items


def _read_rules(directory: Path, manifest: Manifest, spec: FeatureSpec) -> Rules | None:
    if RULES_FILE not in manifest.files:
        return None
    path = directory / RULES_FILE
    try:
        rules = rules_from_json(path.read_text(encoding="utf-8"), spec.row_set("item").id_type)
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{path}: {error}; {_MEND}") from error
    if rules.hide_seen and SEEN not in manifest.row_sets:
        raise ReleaseError(f"{path} hides what users have seen, but the release has no row set '{SEEN}'; {_MEND}")
    return rules


def _check_names(directory: Path, manifest: Manifest) -> None:
    """Every part is one of the files."""
    parts = [entry.file for entry in manifest.row_sets.values()]
    parts += [manifest.index.file, manifest.index.layout, manifest.ranker.file, manifest.popular.file]
    for name in parts:
        if name not in manifest.files:
            raise ReleaseError(f"{directory / FILE_NAME} names '{name}' as a part, but not among its files; {_MEND}")
    model = manifest.ranker.model
    if not any(name == model or name.startswith(f"{model}/") for name in manifest.files):
        raise ReleaseError(f"{directory / FILE_NAME} names '{model}' as a part, but not among its files; {_MEND}")
    runtime = RUNTIMES.get(manifest.ranker.runtime)  # one that is not known here gives way to the reference
    if runtime is not None and Path(model).name != runtime.file:
        raise ReleaseError(
            f"{directory / FILE_NAME} ranks with '{model}' on {manifest.ranker.runtime}, which runs {runtime.file}; "
            f"{_MEND}"
        )


def _check_parts(release: Release, verify: bool) -> None:
    manifest = release.manifest
    wanted = {row_set.name for row_set in release.spec.row_sets}
    if wanted != set(manifest.row_sets):
        raise ReleaseError(
            f"{release.path / FILE_NAME} has the row sets {sorted(manifest.row_sets)}, "
            f"{SPEC_FILE} has {sorted(wanted)}; {_MEND}"
        )
    for name, entry in manifest.row_sets.items():
        path = release.path / entry.file
        if entry.tag != release.spec.row_tag(name).hex():
            raise ReleaseError(f"{path} was made under another spec: its tag is {entry.tag}; {_MEND}")
        try:
            store = release.row_store(name)
            if name == CANDIDATE:
                candidate_columns(store.row_set)
                if verify:
                    check_lists(store)
        except FriesianError as error:
            raise ReleaseError(f"{path} cannot be opened: {error}; {_MEND}") from error
        rows = len(store)
        store.close()
        if rows != entry.rows:
            raise ReleaseError(f"{path} has {rows} rows instead of {entry.rows}; {_MEND}")
    _check_index(release)


def _check_index(release: Release) -> None:
    entry = release.manifest.index
    path = release.path / entry.layout
    try:
        index = release.index()
    except FriesianError as error:
        raise ReleaseError(f"{path} cannot be opened: {error}; {_MEND}") from error
    found = {"vectors": len(index), "dim": index.dim, "nlist": index.nlist, "metric": index.metric}
    for name, value in found.items():
        if value != getattr(entry, name):
            raise ReleaseError(f"{path} has {name} {value} instead of {getattr(entry, name)}; {_MEND}")
    if release.rules is not None:
        try:
            release.rules.check(index)
        except FriesianError as error:
            raise ReleaseError(f"{release.path / RULES_FILE}: {error}; {_MEND}") from error
