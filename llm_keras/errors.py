"""Errors that a person can act on, and the exit code of each."""

#: Exit code of what was interrupted before there was anything to save.
INTERRUPTED = 130


class LLMKerasError(Exception):
    """Base of every error that the command line prints as one line, without a traceback."""

    exit_code = 1


class UserError(LLMKerasError):
    """A mistake in what the user gave: says what was expected, what came, and what to do."""

    exit_code = 2


class InterruptedRunError(LLMKerasError):
    """The run was told to stop (SIGTERM) and stopped with its work saved."""

    exit_code = 3


class DivergedError(LLMKerasError):
    """Training met a loss that is not a finite number."""

    exit_code = 4


class LostWorkerError(LLMKerasError):
    """Another process of the run ended or hangs; the run can be started again."""

    exit_code = 5
