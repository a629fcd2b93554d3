"""Publish the walkthrough's outputs: builds the release and leaves ``publish.yaml`` beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from friesian_fast.cli.errors import reported
from friesian_fast.cli.publish import build_and_tell
from friesian_fast.errors import NotFoundError
from friesian_fast.release.plan import Interactions, PublishPlan, write_plan


@reported
def main(
    data_dir: Annotated[Path, typer.Option("--data_dir", help="The preprocessed data, with the predicted vectors.")],
    wnd_dir: Annotated[Path, typer.Option("--wnd_dir", help="The trained ranker.")] = Path("recsys_wnd"),
    releases: Annotated[Path, typer.Option("--releases", help="Directory of releases.")] = Path("releases"),
) -> None:
    """Build a release from the outputs of the steps before, and keep its publish.yaml beside them.

    Example: friesian recsys2021 publish --data_dir data/preprocessed --wnd_dir recsys_wnd --releases releases
    """
    plan = PublishPlan(
        spec=data_dir / "meta" / "spec.json",
        rows={"user": data_dir / "wnd_user.parquet", "item": data_dir / "wnd_item.parquet"},
        vectors={"user": data_dir / "user_ebd.parquet", "item": data_dir / "item_ebd.parquet"},
        ranker=wnd_dir,
        interactions=Interactions(path=data_dir / "train_parquet", item="tweet_id", label="label"),
    )
    if not data_dir.is_dir():
        raise NotFoundError(f"there is no directory {data_dir}; run the preprocess step first")
    build_and_tell(plan, releases)
    write_plan(data_dir / "publish.yaml", plan)


if __name__ == "__main__":
    typer.run(main)
