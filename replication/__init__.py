"""A replication of Krizhevsky, Sutskever and Hinton (2012).

The paper is "ImageNet classification with deep convolutional neural networks".
"""

__version__ = "0.1.0"
