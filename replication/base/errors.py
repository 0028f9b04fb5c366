"""The two ways in which a command ends badly on purpose; everything else is a defect and keeps its
traceback.
"""


class InputError(Exception):
    """The user's input is at fault. The message is one line: what, where, what to do. Exit status
    2.
    """


class TrainingError(Exception):
    """Training cannot go on (for instance a loss that is not finite). The last good checkpoint is
    kept. Exit status 3.
    """
