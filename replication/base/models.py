"""Value objects: validated when they are built, never changed, one line for invalid input."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from replication.base.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


class Frozen(BaseModel):
    """A value object that refuses unknown keys, NaN and infinity, and cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def validated(kind: type[Model], where: str, values: Mapping[str, Any]) -> Model:
    """Return a ``kind`` with ``values``.

    Raises InputError that names ``where`` the first invalid value is, and why."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}: {first_fault(error)}") from None


def first_fault(error: ValidationError) -> str:
    """Return the first complaint of a validation, on one line: which field, and why."""
    fault = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{field}: there is no such field"
    return f"{field + ': ' if field else ''}{fault['msg']}".replace("\n", " ")
