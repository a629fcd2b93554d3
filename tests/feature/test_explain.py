"""What `explain` prints: readable, and true to what runs."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from friesian_fast.feature import FeatureTable


@pytest.fixture
def files(spark, tmp_path):
    rows = pa.table({"item": ["pen", "ink"], "price": [1.5, 2.0], "unused": [1, 2]})
    for number in range(2):
        pq.write_table(rows, tmp_path / f"part-{number}.parquet")
    return FeatureTable.read_parquet(tmp_path)


def test_from_file_to_file(files, tmp_path, capsys):
    table = files.cut_bins("price", [1.0, 2.0], drop=False).hash_encode("unused", 10).drop("unused")
    table.cross_hash_encode([["item", "price"]], [50]).explain()
    assert capsys.readouterr().out == (
        "FeatureTable of 4 columns: item (string), price (double), price_bin (int32), item_price (int32)\n"
        "\n"
        f"1. Parquet: 2 Parquet files, 4 rows, {tmp_path}\n"
        "   reads: item, price\n"
        "   does not read: unused\n"
        "\n"
        "2. Native stage: in the tasks that read the files; one mapInArrow when asked for a DataFrame\n"
        "   - cut_bins price -> price_bin (edges=[1.0, 2.0], drop=False)\n"
        "   - cross_hash item, price -> item_price (bins=50, method='md5', separator='')\n"
        "   left out, as no column needs it: hash_bucket unused\n"
        "\n"
        "write_parquet writes from file to file, no row passes through the JVM.\n"
    )


def test_steps_of_sparks_and_what_was_recorded_before_them(files, tmp_path, capsys):
    files.hash_encode("item", 10).sort("price").select("item", "price").log("price").explain()
    assert capsys.readouterr().out == (
        "FeatureTable of 2 columns: item (int32), price (double)\n"
        "\n"
        f"1. Parquet: 2 Parquet files, 4 rows, {tmp_path}\n"
        "   reads: item, price, unused\n"
        "\n"
        "2. Native stage: in the tasks that read the files; one mapInArrow when asked for a DataFrame\n"
        "   - hash_bucket item (bins=10, method='md5')\n"
        "\n"
        "3. Spark: sort (wide: rows move between tasks)\n"
        "   drops before the next stage: unused\n"
        "\n"
        "4. Native stage: one mapInArrow over the columns that it reads\n"
        "   - log price (clipping=True)\n"
        "\n"
        "write_parquet writes by Spark.\n"
    )


def test_joined_tables_duplicates_and_dataframes(spark, capsys):
    one = FeatureTable(spark.createDataFrame([(1,)], "a long"))
    many = {f"k{i}": i for i in range(20)}
    one.concat(one.filter("a > 0")).distinct().append_column("b", "k1").encode_fixed("b", many).explain()
    assert capsys.readouterr().out == (
        "FeatureTable of 2 columns: a (int64), b (int32)\n"
        "\n"
        "1. A Spark DataFrame (table 1 of 2, whose rows follow one another)\n"
        "   reads: a\n"
        "\n"
        "2. Spark: filter\n"
        "\n"
        "3. A Spark DataFrame (table 2 of 2, whose rows follow one another)\n"
        "   reads: a\n"
        "\n"
        "4. Spark: drop_duplicates (wide: rows move between tasks)\n"
        "\n"
        "5. Native stage: one mapInArrow over the columns that it reads\n"
        "   - constant b (value='k1', type='string')\n"
        "   - encode_fixed b (ids=20 entries, strict=True)\n"
        "\n"
        "write_parquet writes by Spark.\n"
    )


def test_duplicates_of_files(files, capsys):
    files.select("item").distinct().explain()
    assert capsys.readouterr().out.endswith(
        "   reads: item\n"
        "   does not read: price, unused\n"
        "\n"
        "2. Drops duplicate rows (wide: rows move between tasks)\n"
        "\n"
        "write_parquet writes from file to file, no row passes through the JVM.\n"
    )


def test_files_that_a_step_wrote(files, capsys):
    files.log("price").add_hist_seq("price", "item", "unused").explain()
    told = capsys.readouterr().out
    assert "2. Native stage" in told
    assert "3. Tasks of ours: add_hist_seq (wide: rows move between tasks), 1 scratch files" in told
    assert "4. Native stage" in told
