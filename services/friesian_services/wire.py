"""Messages to arrays and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError, ReleaseMismatchError, SchemaMismatchError
from friesian_fast.recall import Filter, Predicate
from friesian_fast.recall.filters import with_normal_ids
from friesian_fast.recommend import MAX_CANDIDATES, Candidates, Ids, Recommendation
from friesian_fast.spec import IdType
from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services.errors import PreconditionError

FALLBACK = "x-fallback"
ID_CHARACTERS = 1024
CONDITION_CHARACTERS = 64 << 10

_FALLBACKS = 5
_FALLBACK_BYTES = 300
_UNPRINTABLE = re.compile(r"[^ -~]")  # gRPC refuses metadata with them, and with it the whole answer
_INT32 = np.iinfo(np.int32)
_DTYPES: dict[str, np.dtype[Any]] = {
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
}
# A request has some 16 tensors: asking NumPy for a type's name costs more than a look-up.
_NAMES = {dtype: name for name, little in _DTYPES.items() for dtype in (little, little.newbyteorder(">"))}


def ids_to_message(ids: Ids) -> v1.Ids:
    """Ids of either type."""
    if isinstance(ids, list):
        return v1.Ids(string=v1.Strings(values=ids))
    return v1.Ids(int64=v1.Int64s(values=ids.tolist()))  # a list is taken in a third of the time of an array


def ids_from_message(message: v1.Ids, id_type: IdType) -> Ids:
    """The ids, which must be of the release's type; none at all are of either."""
    ids = listed_ids(message, id_type)
    return ids if id_type == "string" else np.array(ids, np.int64)


def listed_ids(message: v1.Ids, id_type: IdType) -> list[Any]:
    """The same as Python's own values."""
    kind = message.WhichOneof("kind")
    if kind is None:
        return []
    if kind != id_type:
        raise InvalidInputError(f"the ids are sent as {kind}, but those of this release are {id_type}")
    return list(message.string.values if kind == "string" else message.int64.values)


def one_id(message: v1.Ids, id_type: IdType) -> int | str:
    """The id of a message that must hold exactly one."""
    ids = listed_ids(message, id_type)
    if len(ids) != 1:
        raise InvalidInputError(f"exactly one user id is needed, not {len(ids)}")
    only: int | str = ids[0]
    return only


def plain(ids: Ids) -> Sequence[int | str]:
    """Ids as Python's own values."""
    return ids if isinstance(ids, list) else ids.tolist()


def require_int64(id_type: IdType, what: str) -> None:
    """The original's protos have ids of 32 bits only."""
    if id_type != "int64":
        raise PreconditionError(
            f"the {what} ids of this release are strings, which this call cannot carry; use the service of package "
            "friesian.v1"
        )


def int32s(ids: Ids) -> NDArray[np.int64]:
    """Ids that fit into the original's messages."""
    if isinstance(ids, list):
        require_int64("string", "item")
    array = np.asarray(ids, np.int64)
    if len(array) and (array.max() > _INT32.max or array.min() < _INT32.min):
        raise PreconditionError(
            "an item id does not fit into the 32 bits of this call; use the service of package friesian.v1"
        )
    return array


def floats_to_bytes(values: NDArray[np.float32]) -> bytes:
    """As little-endian float32."""
    return values.astype("<f4", copy=False).tobytes()


def floats_from_bytes(data: bytes, count: int) -> NDArray[np.float32]:
    """The way back, of a known length."""
    if len(data) != 4 * count:
        raise InvalidInputError(f"{len(data)} bytes of scores are not {count} numbers of 4 bytes")
    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)


def tensors_to_messages(arrays: Mapping[str, NDArray[Any]]) -> list[v1.Tensor]:
    """Named arrays of the spec's types."""
    return [
        v1.Tensor(name=name, dtype=_NAMES[array.dtype], shape=array.shape, data=_little_endian(array).tobytes())
        for name, array in arrays.items()
    ]


