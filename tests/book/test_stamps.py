"""The stamps of executed pages."""

import ast

from replication.book.stamps import structure


def test_a_modules_hash_does_not_depend_on_the_version_of_python() -> None:
    """``ast.dump`` shows empty fields up to 3.12 and none from 3.13 on."""
    module = ast.parse("def f(x=None):\n    return g(x)")
    arguments = "arguments(args=[arg(arg='x')], defaults=[Constant(value=None)])"
    call = "Call(func=Name(id='g', ctx=Load()), args=[Name(id='x', ctx=Load())])"
    function = f"FunctionDef(name='f', args={arguments}, body=[Return(value={call})])"
    assert structure(module) == f"Module(body=[{function}])"
