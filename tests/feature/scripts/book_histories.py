"""In the style of the original's features for interest models on book reviews; only the import lines are ours."""

import os
from argparse import ArgumentParser

from pyspark.sql.functions import col

from friesian_fast.compat import FeatureTable, init_orca_context, stop_orca_context

if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--cluster_mode", type=str, default="local")
    parser.add_argument("--executor_cores", type=int, default=44)
    parser.add_argument("--executor_memory", type=str, default="160g")
    parser.add_argument("--input_transaction", type=str, required=True)
    parser.add_argument("--input_meta", type=str, required=True)
    parser.add_argument("--output", type=str, default="./")
    args = parser.parse_args()
    sc = init_orca_context(args.cluster_mode, cores=args.executor_cores, memory=args.executor_memory)

    transaction_tbl = (
        FeatureTable.read_json(args.input_transaction)
        .select(["reviewerID", "asin", "unixReviewTime"])
        .rename({"reviewerID": "user", "asin": "item", "unixReviewTime": "time"})
        .dropna(columns=["user", "item"])
    )
    transaction_tbl = transaction_tbl.select("user", "item", col("time").cast("long").alias("time"))
    item_tbl = FeatureTable.read_json(args.input_meta).select(["asin", "category"])
    item_tbl = item_tbl.rename({"asin": "item"}).dropna("category")

    item_stridx = transaction_tbl.gen_string_idx("item", freq_limit=1)
    user_stridx = transaction_tbl.gen_string_idx("user", freq_limit=1)
    cat_stridx = item_tbl.gen_string_idx("category", freq_limit=1)
    item_size = item_stridx.size()
    item_tbl = item_tbl.encode_string(["item", "category"], [item_stridx, cat_stridx]).dropna("item")
    item_tbl = item_tbl.select("item", "category").distinct()

    full_tbl = (
        transaction_tbl.encode_string(["user", "item"], [user_stridx, item_stridx])
        .dropna(columns="item")
        .add_hist_seq(cols=["item"], user_col="user", sort_col="time", min_len=1, max_len=100, num_seqs=1)
        .add_neg_hist_seq(item_size + 1, "item_hist_seq", neg_num=5)
        .add_negative_samples(item_size + 1, item_col="item", label_col="label", neg_num=1)
        .add_value_features(["item", "item_hist_seq", "neg_item_hist_seq"], item_tbl, key="item", value="category")
    )
    full_tbl = full_tbl.apply("item_hist_seq", "item_hist_seq_len", len, "int")
    full_tbl = full_tbl.pad(
        cols=["item_hist_seq", "category_hist_seq", "neg_item_hist_seq", "neg_category_hist_seq"],
        seq_len=6,
        mask_cols=["item_hist_seq"],
    )
    full_tbl.write_parquet(os.path.join(args.output, "data"))
    for index in [user_stridx, item_stridx, cat_stridx]:
        index.write_parquet(args.output)
    stop_orca_context()
