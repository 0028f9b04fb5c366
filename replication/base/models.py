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
    "model_type": "should be fields with their values",
    "model_attributes_type": "should be fields with their values",
}
SET_ONE = "has fields of its own: set one of them, as in update.rate=0.02"  # of a recipe, by hand


def first_fault(error: ValidationError, kind: type[BaseModel] | None = None) -> str:
    """Return the first complaint of a validation, on one line: which field, and why.

    ``kind``: the model, from whose fields the nearest to an unknown one is suggested."""
    fault = error.errors(include_url=False)[0]
    names, others = _as_written(fault["loc"], kind)
    field = ".".join(names)
    if fault["type"] == "extra_forbidden":
        hint = suggestion(field, _fields(kind, others)) if kind else ""
        return f"{field}: no such field{'; ' if hint else ''}{hint.strip()}"
    message = (
        SET_ONE if kind and fault["type"].startswith("model_") else PLAIN.get(fault["type"])
    ) or (
        fault["msg"]
        .removeprefix("Value error, ")
        .replace("\n", " ")
        .replace("a valid tuple", "a list, as in [0, 1]")
    )
    return f"{field}: {message}" if field else message


def _as_written(
    place: tuple[int | str, ...], kind: type[BaseModel] | None
) -> tuple[list[str], list[type[BaseModel]]]:
    """Return the fields that lead to a ``place``, and the models that were not chosen on the way.

    Where a field holds one of several models, pydantic puts the word that chooses it ("cifar" of
    net.family) into the place, and the user has not written it."""
    names: list[str] = []
    others: list[type[BaseModel]] = []
    models = [kind] if kind else []
    for part in place:
        fields = [one.model_fields[part] for one in models if part in one.model_fields]
        chosen = [one for one in models if part in _words(one)]
        if not fields and 0 < len(chosen) < len(models):
            others += [one for one in models if one not in chosen]
            models = chosen
        else:
            names.append(str(part))
            models = [inner for field in fields for inner in _models(field.annotation)]
    return names, others


def _words(kind: type[BaseModel]) -> list[Any]:
    return [word for field in kind.model_fields.values() for word in get_args(field.annotation)]


def _fields(
    kind: type[BaseModel], without: list[type[BaseModel]], prefix: str = ""
) -> Iterator[str]:
    """Yield the fields of a model, and those of the models in them as "update.rate"."""
    for name, field in kind.model_fields.items():
        yield prefix + name
        for inner in _models(field.annotation):
            if inner not in without:
                yield from _fields(inner, without, f"{prefix}{name}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
