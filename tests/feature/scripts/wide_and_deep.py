"""In the style of the original's preprocessing for wide-and-deep; only the import lines are ours."""

import json
import os
from argparse import ArgumentParser
from time import time

from friesian_fast.compat import FeatureTable, exists, init_orca_context, makedirs, stop_orca_context

conf = {
    "spark.network.timeout": "10000000",
    "spark.sql.broadcastTimeout": "7200",
    "spark.sql.shuffle.partitions": "2000",
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.app.name": "wnd-preprocess",
}

bool_cols = ["verified"]
count_cols = ["followers"]
cat_cols = ["language"]
list_cols = ["tags"]


def _parse_args():
    parser = ArgumentParser()
    parser.add_argument("--cluster_mode", type=str, default="local")
    parser.add_argument("--master", type=str, default=None)
    parser.add_argument("--executor_cores", type=int, default=44)
    parser.add_argument("--executor_memory", type=str, default="30g")
    parser.add_argument("--num_executor", type=int, default=8)
    parser.add_argument("--data_dir", type=str, required=True)
    parser.add_argument("--cross_sizes", type=int, default=600)
    return parser.parse_args()


def transform_label(x):
    return 1 if sum(x) > 0 else 0


if __name__ == "__main__":
    args = _parse_args()
    if args.cluster_mode == "local":
        sc = init_orca_context("local", cores=args.executor_cores, memory=args.executor_memory, conf=conf)
    elif args.cluster_mode == "standalone":
        sc = init_orca_context(
            "standalone",
            master=args.master,
            cores=args.executor_cores,
            num_nodes=args.num_executor,
            memory=args.executor_memory,
            driver_cores=4,
            driver_memory="36g",
            conf=conf,
        )
    begin = time()
    tables = {}
    for split in ["train", "test"]:
        tbl = FeatureTable.read_parquet(os.path.join(args.data_dir, split))
        tbl = tbl.cast(bool_cols + count_cols, "int").fillna(0, ["like_time", "reply_time"])
        tbl = tbl.fillna("", list_cols)
        tbl = tbl.encode_string("media", {"": 0, "Photo": 1, "Video": 2})
        tables[split] = tbl.apply("tags", "len_tags", lambda x: len(x.split("\t")) if x else 0, "int")
    train, test = tables["train"], tables["test"]
    train, language_index = train.category_encode("language")
    test = test.encode_string("language", language_index).fillna(0, "language")
    full = train.concat(test)
    user_index = full.gen_string_idx({"src_cols": ["user_id", "author_id"], "col_name": "user_id"})
    tag_index = train.gen_string_idx("tags", do_split=True, sep="\t")
    out = {}
    for split, tbl in [("train", train), ("test", test)]:
        tbl = tbl.encode_string(["user_id", "author_id"], [user_index, user_index], broadcast=False)
        tbl = tbl.encode_string("tags", tag_index, do_split=True, sep="\t", keep_most_frequent=True)
        tbl = tbl.fillna(0, ["user_id", "author_id", "tags"]).cache()
        tbl = tbl.cut_bins(count_cols, bins=[1, 1e2, 1e3], out_cols=count_cols)
        tbl = tbl.cross_columns([["media", "language"]], [args.cross_sizes])
        out[split] = tbl
    train, min_max_dict = out["train"].min_max_scale(["len_tags"])
    test = out["test"].transform_min_max_scale(["len_tags"], min_max_dict)
    output_dir = os.path.join(args.data_dir, "preprocessed")
    if not exists(os.path.join(output_dir, "meta")):
        makedirs(os.path.join(output_dir, "meta"))
    for split, tbl in [("train", train), ("test", test)]:
        tbl = tbl.apply(["like_time", "reply_time"], "label", transform_label, "int")
        tbl.write_parquet(os.path.join(output_dir, split))
    with open(os.path.join(output_dir, "meta", "categorical_sizes.json"), "w") as f:
        json.dump({"user_id": user_index.size(), "tags": tag_index.size(), "language": language_index.size()}, f)
    print("Preprocessing and save time: ", time() - begin)
    stop_orca_context()
