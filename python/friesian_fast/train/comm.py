"""What the workers of one training tell each other: sums of dense numbers, and rows of embedding gradients."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import FriesianError, InvalidInputError, MissingExtraError
from friesian_fast.train.pulse import Pulse

Array = NDArray[Any]
# Row numbers of a table and the gradient of each of these rows: shapes (n,) and (n, …).
Rows = tuple[NDArray[np.int64], Array]

# For all to meet, and of one message. A worker that dies later is noticed at once; this is for one that hangs.
TIMEOUT_S = 600
_PATIENCE_S = 24 * 3600  # for what the user's own code does on one worker while the others wait


class PeerLostError(FriesianError):
    """Another worker did not answer: it failed, or its machine did."""


class Comm:
    """A worker that is alone."""

    rank = 0
    world = 1

    def step(self) -> AbstractContextManager[None]:
        """Around a step of the model, which has to show by its end that it does not hang.

        Nobody knows how long all else may take: the user's own code, or reading.
        """
        return nullcontext()

    def doing(self, what: str) -> AbstractContextManager[None]:
        """Around what may take as long as it likes, the user's own code or reading: who waits is told what it is."""
        return nullcontext()

    def meet(self) -> None:
        """Wait for all, however long the user's code takes on one of them."""

    def sum(self, values: Array) -> Array:
        """The sum over all workers, the same bits on each; `values` may be overwritten."""
        return values

    def gather_rows(self, tables: Sequence[Rows]) -> list[Rows]:
        """Of each table the rows of all workers, one worker's after the other's; numbers may come more than once."""
        return list(tables)

    def same(self, values: Array) -> Array:
        """The values of rank 0."""
        return values

    def close(self) -> None:
        """Leave."""


class GlooComm(Comm):
    """One of several workers, over PyTorch's gloo.

    Parameters
    ----------
    address : str
        Where they meet: ``file:///path`` on one machine, ``tcp://host:port`` of rank 0.
    rank, world : int
    pulse : Path, optional
        A file that shows the launcher that this worker is at work, see `Pulse`; messages are beats.
    """

    def __init__(self, address: str, rank: int, world: int, pulse: Path | None = None) -> None:
        try:
            import torch.distributed as dist
        except ImportError as error:
            raise MissingExtraError("training on several workers", "torch") from error
        self.rank, self.world = rank, world
        self._dist: Any = dist
        self._pulse = Pulse(pulse)
        with self._peers():
            dist.init_process_group(
                "gloo", init_method=address, rank=rank, world_size=world, timeout=timedelta(seconds=TIMEOUT_S)
            )
            self._patient = dist.new_group(backend="gloo", timeout=timedelta(seconds=_PATIENCE_S))

    def step(self) -> AbstractContextManager[None]:
        return self._pulse.step()

    def doing(self, what: str) -> AbstractContextManager[None]:
        return self._pulse.doing(what)

    def meet(self) -> None:
        import torch

        with self._peers():
            self._dist.all_reduce(torch.zeros(1), group=self._patient)

    def sum(self, values: Array) -> Array:
        import torch

        tensor = torch.from_numpy(np.asarray(values, order="C"))
        with self._peers():
            self._dist.all_reduce(tensor)
        summed: Array = tensor.numpy()
        return summed

    def same(self, values: Array) -> Array:
        import torch

        # As bytes: gloo knows few types.
        tensor = torch.from_numpy(np.frombuffer(values.tobytes(), np.uint8).copy())
        with self._peers():
            self._dist.broadcast(tensor, src=0)
        sent: Array = tensor.numpy().view(values.dtype).reshape(values.shape)
        return sent

    def gather_rows(self, tables: Sequence[Rows]) -> list[Rows]:
        if not tables:
            return []
        counts = self._gather(np.array([len(indices) for indices, _ in tables], np.int64))
        bytes_of_row = [8 + values.itemsize * math.prod(values.shape[1:]) for _, values in tables]
        # gloo gathers equal sizes only: all are as long as the longest.
        sent = self._gather(_packed(tables, int((counts @ bytes_of_row).max())))
        parts = [_unpacked(raw, own, tables) for raw, own in zip(sent, counts, strict=True)]
        return [
            (np.concatenate([numbers for numbers, _ in table]), np.concatenate([values for _, values in table]))
            for table in zip(*parts, strict=True)
        ]

    def _gather(self, values: Array) -> Array:
        """Of all workers, shape (world, …)."""
        import torch

        tensor = torch.from_numpy(values)
        gathered = torch.empty((self.world, *tensor.shape), dtype=tensor.dtype)
        with self._peers():
            self._dist.all_gather(list(gathered.unbind()), tensor)
        found: Array = gathered.numpy()
        return found

    def close(self) -> None:
        # All of it, and now: what is left of a group or a thread at the interpreter's end may abort the process.
        self._pulse.close()
        self._patient = None
        self._dist.destroy_process_group()

    @contextmanager
    def _peers(self) -> Iterator[None]:
        self._pulse.beat()
        try:
            yield
        except RuntimeError as error:  # gloo has no kinds of errors
            raise PeerLostError(f"the other workers are out of reach: {error}") from error