def tensors_from_messages(messages: Iterable[v1.Tensor]) -> dict[str, NDArray[Any]]:
    """The way back."""
    arrays: dict[str, NDArray[Any]] = {}
    for message in messages:
        if message.name in arrays:
            raise InvalidInputError(f"tensor '{message.name}' is there twice")
        dtype = _DTYPES.get(message.dtype)
        if dtype is None:
            raise InvalidInputError(
                f"tensor '{message.name}' has type '{message.dtype}'; use one of {', '.join(_DTYPES)}"
            )
        shape = tuple(message.shape)
        count = 1
        for length in shape:
            count *= length
        if not shape or min(shape) < 0 or len(message.data) != count * dtype.itemsize:
            raise InvalidInputError(
                f"tensor '{message.name}' has {len(message.data)} bytes, which is not shape {shape} of {message.dtype}"
            )
        arrays[message.name] = _shaped(message.name, np.frombuffer(message.data, dtype), shape)
    return arrays


def filter_to_message(asked: Filter, id_type: IdType) -> v1.Filter:
    """A request's filter; of `seen` the one list it has."""
    where = condition_text(asked.where.to_json()) if isinstance(asked.where, Predicate) else asked.where
    normal = with_normal_ids(asked, id_type == "string")
    parts: dict[str, Any] = {"allow": normal.allow, "deny": normal.deny, "seen": normal.seen and normal.seen[0]}
    return v1.Filter(where=where, **{name: ids_to_message(ids) for name, ids in parts.items() if ids is not None})


def filter_of(request: v1.RecommendRequest | v1.CandidatesRequest, id_type: IdType) -> Filter | None:
    """What a request asks to be left out, if anything."""
    return filter_from_message(request.filter, id_type) if request.HasField("filter") else None


def filter_from_message(message: v1.Filter, id_type: IdType) -> Filter:
    """A filter, within the bounds of a call."""
    parts: dict[str, Ids | None] = {}
    for name in ("allow", "deny", "seen"):
        try:
            parts[name] = ids_from_message(getattr(message, name), id_type) if message.HasField(name) else None
        except InvalidInputError as error:
            raise InvalidInputError(f"filter.{name}: {error}") from error
    return bounded_filter(parts["allow"], parts["deny"], parts["seen"], message.where or None)


def condition_text(condition: Mapping[str, Any]) -> str:
    """A condition as JSON that is as long on every way.

    Raises
    ------
    InvalidInputError
        If a number is none or too large, text cannot be sent, or it is nested too deep.
    """
    try:
        text = json.dumps(condition, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"filter.where holds half of a surrogate pair: {error}") from error
    except ValueError as error:
        raise InvalidInputError("filter.where compares with a number that no float can hold") from error
    except RecursionError as error:
        raise InvalidInputError("filter.where is nested too deep") from error
    return text


def check_filter_ids(count: int, name: str) -> None:
    """Bounds a list of a request's filter."""
    if count > MAX_CANDIDATES:
        raise InvalidInputError(
            f"{name} has {count} ids; send at most {MAX_CANDIDATES}, or publish an item column and send a condition on "
            "it"
        )


def bounded_filter(allow: Ids | None, deny: Ids | None, seen: Ids | None, where: str | None) -> Filter:
    """A request's filter, unless it would cost too much."""
    for name, ids in (("allow", allow), ("deny", deny), ("seen", seen)):
        if ids is not None:
            check_filter_ids(len(ids), f"filter.{name}")
    if where is not None and len(where) > CONDITION_CHARACTERS:
        raise InvalidInputError(f"filter.where has {len(where)} characters; send at most {CONDITION_CHARACTERS}")
    return Filter(allow=allow, deny=deny, seen=None if seen is None else [seen], where=where)


def candidates_to_message(found: Candidates, release_id: str, *, filtered: bool = False) -> v1.CandidatesReply:
    """What recall proposes, and whether it followed the request's filter."""
    return v1.CandidatesReply(
        release_id=release_id,
        ids=ids_to_message(found.ids),
        scores=floats_to_bytes(found.scores),
        user_found=found.user_found,
        columns=tensors_to_messages(found.columns),
        filtered=filtered,
    )


