"""The types and formats that the platform's pages give the documented body fields; custom fields may be anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from batchpost.routes import FieldRule, FieldType, Route

__all__ = ["invalid_fields"]


def invalid_fields(route: Route, body: dict[str, Any]) -> list[str]:
    """The names of the fields of ``body`` that are not what the route documents; an empty text clears a text field."""
    rules = route.fields
    return [name for name, value in body.items() if name in rules and not _fits(value, rules[name])]


def _fits(value: object, rule: FieldRule) -> bool:
    if value == "":  # clears the field
        return rule.type not in _NUMBERS and not rule.required
    return _CHECKS[rule.type](value) and (not rule.choices or str(value) in rule.choices)


def _matches(pattern: str) -> Callable[[object], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _dated(pattern: str) -> Callable[[object], bool]:
    shape = _matches(pattern)

    def check(value: object) -> bool:
        if not shape(value):
            return False
        try:
            datetime.fromisoformat(str(value))
        except ValueError:
            return False
        return True

    return check


_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|"
    "OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|PR|GU|VI|AS|MP|AA|AE|AP"
)
_NUMBERS = frozenset({FieldType.NUMBER, FieldType.MONEY, FieldType.INTEGER, FieldType.BOOLEAN})
_CHECKS: dict[FieldType, Callable[[object], bool]] = {
    FieldType.TEXT: _is_text,
    FieldType.EMAIL: _is_text,
    FieldType.ZIP: _is_text,
    FieldType.NUMBER: _is_number,
    FieldType.MONEY: _is_number,
    FieldType.INTEGER: lambda value: type(value) is int,
    FieldType.BOOLEAN: lambda value: type(value) is bool,
    FieldType.PHONE: _matches("[0-9]{10}"),
    FieldType.STATE: _matches(_STATES),
    FieldType.DATE: _dated(_DATE),
    FieldType.DATETIME: _dated(_DATE + "(?: [0-9]{2}:[0-9]{2}:[0-9]{2})?"),
}
