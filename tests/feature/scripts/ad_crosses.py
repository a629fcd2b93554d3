"""In the style of the original's preprocessing of click logs with crosses; only the import lines are ours."""

import os
from argparse import ArgumentParser

from friesian_fast.compat import FeatureTable, init_orca_context, invalidInputError, stop_orca_context

INT_COLS = [f"_c{i}" for i in range(1, 4)]
CAT_COLS = [f"_c{i}" for i in range(4, 7)]

if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--cluster_mode", type=str, default="local")
    parser.add_argument("--days", type=str, required=True)
    parser.add_argument("--input_folder", type=str, required=True)
    parser.add_argument("--output_folder", type=str, default=".")
    parser.add_argument("--frequency_limit", type=int, default=15)
    parser.add_argument("--cross_sizes", type=str, default="10000, 10000")
    args = parser.parse_args()
    days = args.days.split("-")
    invalidInputError(len(days) == 2, "days should be a range such as 0-1")
    sc = init_orca_context(args.cluster_mode, cores=2, memory="2g", init_ray_on_spark=False)

    paths = [os.path.join(args.input_folder, "day_%d" % i) for i in range(int(days[0]), int(days[1]) + 1)]
    tbl = FeatureTable.read_csv(paths, delimiter="\t", dtype=dict.fromkeys(CAT_COLS, "string"))
    tbl = tbl.cast(INT_COLS + ["_c0"], "int")
    idx_list = tbl.gen_string_idx(CAT_COLS, freq_limit=args.frequency_limit)
    tbl = tbl.encode_string(CAT_COLS, idx_list).fillna(0, INT_COLS + CAT_COLS)
    tbl = tbl.log(INT_COLS)
    cross_sizes = [int(x) for x in args.cross_sizes.split(",")]
    tbl = tbl.cross_hash_encode([["_c4", "_c5"], ["_c5", "_c6"]], cross_sizes)
    tbl = tbl.rename({"_c%d" % i: "c%d" % i for i in range(7)})
    train, test = tbl.ordinal_shuffle_partition().random_split([0.8, 0.2], seed=1)
    train, min_max_dict = train.min_max_scale(["c1", "c2", "c3"])
    test = test.transform_min_max_scale(["c1", "c2", "c3"], min_max_dict)
    train.write_parquet(os.path.join(args.output_folder, "saved_data"))
    test.write_parquet(os.path.join(args.output_folder, "saved_data_test"))
    for idx in idx_list:
        idx.write_parquet(os.path.join(args.output_folder, "models"))
    stop_orca_context()
