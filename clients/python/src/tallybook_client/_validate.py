"""What the service would refuse. One such entry would spoil the whole flush that it is in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

MAX_COUNT: Final = 2**53 - 1

MAX_TIME: Final = 253_402_300_799
"""The end of the year 9999 in Unix seconds: the service refuses later times."""

_MAX_NAME_LENGTH = 255
_MAX_VALUE_LENGTH = 64
_DECLARED_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
# A NUL, or half of a surrogate pair.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# The service trims what JavaScript calls white space, which differs from `str.strip()`.
_WHITE_SPACE = (
    "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)


def _is_name(value: str) -> bool:
    return (
        value != ""
        and _is_at_most(value, _MAX_NAME_LENGTH)
        and value.strip(_WHITE_SPACE) == value
        and _UNSTORABLE.search(value) is None
    )


def _is_at_most(text: str, length: int) -> bool:
    """Compares a length in UTF-16 units, in which the service counts."""
    if len(text) * 2 <= length:
        return True
    return len(text) + sum(1 for char in text if char > "\uffff") <= length


class _Known:
    """Texts that were found valid, because looking one up costs less than matching it."""

    def __init__(self, is_valid: Callable[[str], bool]) -> None:
        self.texts: set[str] = set()
        self._is_valid = is_valid

    def learn(self, text: object) -> bool:
        if not isinstance(text, str) or not self._is_valid(text):
            return False
        if len(self.texts) >= _MAX_KNOWN:
            self.texts = set()
        self.texts.add(text)
        return True


_MAX_KNOWN = 10_000

_accounts = _Known(_is_name)

_names = _Known(lambda name: _DECLARED_NAME.fullmatch(name) is not None)

_values = _Known(
    lambda value: (
        value not in ("", "other")
        and _is_at_most(value, _MAX_VALUE_LENGTH)
        and _UNSTORABLE.search(value) is None
    )
)


def is_key(key: object) -> bool:
    """True for an id or an external id that an API key can have."""
    if type(key) is int:
        return 0 < key <= MAX_COUNT
    return is_account(key)


def is_account(name: object) -> bool:
    """True for an external id or a hash that an account can have."""
    return name in _accounts.texts or _accounts.learn(name)


def are_dimensions(dimensions: Mapping[str, str]) -> bool:
    names, values = _names.texts, _values.texts
    for name, value in dimensions.items():
        if name not in names and not _names.learn(name):
            return False
        if value not in values and not _values.learn(value):
            return False
    return True


def are_measures(measures: Mapping[str, int]) -> bool:
    names = _names.texts
    for name, value in measures.items():
        if name not in names and not _names.learn(name):
            return False
        if type(value) is not int or not 0 <= value <= MAX_COUNT:
            return False
    return True
