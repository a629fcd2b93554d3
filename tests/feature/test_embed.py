"""Texts to vectors: by a real encoder, by one of our own, reduced, and what goes wrong."""

from pathlib import Path

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError, MissingExtraError

TEXTS = ["a red pen", "a crimson pencil", None, "the stock market fell", "shares lost value", "a red pen"]


def letters(texts):
    """How often each of five letters is in each text, and how long it is."""
    return np.array([[text.count(letter) for letter in "aeirt"] + [len(text)] for text in texts], np.float32)


def meanings(texts):
    """Of a small real model, all of which its package holds."""
    import wordllama

    inside = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=inside, disable_download=True).embed(texts)


def lopsided(texts):
    return np.zeros((len(texts) + 1, 3))


def vectors_of(table, name):
    return {row["id"]: row[name] for row in table.collect()}


@pytest.fixture
def table(make):
    return make({"id": list(range(6)), "text": TEXTS, "other": ["x"] * 6})


def test_an_encoder_of_our_own(table):
    embedded = table.string_embed("text", encoder=letters)
    assert embedded.dtypes == [("id", "bigint"), ("text", "array<double>"), ("other", "string")]
    expected = {i: None if text is None else letters([text])[0].tolist() for i, text in enumerate(TEXTS)}
    assert vectors_of(embedded, "text") == expected
    beside = table.string_embed(["text"], encoder=letters, replace=False)
    assert beside.columns == ["id", "text", "other", "text_embds"]
    assert vectors_of(beside, "text_embds") == expected


def test_each_text_is_encoded_once_and_all_in_one_call(spark):
    import pyarrow as pa

    from friesian_fast.feature.embed import _vectors

    calls = []
    made = _vectors("text", pa.array(TEXTS), lambda texts: calls.append(texts) or letters(texts))
    assert [len(texts) for texts in calls] == [4]
    assert made[0] == made[5]


def test_a_real_model_knows_what_is_alike(make):
    table = make({"id": list(range(6)), "text": TEXTS}).string_embed("text", encoder=meanings)
    found = {at: np.array(vector) for at, vector in vectors_of(table, "text").items() if vector}
    unit = {at: vector / np.linalg.norm(vector) for at, vector in found.items()}
    assert unit[0] @ unit[1] > unit[0] @ unit[3]
    assert unit[3] @ unit[4] > unit[1] @ unit[4]


def test_reduced_vectors_are_those_of_pca(table):
    from sklearn.decomposition import PCA

    reduced = vectors_of(table.string_embed("text", encoder=letters, reduce_dim=2), "text")
    raw = letters([text for text in TEXTS if text is not None]).astype(np.float64)
    components = PCA(2).fit(raw).components_
    components *= np.where(components[[0, 1], np.abs(components).argmax(axis=1)] < 0, -1, 1)[:, None]
    assert reduced.pop(2) is None
    np.testing.assert_allclose([reduced[at] for at in sorted(reduced)], raw @ components.T, atol=1e-6)


def test_a_batch_of_nothing_but_nulls(spark):
    from friesian_fast.feature import FeatureTable

    rows = [(i, None if i < 3 else text) for i, text in enumerate(["x", "x", "x", "tea", "rat", "air"])]
    table = FeatureTable(spark.createDataFrame(rows, "id int, text string").repartition(2, "id").sort("id"))
    table = table._of(spark.createDataFrame(rows[:3], "id int, text string").coalesce(1).union(table.df))
    embedded = table.string_embed("text", encoder=letters, reduce_dim=2).to_dict()["text"]
    assert sorted(len(vector) if vector else 0 for vector in embedded) == [0] * 6 + [2] * 3


def test_nothing_but_nulls(make):
    import pyarrow as pa

    table = make({"text": pa.array([None, None, None], pa.string())})
    assert table.string_embed("text", encoder=letters, reduce_dim=2).to_dict() == {"text": [None] * 3}


@pytest.fixture
def tiny_model(tmp_path):
    """A model of sentence-transformers on disk, of random weights: nothing is fetched."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "crimson", "pen", "pencil"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(tmp_path / "bert")
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    model = SentenceTransformer(modules=[Transformer(str(tmp_path / "bert")), Pooling(16)])
    model.save(str(tmp_path / "model"))
    return model, str(tmp_path / "model")


def test_a_model_of_sentence_transformers(table, tiny_model):
    model, path = tiny_model
    for row in table.string_embed("text", bert_model=path).collect():
        text = TEXTS[row["id"]]
        assert row["text"] == (None if text is None else pytest.approx(model.encode(text).astype(float), abs=1e-5))


def test_without_the_extra(table, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="string_embed without an encoder needs the 'embed' extra"):
        table.string_embed("text")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "id"}, "Each column should be of string type, but column 'id' has type int64"),
        ({"columns": "no"}, r"\['no'\] do not exist"),
        ({"columns": "text", "reduce_dim": 0}, "reduce_dim should be an int of at least 1, but got 0."),
        ({"columns": "text", "encoder": 3}, "encoder should be a function of a list of str, but got int"),
        ({"columns": "text", "reduce_dim": 9}, "reduce_dim is 9, but the vectors of column 'text' have 6 dimensions"),
    ],
)
def test_wrong_arguments_are_named(table, options, message):
    with pytest.raises(InvalidInputError, match=message):
        table.string_embed(**{"encoder": letters, **options})


def test_a_taken_name_is_named(table):
    with pytest.raises(InvalidInputError, match="there is a column 'text_embds' already"):
        table.rename({"other": "text_embds"}).string_embed("text", replace=False, encoder=letters)


def test_an_encoder_that_miscounts_is_named(table):
    from pyspark.errors import PythonException

    with pytest.raises(
        PythonException, match=r"the encoder of column 'text' made an array of shape \(\d, 3\) of \d texts"
    ):
        table.string_embed("text", encoder=lopsided).collect()
