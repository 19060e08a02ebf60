"""Which proxy is for which address, and how environment variables say it.

The variables are read as httpx and curl read them. They are given: nothing here looks at the
environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

import attrs

from sansio_gradio.client.via import Proxy
from sansio_gradio.errors import LocalProtocolError, OptionError
from sansio_gradio.given import is_a, kind_of, text
from sansio_gradio.wire.url import URL

_HOST_AND_PORT: Final = re.compile(r"(\[[^\[\]]*\]|[^:]*)(?::([0-9]{1,5}))?")

# As systems read them: 127.0.0.1 and 0.0.0.0.
_SHORT_LOOPBACK: Final = re.compile(r"127(?:\.[0-9]+){1,2}|0")


@attrs.frozen
class Named:
    """The address of a proxy, unread, and which option or variable has it."""

    source: str
    address: str = attrs.field(repr=False)  # it may hold a password


@attrs.frozen
class Exempt:
    """Addresses that are asked without a proxy: one entry of ``NO_PROXY``.

    ``scheme``, ``port``: of these only; ``""`` and None: of all. ``network``: hosts given as
    addresses. ``name``: a host and those below it, only those with ``below``; ``""``: all hosts.
    """

    scheme: str = ""
    port: int | None = None
    network: IPv4Network | IPv6Network | None = None
    name: str = ""
    below: bool = False

    @classmethod
    def parse(cls, entry: str) -> Exempt | None:
        """Read ``example.com``, ``.example.com``, ``10.0.0.0/8``, ``[::1]:8080``, ``*``; with
        ``http://``, ``https://`` or ``all://`` before it, or without. None: it is none of these."""
        scheme, _, place = entry.strip().lower().rpartition("://")
        scheme = "" if scheme == "all" else scheme
        if place == "*":
            return cls(scheme)
        if (network := _network(place)) is not None:
            return cls(scheme, network=network)
        match = _HOST_AND_PORT.fullmatch(place)
        if match is None or not match[1]:
            return None
        host, port = match[1], int(match[2]) if match[2] else None
        if (network := _network(host)) is not None:
            return cls(scheme, port, network)
        below = host.startswith((".", "*."))
        try:
            name = URL.parse(f"http://{host.lstrip('*').strip('.')}").host
        except LocalProtocolError:
            return None
        return cls(scheme, port, None, name, below)

    def covers(self, url: URL) -> bool:
        """Whether *url* is one of the addresses."""
        scheme, host, port = url.origin
        if self.scheme not in ("", scheme) or self.port not in (None, port):
            return False
        if self.network is not None:
            found = _network(host)
            return (
                found is not None
                and found.version == self.network.version
                and (found.network_address in self.network)
            )
        host = host.rstrip(".")
        is_below = not self.name or host.endswith(f".{self.name}")
        return is_below or (not self.below and host == self.name)


@attrs.frozen
class Proxies:
    """The proxies for http and https (and for ws and wss), and the addresses without one.

    ``spares_loopback``: this machine is never asked through a proxy.
    """

    http: Named | None = None
    https: Named | None = None
    exempt: tuple[Exempt, ...] = ()
    spares_loopback: bool = False

    @classmethod
    def of(cls, proxy: object) -> Proxies:
        """The proxies that the option ``proxy`` names: a text, one proxy for every address; None,
        no proxy; or ``Proxies``.

        Raises:
            OptionError: it is something else, or not the address of a proxy.
        """
        if is_a(proxy, Proxies):
            assert isinstance(proxy, Proxies)
            return proxy
        if proxy is None:
            return cls()
        if not is_a(proxy, str):  # not shown: it may hold a password
            what = "proxy is http://user:password@host:port, Proxies or None"
            raise OptionError(f"{what}, not {kind_of(proxy)}.")
        named = Named("proxy=", text(proxy, "proxy"))
        Proxy.parse(named.address)
        return cls(named, named)

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Proxies:
        """Read ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, each in upper or in
        lower case. Lower case counts first; an empty one means: no such proxy.

        In a CGI program (``REQUEST_METHOD`` is set) ``HTTP_PROXY`` is ignored: there a request's
        header field ``Proxy`` sets it. A proxy that cannot be used is refused by ``for_url``, which
        asks for it.
        """
        found = dict(variables)
        is_cgi = "REQUEST_METHOD" in found

        def read(name: str) -> Named | None:
            lower, upper = name.lower(), name.upper()
            source = lower if lower in found else upper
            if source == "HTTP_PROXY" and is_cgi:
                return None
            address = found.get(source, "").strip()
            return Named(source, address) if address else None

        every, no = read("all_proxy"), read("no_proxy")
        entries = no.address.split(",") if no is not None else []
        exempt = tuple(known for entry in entries if (known := Exempt.parse(entry)) is not None)
        http, https = read("http_proxy") or every, read("https_proxy") or every
        return cls(http, https, exempt, spares_loopback=True)

    def for_url(self, url: URL | str) -> Proxy | None:
        """The proxy through which to ask *url*; None: none.

        Raises:
            OptionError: that proxy cannot be used.
            LocalProtocolError: *url* is not a URL.
        """
        url = URL.parse(url) if isinstance(url, str) else url
        named = self.https if url.origin[0] == "https" else self.http
        if named is None or any(known.covers(url) for known in self.exempt):
            return None
        if self.spares_loopback and _is_here(url.host):
            return None
        return Proxy.parse(named.address, named.source)


def _network(place: str) -> IPv4Network | IPv6Network | None:
    """The addresses that *place* stands for: one, or those of a network. None: it is a name."""
    try:
        return ip_network(place.removeprefix("[").removesuffix("]"), strict=False)
    except ValueError:
        return None


def _is_here(host: str) -> bool:
    """Whether a host is this machine: localhost, 127.0.0.0/8, ::1; 0.0.0.0 is asked here, too."""
    host = host.rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        is_name = host == "localhost" or host.endswith(".localhost")
        return is_name or _SHORT_LOOPBACK.fullmatch(host) is not None
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)
