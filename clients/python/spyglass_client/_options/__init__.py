"""The options of a client: small immutable objects that clients may share."""

from spyglass_client._options.connections import Balance, KeepAlive
from spyglass_client._options.credentials import Credentials
from spyglass_client._options.hedging import Hedging
from spyglass_client._options.retries import Retry, RetryBudget
from spyglass_client._options.timeouts import Timeout

__all__ = [
    "ANONYMOUS",
    "DEFAULT_BALANCE",
    "DEFAULT_KEEP_ALIVE",
    "DEFAULT_RETRY",
    "DEFAULT_TIMEOUT",
    "Balance",
    "Credentials",
    "Hedging",
    "KeepAlive",
    "Retry",
    "RetryBudget",
    "Timeout",
]

DEFAULT_TIMEOUT = Timeout()
DEFAULT_RETRY = Retry()
DEFAULT_BALANCE = Balance()
DEFAULT_KEEP_ALIVE = KeepAlive()
ANONYMOUS = Credentials()
