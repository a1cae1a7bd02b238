"""What can go wrong in the service, as one tree.

    NodeError
    ├── ConfigError          the configuration has mistakes; all of them are listed (exit code 2)
    ├── SpoolError           an instance cannot be made durable (0xA700)
    │   └── DiskFullError    no space left, or below `min_free_gb` (0xA700)
    ├── InvalidUIDError      a UID breaks PS3.5 section 9.1 and must not become a path (0x0117)
    ├── RegistryError        the registry cannot be read or written (0xA701)
    │   └── IllegalMoveError a series was to be moved to a state it cannot reach from where it is
    ├── CommitmentRequestError  a storage commitment request is malformed (0x0115)
    │   └── TooManyReferencesError  it asks for more objects than one request may (0x0213)
    ├── ProcessingError      a series could not be processed: crash, time limit, memory limit
    │   └── ProcessingStoppedError  the node is stopping; the series is processed after the next start
    ├── ReplayError          a recorded result cannot be made again: no report, no recipe, no originals
    └── DeliveryError        a destination did not take a product; `retryable` says whether to try again

Each message says what failed, for which UID or path, and what to do next.
"""


class NodeError(Exception):
    """Any failure of the service that a person may have to act on."""


class ConfigError(NodeError):
    """The configuration has one or more mistakes; `mistakes` lists them all."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(mistakes))


class SpoolError(NodeError):
    """An instance cannot be made durable."""


class DiskFullError(SpoolError):
    """No space is left for the spool, or less than the configured reserve."""


class InvalidUIDError(NodeError):
    """A UID breaks PS3.5 section 9.1 and must not become a path."""


class RegistryError(NodeError):
    """The registry cannot be read or written."""


class IllegalMoveError(RegistryError):
    """A series was to be moved to a state that it cannot reach from where it is."""


class CommitmentRequestError(NodeError):
    """A storage commitment request cannot be read, or says too little."""


class TooManyReferencesError(CommitmentRequestError):
    """A storage commitment request asks for more objects than one may."""


class ProcessingError(NodeError):
    """A series could not be processed: its child process crashed, took too long or too much memory."""


class ProcessingStoppedError(ProcessingError):
    """The node is stopping, so the series was not processed; its job runs again after the next start."""


class ReplayError(NodeError):
    """A recorded result cannot be made again."""


class DeliveryError(NodeError):
    """A destination did not take a product; `retryable` says whether a later attempt may succeed."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable
