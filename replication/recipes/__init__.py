"""Named recipes: each published net at each of the four scales, one YAML file per recipe.

They serve ``replication train`` and the experiments' baselines. ``NAME.PROFILE.yaml`` lists what
differs from a recipe's defaults. Rates, epochs and widths of the reduced scales were chosen by
short trials on validation images, never on the reported split.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from replication.base import paths
from replication.base.errors import InputError, unknown
from replication.base.models import validated
from replication.recipe import Recipe

FOLDER = Path(__file__).resolve().parent
NETS = ("alexnet", "alexnet-2012", "alexnet-one-gpu", "alexnet-6conv", "19pct")
# of some profiles only
OTHERS = ("alexnet-2012-learnt",)
NAMES = (*NETS, *OTHERS)
PROFILES = ("quick", "laptop", "gpu", "paper")


class _Loader(yaml.SafeLoader):
    """YAML without its guesses: 010 is no octal number, ``yes`` no 1, a key is given once."""

    yaml_implicit_resolvers = {
        first: [
            (tag, re.compile(r"[-+]?[0-9]+$") if tag.endswith(":int") else pattern)
            for tag, pattern in resolvers
            if not tag.endswith(":bool") or first in "tTfF"
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Return a whole number, read in base ten."""
        return int(self.construct_scalar(node))

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping. Raises ConstructorError for a key that is given twice."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


@cache
def named(name: str, profile: str) -> Recipe:
    """Return the recipe of a published net at a profile, seed 0.

    Raises InputError for an unknown name or profile.
    """
    if name not in NAMES:
        raise InputError(f"{unknown('recipe', name, NAMES)}, or name a YAML file")
    if profile not in PROFILES:
        raise InputError(unknown("profile", profile, PROFILES))
    path = FOLDER / f"{name}.{profile}.yaml"
    if not path.is_file():
        there = [other for other in PROFILES if (FOLDER / f"{name}.{other}.yaml").is_file()]
        raise InputError(f"{name} has no {profile} profile; it has {', '.join(there)}")
    return validated(Recipe, name, _read(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; name a file that `train NAME --dry-run` printed"
        ) from None
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(
            f"{path} is not YAML ({' '.join(str(error).split())}); write it as `train NAME"
            " --dry-run` does"
        ) from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a recipe; write it as `train --dry-run` does")
    return values


def chosen(name: str, profile: str, changes: Sequence[str] = ()) -> Recipe:
    """Return a named recipe, or that of a YAML file, with changes applied.

    A change is ``field=value`` with a YAML value, for instance ``update.rate=0.02``. Raises
    InputError that names the file or the field at fault."""
    values = _before_changes(name, profile)
    for change in changes:
        field, equals, text = change.partition("=")
        *parents, last = field.split(".")
        place: Any = values
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if not equals or not last or not isinstance(place, dict):
            raise InputError(
                f"--set {change!r}: write field=value with a field of the recipe, for instance"
                " update.rate=0.02"
            )
        try:
            place[last] = _value(text, place.get(last))
        except yaml.reader.ReaderError:  # a path whose bytes are not text
            place[last] = text
        except yaml.YAMLError:
            raise InputError(
                f"--set {change!r}: the value is not YAML; close every bracket and quote, or put"
                " the whole value into quotes"
            ) from None
    return validated(Recipe, name, values)


def planned_epochs(name: str, profile: str) -> int | None:
    """Return the epochs of ``chosen``'s recipe before any change; None if its file has none."""
    epochs = _before_changes(name, profile).get("epochs")
    return epochs if isinstance(epochs, int) else None


def _before_changes(name: str, profile: str) -> dict[str, Any]:
    if Path(name).suffix in (".yaml", ".yml", ".json"):
        return _read(paths.named(name))
    return named(name, profile).model_dump(mode="json")


def _value(text: str, current: object) -> Any:
    """Return a value as plain text, which the declared type of its field then reads.

    YAML itself would guess: 010 is 8 there, 1:30 is 90, and 1e-3 is a word. Only whole numbers,
    which a choice such as 1 or 2 towers compares by value, and null are read here."""
    value = yaml.load(text, Loader=yaml.BaseLoader)
    if value in ("", "null", "~"):
        return None
    quoted = text.lstrip()[:1] in ("'", '"')
    if not quoted and not isinstance(current, str) and isinstance(value, str) and value.isdecimal():
        return int(value)
    return value


def as_yaml(recipe: Recipe) -> str:
    """Return the whole recipe as text that ``chosen`` reads."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