def candidates_from_message(message: v1.CandidatesReply, id_type: IdType, *, filtered: bool = False) -> Candidates:
    """The way back; where a filter was asked for, it must have been followed."""
    if filtered and not message.filtered:
        raise SchemaMismatchError("recall did not follow the request's filter; run all services with the same version")
    ids = ids_from_message(message.ids, id_type)
    return Candidates(
        ids=ids,
        scores=floats_from_bytes(message.scores, len(ids)),
        user_found=message.user_found,
        columns=_candidate_columns(message.columns, len(ids)),
    )


def _candidate_columns(messages: Iterable[v1.Tensor], count: int) -> dict[str, NDArray[np.float32]]:
    """Columns of float32 with a value for each of `count` candidates."""
    columns = tensors_from_messages(messages)
    for name, values in columns.items():
        if values.dtype != np.float32 or values.shape != (count,):
            raise InvalidInputError(
                f"column '{name}' of {count} candidates is {values.dtype} of shape {values.shape}; it must be float32 "
                f"of shape ({count},)"
            )
    return columns


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    dtype = _DTYPES[_NAMES[array.dtype]]
    return array if array.dtype is dtype else array.astype(dtype, copy=False)


def _shaped(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        shaped = values if len(shape) == 1 else values.reshape(shape)
        return shaped if shaped.dtype.isnative else shaped.astype(shaped.dtype.newbyteorder("="))
    except ValueError as error:  # too many dimensions, or lengths beside a zero that no array has
        raise InvalidInputError(f"tensor '{name}' cannot have {len(shape)} dimensions of {shape}: {error}") from error


def check_release(named: str, ours: str) -> None:
    """A caller that names a release must name ours."""
    if named and named != ours:
        raise ReleaseMismatchError(
            f"the call is for release {named}, but this server has {ours} open; restart whichever is behind"
        )


def check_number(count: int, what: str) -> None:
    """Bounds a call: its time and memory grow with what it holds."""
    if count > MAX_CANDIDATES:
        raise InvalidInputError(f"{count} {what} are too many for one call; send at most {MAX_CANDIDATES}")


def check_users(users: Sequence[int | str]) -> None:
    """Bounds the number of users, and the length of each one's id, which answers and logs repeat."""
    check_number(len(users), "users")
    for user in users:
        if isinstance(user, str) and len(user) > ID_CHARACTERS:
            raise InvalidInputError(f"a user id has {len(user)} characters; send at most {ID_CHARACTERS}")


def recommend_reply(answers: Iterable[Recommendation], release_id: str, *, filtered: bool) -> v1.RecommendReply:
    """All users' answers, and whether a filter of the request was followed."""
    return v1.RecommendReply(
        release_id=release_id, recommendations=[recommendation(answer) for answer in answers], filtered=filtered
    )


def recommendation(answer: Recommendation) -> v1.Recommendation:
    """One user's answer."""
    return v1.Recommendation(
        ids=ids_to_message(answer.ids),
        scores=floats_to_bytes(answer.scores),
        fallback=answer.fallback or "",
        explanation="" if answer.explanation is None else json.dumps(answer.explanation.to_json()),
    )


def fallback_metadata(answers: Sequence[Recommendation]) -> tuple[tuple[str, str], ...]:
    """``x-fallback`` for each answer that is one, in ASCII; of many the first few: clients bound their headers."""
    why = [answer.fallback for answer in answers if answer.fallback is not None]
    if not why:
        return ()
    shown = [_UNPRINTABLE.sub("?", " ".join(text.split())[:_FALLBACK_BYTES]).strip() for text in why[:_FALLBACKS]]
    if len(why) > _FALLBACKS:
        shown.append(f"and {len(why) - _FALLBACKS} more of {len(answers)} users")
    return tuple((FALLBACK, text) for text in shown)
