"""The fourteen steps of the walkthrough's preprocessing on lists of dicts, one row at a time."""

import collections
import hashlib

import numpy as np

TIMESTAMPS = ("reply_timestamp", "retweet_timestamp", "retweet_with_comment_timestamp", "like_timestamp")
ROLES = ("engaged_with_user", "enaging_user")
LISTS = ("hashtags", "present_domains", "present_links")
LENGTHS = {"len_hashtags": "hashtags", "len_domains": "present_domains", "len_links": "present_links"}
KINDS = ("GIF", "Photo", "Video")
MEDIA = ["", *sorted([*KINDS, *(f"{a}_{b}" for a in KINDS for b in KINDS)])]
EDGES = [1, 10**2, 10**3, 10**4, 10**5, 10**6, 10**7]
ITEM = ["present_media", "language", "tweet_id", "tweet_type", "engaged_with_user_follower_count"]
ITEM += ["engaged_with_user_following_count", "len_hashtags", "len_domains", "len_links", "present_media_language"]
ITEM += ["engaged_with_user_is_verified", "engaged_with_user_id", "hashtags", "present_domains"]


def ids_of(values):
    """1 for the most frequent, ties by the bytes."""
    counts = collections.Counter(value for value in values if value is not None)
    ordered = sorted(counts, key=lambda value: (-counts[value], value.encode()))
    return {value: number for number, value in enumerate(ordered, start=1)}


def split(text):
    """As Java does: no empty tokens at the end, but an empty text is one."""
    if text == "":
        return [""]
    tokens = text.split("\t")
    while tokens and tokens[-1] == "":
        tokens.pop()
    return tokens


def clean(row):
    row = dict(row)
    for role in ROLES:
        for name in ("is_verified", "follower_count", "following_count"):
            row[f"{role}_{name}"] = int(row[f"{role}_{name}"] or 0)
    for name in TIMESTAMPS:
        row[name] = int(row[name] or 0)
    for name in ("present_media", *LISTS):
        row[name] = row[name] or ""
    row["present_media"] = MEDIA.index("_".join(row["present_media"].split("\t")[:2]))
    row["tweet_type"] = ["Quote", "Retweet", "TopLevel"].index(row["tweet_type"])
    for length, name in LENGTHS.items():
        row[length] = len(row[name].split("\t")) if row[name] else 0
    return row


def fit(train, test):
    both = train + test
    indices = {
        "language": ids_of(row["language"] for row in train),
        "user_id": ids_of(row[f"{role}_id"] for row in both for role in ROLES),
        "tweet_id": ids_of(row["tweet_id"] for row in both),
    }
    for name in LISTS:
        indices[name] = ids_of(token for row in train for token in split(row[name]))
    bounds = {name: (min(r[name] for r in train), max(r[name] for r in train)) for name in LENGTHS}
    return indices, bounds


def encode(row, indices, bounds, bins):
    row = dict(row)
    row["language"] = indices["language"].get(row["language"], 0)
    row["tweet_id"] = indices["tweet_id"].get(row["tweet_id"], 0)
    for role in ROLES:
        row[f"{role}_id"] = indices["user_id"].get(row[f"{role}_id"], 0)
        for name in ("follower_count", "following_count"):
            row[f"{role}_{name}"] = sum(row[f"{role}_{name}"] >= edge for edge in EDGES)
    for name in LISTS:
        row[name] = min((indices[name][token] for token in split(row[name]) if token in indices[name]), default=0)
    text = f"{row['present_media']}{row['language']}"
    row["present_media_language"] = int(hashlib.md5(text.encode()).hexdigest(), 16) % bins
    for name, (low, high) in bounds.items():
        row[name] = float(np.float32(0.5 if low == high else (row[name] - low) / (high - low)))
    row["label"] = int(any(row[name] > 0 for name in TIMESTAMPS))
    return row


def preprocess(train, test, bins=600):
    """(train, test, user rows, item rows, indices), the rows of the last two as sets of tuples."""
    train, test = [clean(row) for row in train], [clean(row) for row in test]
    indices, bounds = fit(train, test)
    train, test = ([encode(row, indices, bounds, bins) for row in rows] for rows in (train, test))
    names = ("follower_count", "following_count", "id", "is_verified")
    users = {tuple(row[f"{role}_{name}"] for name in names) for row in train + test for role in ROLES}
    items = {tuple(row[name] for name in ITEM) for row in train + test}
    return train, test, users, items, indices