def _packed(tables: Sequence[Rows], size: int) -> NDArray[np.uint8]:
    """All row numbers, then all gradients, as so many bytes; zeros after them, no memory of others."""
    packed = np.empty(size, np.uint8)
    at = 0
    for array in [*(indices for indices, _ in tables), *(values for _, values in tables)]:
        packed[at : at + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        at += array.nbytes
    packed[at:] = 0
    return packed


def _unpacked(packed: NDArray[np.uint8], counts: NDArray[np.int64], like: Sequence[Rows]) -> list[Rows]:
    """What `_packed` packed: so many rows of each table, of the types and shapes of `like`."""
    ends = np.cumsum(counts) * 8
    numbers = [packed[end - count * 8 : end].view(np.int64) for end, count in zip(ends, counts, strict=True)]
    at, rows = int(ends[-1]), []
    for indices, (_, values), count in zip(numbers, like, counts, strict=True):
        shape = (int(count), *values.shape[1:])
        size = math.prod(shape) * values.itemsize
        rows.append((indices, packed[at : at + size].view(values.dtype).reshape(shape)))
        at += size
    return rows


def same_facts(comm: Comm, facts: Any) -> Any:
    """What rank 0 gives, which JSON can hold; what the others give does not count."""
    sent = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    size = int(comm.same(np.array(len(sent), np.int64)))
    text = sent if comm.rank == 0 else np.zeros(size, np.uint8)
    return json.loads(comm.same(text).tobytes())


def same_state(comm: Comm, state: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of rank 0 with their names; the others may have none of them."""
    shapes = {name: [str(value.dtype), list(value.shape)] for name, value in state.items()}
    shapes = same_facts(comm, shapes)
    own = state if comm.rank == 0 else {name: np.zeros(shape, kind) for name, (kind, shape) in shapes.items()}
    return {name: comm.same(own[name]) for name in shapes}


def digests(arrays: Sequence[Array]) -> NDArray[np.uint8]:
    """A hash of each array's bits, shape (n, 16)."""
    found = [hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()[:16] for array in arrays]
    return np.frombuffer(b"".join(found), np.uint8).reshape(len(arrays), 16)


def differing(comm: Comm, arrays: Sequence[Array]) -> list[bool]:
    """Which arrays some worker has otherwise than rank 0: a mean of equal numbers is not always that number."""
    own = digests(arrays)
    others = (own != comm.same(own)).any(axis=1).astype(np.int64)
    return [bool(count) for count in comm.sum(others)]


def refuse_sum() -> NoReturn:
    """Raise what is wrong with a loss that adds up its rows."""
    raise InvalidInputError(
        "the loss is a sum over rows, so its gradient would depend on the number of workers; use the mean (reduction "
        "'mean', or of Keras 'sum_over_batch_size') and a higher learning rate, or one worker"
    )


def sum_all(comm: Comm, arrays: Sequence[Array]) -> list[Array]:
    """Sums of arrays of one dtype over all workers, in one message."""
    if comm.world == 1 or not arrays:
        return list(arrays)
    flat = comm.sum(np.concatenate([array.reshape(-1) for array in arrays]))
    parts = np.split(flat, np.cumsum([array.size for array in arrays])[:-1])
    return [part.reshape(old.shape).astype(old.dtype, copy=False) for part, old in zip(parts, arrays, strict=True)]
