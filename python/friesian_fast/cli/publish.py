"""`friesian publish`: freeze features, index and models into a release."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from friesian_fast.release.gates import Gate
from friesian_fast.release.manifest import FILE_NAME, Manifest, RankerEntry
from friesian_fast.release.plan import PublishPlan


def publish(
    config: Annotated[Path, typer.Option("-c", "--config", help="The publish.yaml that names the parts.")],
    releases: Annotated[Path, typer.Option(help="Directory of releases; made if it is not there.")],
    runtime: Annotated[
        str | None, typer.Option(help="Rank with this runtime, measured but not chosen: 'onnxruntime-fp32', ...")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            help="Publish only if this holds: 'ndcg@10>=0.05'; may be repeated. Metrics of the rows that were trained "
            "on are refused."
        ),
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="A report.json of friesian evaluate, whose metrics --require may name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest instead of the table.")] = False,
) -> None:
    """Build a release beside the live ones, verify it, then make it the current one.

    Example: friesian publish -c publish.yaml --releases releases
    """
    gates = [Gate.parse(text) for text in require or []]
    plan = PublishPlan.load(config)
    if runtime is not None:
        plan = replace(plan, rank=replace(plan.rank, runtime=runtime, runtimes=None))
    build_and_tell(plan, releases, as_json=as_json, require=gates, evaluation=evaluation)


def build_and_tell(
    plan: PublishPlan,
    releases: Path,
    *,
    as_json: bool = False,
    require: Sequence[Gate] = (),
    evaluation: Path | None = None,
) -> None:
    """Publish a plan: the steps on stderr as they begin, what was made on stdout."""
    from friesian_fast.release.publish import publish_plan

    started = time.perf_counter()
    steps = Console(stderr=True, highlight=False, soft_wrap=True)

    def track(requests: Sequence[Any]) -> Iterable[Any]:
        return progress(requests, "publish:", console=steps, transient=True, disable=not steps.is_terminal)

    def tell(step: str) -> None:
        steps.print(f"publish: {step}", markup=False)

    release = publish_plan(plan, releases, tell, track, require=require, evaluation=evaluation)
    elapsed = time.perf_counter() - started
    text = (release / FILE_NAME).read_text(encoding="utf-8")
    if as_json:
        typer.echo(text, nl=False)
    else:
        manifest, out = Manifest.from_json(text), Console(highlight=False, soft_wrap=True)
        out.print(_summary(manifest, release, elapsed))
        out.print(_runtimes(manifest.ranker))


def _summary(manifest: Manifest, release: Path, elapsed: float) -> Table:
    table = Table(title=f"{release}", title_justify="left", show_header=False)
    table.add_column("part", style="bold")
    table.add_column("what")
    for name, entry in manifest.row_sets.items():
        table.add_row(f"rows {name}", f"{entry.rows:,}")
    index, ranker = manifest.index, manifest.ranker
    lists = f"at most {index.most_lists}" if index.margin else f"{index.nprobe}"
    probes = f"{index.vectors:,} vectors in {index.nlist} lists, {lists} probed, {index.rerank} rows compared"
    table.add_row("index", f"{Path(index.file).name}: {probes}")
    recall = (
        f"{index.recall:.4f} against exact search, {index.recall_queries:,} queries; {index.tuned_recall:.4f} of the "
        f"{index.tuned_queries:,} it was tuned on"
    )
    table.add_row(f"recall@{index.recall_k}", recall)
    table.add_row("ranker", f"{ranker.runtime}; the export within {ranker.max_error:.1e} of the training's scores")
    table.add_row("popular", f"{manifest.popular.items:,} items")
    for name, value in manifest.metrics.items():
        table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    size = sum(entry.bytes for entry in manifest.files.values())
    table.add_row("size", f"{size / 1e6:.1f} MB in {len(manifest.files)} files")
    table.add_row("took", f"{elapsed:.1f} s")
    return table


def _runtimes(ranker: RankerEntry) -> Table:
    asked = f"{ranker.requests:,} requests of up to {ranker.candidates} candidates"
    title = f"ranking runtimes on {asked}, {ranker.machine.cpu}"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("runtime", "requests", "p50 ms", "p99 ms", "agreement", "error", "of all", ""):
        text = name in ("runtime", "")
        table.add_column(name, justify="left" if text else "right", no_wrap=not text or name == "runtime")
    for entry in ranker.runtimes:
        chosen = "chosen" if entry.name == ranker.runtime else ""
        why = ", ".join(part for part in (chosen, entry.refused) if part)
        numbers = f"{entry.requests:,}", f"{entry.p50_ms:.3f}", f"{entry.p99_ms:.3f}", f"{entry.agreement:.4f}"
        errors = f"{entry.shown_error:.1e}", f"{entry.max_error:.1e}"
        table.add_row(entry.name, *numbers, *errors, why)
    for name, why in ranker.skipped.items():
        table.add_row(name, *[""] * 6, why)
    return table
