"""Where data sets come from: the catalog, downloads, ILSVRC's archives, the synthetic set."""
