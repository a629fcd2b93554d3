"""Names of output columns: one for each of some columns crossed with something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from friesian_fast.errors import InvalidInputError


def crossed_names(
    names: Sequence[Any], others: Sequence[Any], out_cols: Any, default: Callable[[Any, Any], str], what: str
) -> list[list[str]]:
    """Output names by column and by the other thing.

    Parameters
    ----------
    names, others : sequence
    out_cols : str, list of str, list of lists, or None
        A name for one of each, a list if there is one of either, else for each of `names` a list by `others`.
    default : function
        Makes the name where `out_cols` is None.
    what : str
        What there is of each, for the error.

    Raises
    ------
    InvalidInputError
        If the shape does not fit, or a name is no str or there twice.
    """
    if out_cols is None:
        nested: Any = [[default(name, other) for other in others] for name in names]
    else:
        nested = [[out_cols]] if isinstance(out_cols, str) else out_cols
        if isinstance(nested, (list, tuple)) and nested and all(isinstance(one, str) for one in nested):
            nested = [nested] if len(names) == 1 else [[one] for one in nested] if len(others) == 1 else nested
    fits = isinstance(nested, (list, tuple)) and len(nested) == len(names)
    if not fits or not all(isinstance(outs, (list, tuple)) and len(outs) == len(others) for outs in nested):
        raise InvalidInputError(f"out_cols is {out_cols}; give one name for each of {len(names)} {what}")
    flat = [out for outs in nested for out in outs]
    if not all(isinstance(out, str) for out in flat):
        raise InvalidInputError("each element in out_cols should be str")
    again = sorted({out for out in flat if flat.count(out) > 1})
    if again:
        raise InvalidInputError(f"{again} would be there twice; give other out_cols")
    return [list(outs) for outs in nested]
