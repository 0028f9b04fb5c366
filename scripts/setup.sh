#!/bin/sh
# Makes .venv from requirements.lock, or brings it up to date. `make` calls it; PYTHON names the interpreter to start from.
# .venv counts as ready only once .venv/.ready is there, which is written last. It holds this folder: .venv's commands name it, so of a
# clone that was renamed, moved or copied .venv is made anew.
set -eu
cd "$(dirname "$0")/.."
venv=.venv
ready=$venv/.ready
log=$venv/setup.log
needed_mb=4000 # the lock with torch's CPU build fills 2.1 GB, pip's downloads and cache nearly as much again

fail() {
    echo "setup: $*" >&2
    exit 1
}

version_of() {
    "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo 'not found'
}

recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        recent "$PYTHON" || fail "PYTHON=$PYTHON is Python $(version_of "$PYTHON"), and 3.11 or newer is needed: name another, or none"
        return
    fi
    for PYTHON in python3 python3.13 python3.12 python3.11; do
        if recent "$PYTHON"; then return; fi
    done
    fail "no Python 3.11 or newer on PATH (python3: $(version_of python3)): install one, or name it: make PYTHON=/path/to/python3.12"
}

make_venv() {
    find_python
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$PYTHON lacks its venv module: on Debian or Ubuntu run apt install python$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv, then make again"
    free_mb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free_mb" -ge "$needed_mb" ] ||
        fail "only $free_mb MB free in $PWD, and $needed_mb MB are needed for .venv: free some, or clone onto another disk"
    rm -rf "$venv"
    "$PYTHON" -m venv "$venv" || {
        rm -rf "$venv"
        fail "$PYTHON -m venv failed in $PWD (its words are above): mend that, or name another Python: make PYTHON=/path/to/python3.12"
    }
}

install() {
    # PIP_USER: a pip configured for --user refuses to install into an environment. Everything else of the user's pip settings holds.
    PIP_USER=0 "$venv/bin/python" -m pip install --progress-bar off "$@" >>"$log" 2>&1 ||
        fail "pip failed, $(grep '^ERROR' "$log" | tail -n 1): read $PWD/$log, then run make again (what was downloaded is kept)"
}

here=$(pwd -P)
installed_in=$(cat "$ready" 2>/dev/null || echo "$here")
[ "${installed_in:-$here}" = "$here" ] || echo "setup: .venv is of $installed_in, and this is $here: it is made anew"
{ [ "${installed_in:-$here}" = "$here" ] && "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; } || make_venv
rm -f "$ready"
: >"$log"
echo "setup: installing requirements.lock into .venv, Python $(version_of "$venv/bin/python") (minutes the first time; log: $log)"
install --requirement requirements.lock
install --no-deps --no-build-isolation --editable . # setuptools comes from the lock
echo "$here" >"$ready"
