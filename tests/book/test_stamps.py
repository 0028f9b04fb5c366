"""The stamps of executed pages."""

import ast

import pytest

from replication.book import notebooks
from replication.book.stamps import stamp, structure


@pytest.mark.parametrize("name", ["lrn_cifar", "relu_vs_tanh"])
def test_a_page_does_not_depend_on_the_number_of_training_processes(name: str) -> None:
    values = notebooks.parameters(name, "laptop")
    one, four = (
        stamp(notebooks.source(name), "laptop", values | {"jobs": jobs}) for jobs in (1, 4)
    )
    none = {key: value for key, value in values.items() if key != "jobs"}
    assert one == four == stamp(notebooks.source(name), "laptop", none)
    other = values | {"seeds": [7]}
    assert stamp(notebooks.source(name), "laptop", other)["parameters"] != one["parameters"]


def test_a_modules_hash_does_not_depend_on_the_version_of_python() -> None:
    """``ast.dump`` shows empty fields up to 3.12 and none from 3.13 on."""
    module = ast.parse("def f(x=None):\n    return g(x)")
    arguments = "arguments(args=[arg(arg='x')], defaults=[Constant(value=None)])"
    call = "Call(func=Name(id='g', ctx=Load()), args=[Name(id='x', ctx=Load())])"
    function = f"FunctionDef(name='f', args={arguments}, body=[Return(value={call})])"
    assert structure(module) == f"Module(body=[{function}])"
