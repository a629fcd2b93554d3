"""Real vectors: the words of many languages, by the character n-grams they are made of.

The most frequent words of `wordfreq` (PyPI), each once; TF-IDF of their 2- to 4-grams, hashed; a truncated SVD of 128 dimensions; normalised. Queries are held-out words.
"""

from __future__ import annotations

import numpy as np
from bench.ann.mixture import fingerprint
from numpy.typing import NDArray

__all__ = ["fingerprint", "load"]

LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pl", "pt", "sv", "fi", "cs", "ro")
DIM = 128


def load(n: int, queries: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """At most `n` vectors and `queries` queries, float32, normalised."""
    import wordfreq
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    lists = [wordfreq.top_n_list(language, 60_000, wordlist="best") for language in LANGUAGES]
    words = sorted({word for names in lists for word in names if len(word) > 2})
    order = np.random.default_rng(0).permutation(len(words))[: n + queries]
    grams = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=2**15, norm=None, alternate_sign=False)
    weights = TfidfTransformer(sublinear_tf=True).fit_transform(grams.transform([words[i] for i in order]))
    sample = weights[: min(len(order), 60_000)]
    svd = TruncatedSVD(DIM, n_iter=3, random_state=0).fit(sample)
    vectors = svd.transform(weights).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(vectors[queries:]), np.ascontiguousarray(vectors[:queries])
