"""The error that says what a user can mend; whatever else is raised is a fault of the program."""


class BeganError(ValueError):
    """An argument, a file or a folder is not what is needed; the message names it and says what is.

    >>> import began
    >>> began.TrainConfig(gamma=2.0)
    Traceback (most recent call last):
    began.errors.BeganError: gamma must be at least 0 and at most 1, got 2.0
    """
