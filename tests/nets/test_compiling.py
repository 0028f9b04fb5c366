"""What this machine lacks for compiled kernels is found before they are needed."""

import threading

import pytest
import torch

from replication.nets import compiling


def test_the_thread_of_the_backward_pass_may_keep_as_many_versions(monkeypatch):
    monkeypatch.setattr(compiling, "_compiled", lambda function: function)  # needs no compiler
    found = []

    def look():
        x = torch.randn(4, 6, 3, 3)
        compiling.run_compiled(torch.add, (x, x), ())
        found.append(torch._dynamo.config.recompile_limit)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [compiling.SHAPES]


@pytest.fixture
def equipped(monkeypatch, tmp_path):
    """A machine that has everything, with headers in a folder of its own."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(compiling, "find_spec", lambda name: name)
    monkeypatch.setattr(compiling.shutil, "which", lambda name: name)
    monkeypatch.setattr(compiling.sysconfig, "get_path", lambda name, scheme: str(tmp_path))
    (tmp_path / "Python.h").touch()
    return tmp_path


def test_without_a_compiler_or_headers_torchs_own_kernels_serve(equipped, monkeypatch):
    missing = compiling.missing.__wrapped__
    assert missing() is None
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    assert missing() == "a C compiler"
    monkeypatch.setenv("CC", "cc")
    assert missing() is None
    (equipped / "Python.h").unlink()
    assert missing() == "Python's headers"


def test_on_debian_headers_are_looked_for_where_triton_looks(monkeypatch):
    monkeypatch.setattr(compiling.sysconfig, "get_default_scheme", lambda: "posix_local")
    monkeypatch.setattr(compiling.sysconfig, "get_path", lambda name, scheme: f"{name}/{scheme}")
    assert compiling._headers() == ["include/posix_prefix"]


def test_a_trial_that_fails_on_the_gpu_turns_compiled_kernels_off(equipped, monkeypatch, caplog):
    def no_linker(function):
        raise RuntimeError("cannot find -lcuda\nand more")

    monkeypatch.setattr(compiling, "missing", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(compiling, "_compiled", no_linker)
    assert not compiling.can_compile.__wrapped__()
    assert caplog.messages == [
        "kernels cannot be compiled here, so torch's own are used: cannot find -lcuda"
    ]
