#!/usr/bin/env bash
# Everything worth running on a GPU, in one go: bash scripts/gpu.sh OUT [MINUTES]
#
# Run it with the project's environment first on PATH (. .venv/bin/activate) and REPLICATION_DATA set. Most valuable first; what is
# cut off after MINUTES (25 if not said) goes on where it stopped when the same command is given again with the same OUT. OUT gets a log
# of each step, the benchmarks as JSON, results/ as the experiments leave it, and pages/, the executed notebooks; checkpoints and weights
# stay in OUT/runs.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: bash scripts/gpu.sh OUT [MINUTES]}
deadline=$((SECONDS + 60 * ${2:-25}))
mkdir -p "$out"
out=$(cd "$out" && pwd)
export REPLICATION_RUNS=$out/runs REPLICATION_RESULTS=$out/results REPLICATION_PAGES=$out/pages
gpus=$(python -c 'import torch; print(torch.cuda.device_count())')
[ "$gpus" -gt 0 ] || { echo "gpu.sh: torch finds no CUDA device here" >&2; exit 2; }

step() { # step NAME COMMAND...: within the time that is left; a step that is done is not done again
    local name=$1 left=$((deadline - SECONDS))
    shift
    [ -e "$out/$name.done" ] && return
    [ "$left" -gt 10 ] || { echo "$name: no time left"; return; }
    echo "== $name (at most $left s)"
    if timeout --signal=TERM --kill-after=30 "$left" "$@" >"$out/$name.out" 2>"$out/$name.log"; then
        touch "$out/$name.done"
    else
        echo "$name: ended with $?, see $out/$name.log"
    fi
}

step doctor replication doctor
step parity python -m pytest -q -p no:cacheprovider -m gpu tests
for name in lrn step loader trainer; do
    step "bench-$name" replication bench "$name" --device cuda --batch 128 --json
done
if [ "$gpus" -ge 2 ]; then # the paper's two GPUs: one tower each
    step two-ranks torchrun --nproc-per-node 2 -m replication train alexnet --profile quick
fi
for name in data_pipeline loading_speed ablations training tables kernels predictions_and_neighbours binary_codes relu_vs_tanh lrn_cifar; do
    step "$name" replication run "$name" --profile gpu --jobs 4
done
step claims replication claims --profile gpu --json
