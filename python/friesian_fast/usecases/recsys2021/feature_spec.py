"""The features that preprocessing makes: their columns, their sizes, and the inputs of the ranker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from friesian_fast.spec import Column, DType, FeatureSpec, ModelInput, RowSet, Transform, Vocabulary

COUNT_EDGES = (1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7)
VECTOR_LENGTH = 128

MEDIA_IDS = {
    "": 0,
    "GIF": 1,
    "GIF_GIF": 2,
    "GIF_Photo": 3,
    "GIF_Video": 4,
    "Photo": 5,
    "Photo_GIF": 6,
    "Photo_Photo": 7,
    "Photo_Video": 8,
    "Video": 9,
    "Video_GIF": 10,
    "Video_Photo": 11,
    "Video_Video": 12,
}
TWEET_TYPE_IDS = {"Quote": 0, "Retweet": 1, "TopLevel": 2}

USER_FEATURES = ("follower_count", "following_count", "is_verified")
USER_COLUMNS = ("follower_count", "following_count", "user_id", "is_verified")
ITEM_COLUMNS = (
    "present_media",
    "language",
    "tweet_id",
    "tweet_type",
    "engaged_with_user_follower_count",
    "engaged_with_user_following_count",
    "len_hashtags",
    "len_domains",
    "len_links",
    "present_media_language",
    "engaged_with_user_is_verified",
    "engaged_with_user_id",
    "hashtags",
    "present_domains",
)
MODEL_INPUTS = (
    "engaged_with_user_is_verified",
    "enaging_user_is_verified",
    "present_media_language",
    "present_media",
    "tweet_type",
    "language",
    "engaged_with_user_follower_count",
    "engaged_with_user_following_count",
    "enaging_user_follower_count",
    "enaging_user_following_count",
    "engaged_with_user_id",
    "hashtags",
    "present_domains",
    "len_hashtags",
    "len_domains",
    "len_links",
)


def categorical_sizes(indices: Mapping[str, int], cross_sizes: int) -> dict[str, int]:
    """``categorical_sizes.json``: known values by column, as the original counts them.

    Parameters
    ----------
    indices : mapping of str to int
        Sizes of the vocabularies language, user_id, tweet_id, hashtags, present_domains and present_links.
    cross_sizes : int
    """
    counts = [f"{role}_{name}_count" for role in ("engaged_with_user", "enaging_user") for name in _COUNTS]
    return {
        "present_media": len(MEDIA_IDS),
        "tweet_type": len(TWEET_TYPE_IDS),
        "language": indices["language"],
        "hashtags": indices["hashtags"],
        "present_domains": indices["present_domains"],
        "present_links": indices["present_links"],
        "engaged_with_user_id": indices["user_id"],
        "enaging_user_id": indices["user_id"],
        "tweet_id": indices["tweet_id"],
        "present_media_language": cross_sizes,
        **dict.fromkeys(counts, len(COUNT_EDGES)),
    }


def recsys_spec(
    sizes: Mapping[str, int], transforms: Sequence[Transform], vocabularies: Mapping[str, Vocabulary]
) -> FeatureSpec:
    """The FeatureSpec of the walkthrough.

    Parameters
    ----------
    sizes : mapping of str to int
        As `categorical_sizes` gives them.
    transforms : sequence of Transform
        What was recorded on the training table.
    vocabularies : mapping of str to Vocabulary
    """
    return FeatureSpec(
        name="recsys2021",
        row_sets=(
            RowSet(
                name="user",
                id_column="user_id",
                id_type="int64",
                columns=tuple(_column(name, sizes) for name in USER_FEATURES),
            ),
            RowSet(
                name="item",
                id_column="tweet_id",
                id_type="int64",
                columns=tuple(_column(name, sizes) for name in ITEM_COLUMNS if name != "tweet_id"),
            ),
            _vectors("user_vector", "user_id"),
            _vectors("item_vector", "tweet_id"),
        ),
        model_inputs=tuple(_model_input(name) for name in MODEL_INPUTS),
        transforms=tuple(transforms),
        vocabularies=vocabularies,
    )


_COUNTS = ("follower", "following")


def _column(name: str, sizes: Mapping[str, int]) -> Column:
    kind: DType = "float32" if name.startswith("len_") else "int32"
    return Column(name=name, type=kind, size=None if name.startswith("len_") else _values(name, sizes))


def _values(name: str, sizes: Mapping[str, int]) -> int:
    """How many values there are, with 0 for unknown where a vocabulary made them."""
    if name.endswith("is_verified"):
        return 2
    if name.endswith(("follower_count", "following_count")):
        return len(COUNT_EDGES) + 1
    if name in ("present_media", "tweet_type", "present_media_language"):
        return sizes[name]
    return sizes[name] + 1


def _vectors(name: str, id_column: str) -> RowSet:
    column = Column(name="embedding", type="float32", kind="fixed", length=VECTOR_LENGTH)
    return RowSet(name=name, id_column=id_column, id_type="int64", columns=(column,))


def _model_input(name: str) -> ModelInput:
    """What the ranker knows of the acting user comes from the user's row."""
    if name.startswith("enaging_user_"):
        return ModelInput(name=name, row_set="user", column=name.removeprefix("enaging_user_"))
    return ModelInput(name=name, row_set="item", column=name)
