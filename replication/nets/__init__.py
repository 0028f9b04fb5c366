"""The nets: AlexNet in its towers, its authors' CIFAR-10 nets, their layers, and their counts."""
