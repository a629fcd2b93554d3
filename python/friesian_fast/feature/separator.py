"""What separates tokens: literal text, also where a script has it as the pattern that the original wanted."""

from __future__ import annotations

import re

from friesian_fast.errors import InvalidInputError

_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}


def literal(sep: str) -> str:
    r"""The text that a separator stands for: itself, or of a pattern for one text, that text.

    The original took a Java pattern, so its scripts have ``\\|``, ``[|]``, ``\t`` or ``\Q||\E``; they mean ``|``,
    ``|``, a tab and ``||`` here as well. A plain ``|``, ``.`` or ``*`` is itself.

    Raises
    ------
    InvalidInputError
        If it is empty or no str, or a pattern for more than one text, such as ``\s+`` or ``[,;]``.
    """
    if not isinstance(sep, str) or not sep:
        raise InvalidInputError(f"sep is {sep!r}; give the text between tokens")
    if found := re.fullmatch(r"\\Q(.+)\\E", sep, re.DOTALL):
        return found[1]
    if found := re.fullmatch(r"\[(\\?.)\]", sep, re.DOTALL):
        return _unescaped(found[1], sep)
    if re.fullmatch(r"\[[^\]]{2,}\][+*?]?", sep) or re.search(r"\\.[+*?]$|^\.[+*]$", sep):
        raise _no_pattern(sep)
    return _unescaped(sep, sep)


def _unescaped(text: str, sep: str) -> str:
    """Without the backslashes that make a character mean itself; a last one alone is itself."""

    def meant(found: re.Match[str]) -> str:
        escaped = found[1]
        if not escaped.isalnum():
            return escaped
        if escaped not in _CONTROLS:
            raise _no_pattern(sep)
        return _CONTROLS[escaped]

    return re.sub(r"\\(.)", meant, text, flags=re.DOTALL)


def _no_pattern(sep: str) -> InvalidInputError:
    return InvalidInputError(f"sep is the pattern {sep!r}; only a text can separate tokens: give it as it is")
