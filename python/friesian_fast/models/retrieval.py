"""Retrieval by two towers: every user of a batch is to pick the item chosen, among the batch's items and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.models.two_tower import TwoTower

_BARRED = -1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All items, for negatives that are not of the batch.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (items, …)
        The item tower's inputs; row i is of the item with id i.
    chance : ndarray of float, shape (items,), or None
        How often each item is among the rows of the data, of all rows; taken off the logits. An item that is not
        among them counts as the rarest that is. None corrects nothing.
    first : int, default 1
        Ids below it stand for no item and are not drawn.
    """

    columns: Mapping[str, NDArray[Any]]
    chance: NDArray[np.floating] | None = None
    first: int = 1


class Retrieval(keras.Model):  # type: ignore[misc]
    """Two towers under a sampled softmax.

    The loss of a row is the cross-entropy of its item among the items of the batch, `extra` items drawn from the
    catalogue, and the row's own hard negatives. Items that come up more often are not to be pushed away more: an item's
    logit is lowered by the logarithm of how often it is expected among the candidates (Bengio & Senécal, 2008; Yi et
    al., 2019), for a mixture of both sources as Yang et al. (2020) mix them. The row's own item, if it is drawn again,
    is barred.

    Compile it with an optimizer alone; it needs no label. It gives both vectors, shape (n, 2, dim); `towers.user` and
    `towers.item` are what to search with. Only rows of the same worker are each other's negatives.

    Parameters
    ----------
    towers : TwoTower
    item_id : str
        The input, one of the item tower's, that tells items apart.
    temperature : float, default 0.05
        Divides the cosines.
    catalogue : Catalogue, optional
        Needed for `extra`, `hard` and the correction.
    extra : int, default 0
        Items to draw from the catalogue at every step, all alike, for all rows.
    hard : str, optional
        An input of shape (n, h) with ids of items that its row is to tell from its own; 0 is none.
    seed : int, default 0
        Of the draws.

    References
    ----------
    .. [1] Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019.
    .. [2] Yang et al., "Mixed Negative Sampling for Learning Two-tower Neural Networks in Recommendations", WWW 2020.
    """

    def __init__(
        self,
        towers: TwoTower,
        *,
        item_id: str,
        temperature: float = 0.05,
        catalogue: Catalogue | None = None,
        extra: int = 0,
        hard: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(name="retrieval")
        if item_id not in towers.item.input:
            raise InvalidInputError(
                f"item_id '{item_id}' is no input of the item tower: {', '.join(towers.item.input)}"
            )
        if not temperature > 0 or extra < 0:
            raise InvalidInputError(f"temperature must be above 0 and extra not negative; got {temperature}, {extra}")
        if catalogue is None and (extra or hard):
            raise InvalidInputError("extra and hard negatives are looked up in the catalogue; give one")
        self.user_tower, self.item_tower = towers.user, towers.item
        self._towers = (towers,)  # in a tuple, else Keras tracks its weights twice
        self._item_id = item_id
        self._temperature = temperature
        self._extra = extra
        self._hard = hard
        self._seeds = keras.random.SeedGenerator(seed)
        self._catalogue = None if catalogue is None else _checked(catalogue, towers, item_id)
        self._items = 0 if catalogue is None else len(next(iter(catalogue.columns.values())))
        self._first = 1 if catalogue is None else catalogue.first
        self._chance = None if catalogue is None or catalogue.chance is None else catalogue.chance.astype(np.float32)
        self._rarest = None if self._chance is None else self._chance[self._chance > 0].min()

    @property
    def towers(self) -> TwoTower:
        """As they were given, with what was learned."""
        return self._towers[0]

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """Vectors of user and item, shape (n, 2, dim)."""
        user = self.user_tower({name: inputs[name] for name in self.user_tower.input}, training=training)
        item = self.item_tower({name: inputs[name] for name in self.item_tower.input}, training=training)
        return ops.stack([user, item], axis=1)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The mean over rows, and what regularizers ask for; `y` is not used."""
        vectors = ops.cast(y_pred, "float32")
        user, item = vectors[:, 0], vectors[:, 1]
        ids = ops.cast(x[self._item_id], "int32")
        rows = ops.shape(ids)[0]
        logits = self._logits(user, item, ids, rows)
        same = ops.logical_and(ids[:, None] == ids[None, :], ops.logical_not(ops.eye(rows, dtype="bool")))
        parts = [ops.where(same, _BARRED, logits)]
        if self._extra:
            drawn = keras.random.randint((self._extra,), self._first, self._items, dtype="int32", seed=self._seeds)
            fresh = self._logits(user, self._vectors(drawn, training), drawn, rows)
            parts.append(ops.where(ids[:, None] == drawn[None, :], _BARRED, fresh))
        if self._hard is not None:
            parts.append(self._hard_logits(user, ids, ops.cast(x[self._hard], "int32"), training))
        every = ops.concatenate(parts, axis=1)
        own = ops.diagonal(parts[0])
        loss = ops.mean(ops.logsumexp(every, axis=1) - own)
        return loss + sum(ops.cast(other, "float32") for other in self.losses)

    def _logits(self, user: Any, item: Any, ids: Any, rows: Any) -> Any:
        cosines = ops.matmul(user, ops.transpose(item)) / self._temperature
        if self._chance is None:
            return cosines
        # How often the item is expected among the candidates.
        expected = ops.cast(rows, "float32") * ops.take(ops.convert_to_tensor(self._chance), ids)
        if self._extra:
            expected = expected + self._extra / (self._items - self._first)
        else:
            expected = ops.maximum(expected, ops.cast(rows, "float32") * self._rarest)
        return cosines - ops.log(expected)[None, :]

    def _hard_logits(self, user: Any, ids: Any, hard: Any, training: bool) -> Any:
        vectors = self._vectors(ops.reshape(hard, (-1,)), training)
        vectors = ops.reshape(vectors, (*ops.shape(hard), ops.shape(vectors)[-1]))
        logits = ops.einsum("nd,nhd->nh", user, vectors) / self._temperature
        return ops.where(ops.logical_or(hard == ids[:, None], hard < self._first), _BARRED, logits)

    def _vectors(self, ids: Any, training: bool) -> Any:
        assert self._catalogue is not None
        columns = {name: ops.take(ops.convert_to_tensor(c), ids, axis=0) for name, c in self._catalogue.items()}
        return ops.cast(self.item_tower(columns, training=training), "float32")


def _checked(catalogue: Catalogue, towers: TwoTower, item_id: str) -> dict[str, NDArray[Any]]:
    """The columns in the tower's types."""
    columns = {}
    sizes = {len(values) for values in catalogue.columns.values()}
    for name, tensor in towers.item.input.items():
        if name not in catalogue.columns:
            raise InvalidInputError(f"the catalogue has no column '{name}', an input of the item tower")
        columns[name] = catalogue.columns[name].astype(str(tensor.dtype))
    if catalogue.chance is not None:
        sizes.add(len(catalogue.chance))
        chance = catalogue.chance.astype(np.float32)
        if not (np.isfinite(chance) & (chance >= 0)).all() or not (chance > 0).any():
            raise InvalidInputError("the catalogue's chances must be numbers of at least 0, and not all 0")
    if len(sizes) != 1 or min(sizes) <= catalogue.first:
        raise InvalidInputError(
            f"the catalogue's columns and chances have the lengths {sorted(sizes)}; all must have a "
            f"row per id, and more than {catalogue.first}"
        )
    ids = catalogue.columns[item_id]
    shifted = np.flatnonzero(ids != np.arange(len(ids)))
    shifted = shifted[shifted >= catalogue.first]
    if len(shifted):
        raise InvalidInputError(
            f"the catalogue's row {shifted[0]} is of '{item_id}' {ids[shifted[0]]}; row i has to be of the item with "
            "id i: sort by id, with a row for each id from 0 on, also those of no item"
        )
    return columns
