"""One module per table or figure; ``EXPERIMENTS`` lists them in their order of execution."""

from replication.experiments.common.contract import Experiment

EXPERIMENTS = (
    Experiment("ablations", uses_baseline=True),
    Experiment("architecture"),
    Experiment("binary_codes", uses_baseline=True),
    Experiment("data_pipeline", uses_baseline=True),
    Experiment("effect_of_data", uses_baseline=True),
    Experiment("kernels", uses_baseline=True),
    Experiment("loading_speed"),
    Experiment("lrn_cifar"),
    Experiment("paper_vs_source", uses_baseline=True),
    Experiment("predictions_and_neighbours", uses_baseline=True),
    Experiment("relu_vs_tanh"),
    Experiment("tables", uses_baseline=True),
    Experiment("training", uses_baseline=True),
    Experiment("deviations", reads_results=True),
    Experiment("runs", reads_results=True),
    Experiment("claims", reads_results=True),
)
