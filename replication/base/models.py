"""Value objects: validated when they are built, never changed, one line for invalid input."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from replication.base.errors import InputError, suggestion

Model = TypeVar("Model", bound=BaseModel)


class Frozen(BaseModel):
    """A value object that refuses unknown keys, NaN and infinity, and cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def validated(kind: type[Model], where: str, values: Mapping[str, Any]) -> Model:
    """Return a ``kind`` with ``values``.

    Raises InputError that names ``where`` the first invalid value is, and why."""
    try:
        built = kind.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}: {first_fault(error, kind)}") from None
    if field := _truth_as_number(values, built):
        raise InputError(f"{where}: {field}: Input should be a number, not true or false")
    return built


def _truth_as_number(given: Any, built: Any, field: str = "") -> str:
    """Return the field whose true or false became 1 or 0, as "update.rate"; "" if none did."""
    if isinstance(given, bool):
        return "" if isinstance(built, bool) else field
    if isinstance(given, Mapping):
        parts = [
            (str(name), value, getattr(built, str(name), value)) for name, value in given.items()
        ]
    elif isinstance(given, list | tuple) and isinstance(built, tuple):
        parts = [(str(n), *pair) for n, pair in enumerate(zip(given, built, strict=False))]
    else:
        return ""
    for name, value, result in parts:
        if found := _truth_as_number(value, result, f"{field}.{name}".removeprefix(".")):
            return found
    return ""


# what to write, where pydantic speaks of its parser
PLAIN = {
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_parsing": "should be a number",
    "model_type": "has fields of its own: set one of them, as in update.rate=0.02",
    "model_attributes_type": "has fields of its own: set one of them, as in update.rate=0.02",
}


def first_fault(error: ValidationError, kind: type[BaseModel] | None = None) -> str:
    """Return the first complaint of a validation, on one line: which field, and why.

    ``kind``: the model, from whose fields the nearest to an unknown one is suggested."""
    fault = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        hint = suggestion(field, _fields(kind)) if kind else ""
        return f"{field}: no such field{'; ' if hint else ''}{hint.strip()}"
    message = PLAIN.get(fault["type"]) or (
        fault["msg"]
        .removeprefix("Value error, ")
        .replace("\n", " ")
        .replace("a valid tuple", "a list, as in [0, 1]")
    )
    return f"{field}: {message}" if field else message


def _fields(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the fields of a model, and those of the models in them as "update.rate"."""
    for name, field in kind.model_fields.items():
        yield prefix + name
        for inner in _models(field.annotation):
            yield from _fields(inner, f"{prefix}{name}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
