"""Real vectors: the words of many languages, by the character n-grams they are made of.

The most frequent words of `wordfreq` (PyPI), each once; TF-IDF of their 2- to 4-grams, hashed; a truncated SVD of 128
dimensions; normalised. Queries are held-out words.

The last bits of the vectors follow from the kernels that OpenBLAS picks for a processor and from its number of threads.
So it gets one thread, and there is a digest for each kind of kernel.
"""

from __future__ import annotations

import hashlib

import numpy as np
from bench.ann.mixture import fingerprint
from numpy.typing import NDArray

__all__ = ["fingerprint", "load"]

LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pl", "pt", "sv", "fi", "cs", "ro")
DIM = 128
WORDS_DIGEST = "90fb748fb4513fb6632f0e559fb29852c3d1f8471fea3a12a5de0bf34902f590"  # all words, sorted, a line each
DIGESTS = {  # of vectors and queries, by how many of each
    (250_000, 1000): (
        "c9671f21410195e2bc17704463001683b728b3d58949c31491c1a0b6a1cd100c",  # OpenBLAS with AVX-512
        "5aba9ebc6d5123c0fe1bf2ba26a5412ef63821e8b9fc5f38c57d5e471ec9d538",  # with AVX2
    ),
}


def load(n: int, queries: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """At most `n` vectors and `queries` queries, float32, normalised; ValueError if they are not those of `DIGESTS`."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from threadpoolctl import threadpool_limits

    words = _words()
    order = np.random.default_rng(0).permutation(len(words))[: n + queries]
    grams = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=2**15, norm=None, alternate_sign=False)
    weights = TfidfTransformer(sublinear_tf=True).fit_transform(grams.transform([words[i] for i in order]))
    sample = weights[: min(len(order), 60_000)]
    with threadpool_limits(1):
        vectors = TruncatedSVD(DIM, n_iter=3, random_state=0).fit(sample).transform(weights).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    drawn = np.ascontiguousarray(vectors[queries:]), np.ascontiguousarray(vectors[:queries])
    digest, known = fingerprint(*drawn), DIGESTS.get((n, queries))
    if known is not None and digest not in known:
        raise ValueError(f"sha256 of the vectors is {digest}, not one of {known}: another scikit-learn or OpenBLAS")
    return drawn


def _words() -> list[str]:
    import wordfreq

    lists = [wordfreq.top_n_list(language, 60_000, wordlist="best") for language in LANGUAGES]
    words = sorted({word for names in lists for word in names if len(word) > 2})
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()
    if digest != WORDS_DIGEST:
        raise ValueError(f"sha256 of the words is {digest}, not {WORDS_DIGEST}: another version of wordfreq")
    return words
