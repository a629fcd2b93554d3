"""The challenge's raw schema and the columns that the models take."""

from __future__ import annotations

RAW_COLUMNS = {
    "text_tokens": "string",
    "hashtags": "string",
    "tweet_id": "string",
    "present_media": "string",
    "present_links": "string",
    "present_domains": "string",
    "tweet_type": "string",
    "language": "string",
    "tweet_timestamp": "int64",
    "engaged_with_user_id": "string",
    "engaged_with_user_follower_count": "int64",
    "engaged_with_user_following_count": "int64",
    "engaged_with_user_is_verified": "bool",
    "engaged_with_user_account_creation": "int64",
    "enaging_user_id": "string",
    "enaging_user_follower_count": "int64",
    "enaging_user_following_count": "int64",
    "enaging_user_is_verified": "bool",
    "enaging_user_account_creation": "int64",
    "engagee_follows_engager": "string",
    "reply_timestamp": "int64",
    "retweet_timestamp": "int64",
    "retweet_with_comment_timestamp": "int64",
    "like_timestamp": "int64",
}
"""Column → Arrow type, in order. "enaging" is the challenge's own spelling."""

LABEL_COLUMNS = ("reply_timestamp", "retweet_timestamp", "retweet_with_comment_timestamp", "like_timestamp")
"""A record is positive when one of these is there."""

MEDIA = ("Photo", "Video", "GIF")
TWEET_TYPES = ("Quote", "Retweet", "TopLevel")
LANGUAGES = 65
