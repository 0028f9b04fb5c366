"""The nets: AlexNet in its towers, the CIFAR-10 nets of its authors, the layers both need, and what
can be counted about them.
"""
