"""In the style of the original's data of a listwise ranker on film ratings; only the import lines are ours."""

import os
from argparse import ArgumentParser

from friesian_fast.compat import FeatureTable, init_orca_context, stop_orca_context

if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--cluster_mode", type=str, default="local")
    parser.add_argument("--backend", type=str, default="ray")
    parser.add_argument("--data_dir", type=str, default="./ml-1m")
    args = parser.parse_args()
    sc = init_orca_context(args.cluster_mode, cores=2, memory="2g", init_ray_on_spark=args.backend == "ray")

    ratings = FeatureTable.read_csv(
        os.path.join(args.data_dir, "ratings.dat"), delimiter=":", names=["user", "item", "rating"], dtype="int"
    )
    movies = FeatureTable.read_csv(
        os.path.join(args.data_dir, "movies.dat"), delimiter=":", names=["item", "title"], dtype={"item": "int"}
    )
    joined = ratings.join(movies, "item", how="left").dropna(columns=None)
    joined = joined.apply("rating", "rating", lambda x: float(x), "float").select("user", "title", "rating")
    vocabularies = joined.get_vocabularies(["title"])
    lists = joined.group_by("user", agg={"title": "collect_list", "rating": "collect_list"})
    lists = lists.rename({"collect_list(title)": "titles", "collect_list(rating)": "ratings"})
    sampled = lists.sample_listwise(
        ["titles", "ratings"], num_sampled_list=4, num_sampled_item=3, random_seed=42, replace=True
    )
    sampled.write_parquet(os.path.join(args.data_dir, "lists"))
    print(len(vocabularies["title"]), "titles")
    stop_orca_context()
