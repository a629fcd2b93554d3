"""Publish what was prepared and trained: builds the release and leaves ``publish.yaml`` beside the models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from friesian_fast.cli.errors import reported
from friesian_fast.cli.publish import build_and_tell
from friesian_fast.errors import NotFoundError
from friesian_fast.release.plan import CandidatesPlan, Interactions, PublishPlan, RankPlan, Seen, write_plan
from friesian_fast.usecases.online_retail.train import RANKED


@reported
def main(
    data_dir: Annotated[Path, typer.Option("--data_dir", help="What prepare wrote.")] = Path("prepared"),
    model_dir: Annotated[Path, typer.Option("--model_dir", help="What train wrote.")] = Path("models"),
    releases: Annotated[Path, typer.Option("--releases", help="Directory of releases.")] = Path("releases"),
    rules: Annotated[
        Path | None, typer.Option("--rules", help="A rules.json, such as one that hides what was bought.")
    ] = None,
) -> None:
    """Build a release; its fallback list counts the buyers of the last two weeks before the split.

    Example: friesian online_retail publish --data_dir prepared --model_dir models --releases releases
    """
    if not model_dir.is_dir():
        raise NotFoundError(f"there is no directory {model_dir}; run the train step first")
    plan = PublishPlan(
        spec=data_dir / "meta" / "spec.json",
        rows={"user": data_dir / "user.parquet", "item": data_dir / "item.parquet"},
        vectors={"user": model_dir / "user_ebd.parquet", "item": model_dir / "item_ebd.parquet"},
        ranker=model_dir,
        interactions=Interactions(path=data_dir / "recent.parquet", item="item_id"),
        seen=Seen(path=data_dir / "sales.parquet", user="user_id", item="item_id"),
        candidates=CandidatesPlan(path=model_dir / "candidates.parquet", user="user_id", item="item_id", score="score"),
        rank=RankPlan(candidates=RANKED),
        rules=rules,
    )
    build_and_tell(plan, releases)
    write_plan(model_dir / "publish.yaml", plan)


if __name__ == "__main__":
    typer.run(main)
