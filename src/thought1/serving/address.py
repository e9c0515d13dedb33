"""Where a server listens, and by which names it is called. It knows sockets, no HTTP."""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from thought1.types import Thought1Error

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("", "0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens.

    Raises:
        Thought1Error: it would listen beyond this machine without tokens or consent; or
            it listens on all addresses and no host name is configured.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    allow_host: Sequence[str] = ()
    """Host names by which clients call the server, beside its address."""
    tokens: bool = False
    """Whether requests must bear a token."""
    no_token: bool = False
    """Whoever reaches the address may ask."""

    def __post_init__(self) -> None:
        if not (self.loopback or self.tokens or self.no_token):
            raise Thought1Error(
                f"on {self.host} whoever reaches this machine could ask: name a token file "
                "(`t1 tokens add FILE NAME` makes one), or allow it with no_token=True"
            )
        if self.host in EVERYWHERE and not self.allow_host:
            raise Thought1Error(
                f"listening on {self.host or 'every address'} needs the host names by which "
                "clients call the server: requests for another name are refused"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def names(self) -> list[str]:
        """Names and addresses that the header Host may have."""
        own = [] if self.host in EVERYWHERE else [self.host]
        return list(dict.fromkeys([*(LOOPBACK if self.loopback else ()), *own, *self.allow_host]))

    def bind(self) -> socket.socket:
        """The socket, listening.

        Raises:
            Thought1Error: the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family)
        except (OSError, OverflowError) as error:
            raise Thought1Error(
                f"{self.host} port {self.port} cannot be listened on ({error}): take another port"
            ) from error

    def url(self, listening: socket.socket) -> str:
        """How a client on this machine calls it; for port 0, the port that was assigned."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{listening.getsockname()[1]}"
