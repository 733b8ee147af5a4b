"""Addresses as records carry them (16 bytes, IPv4 mapped into IPv6: RFC 4291, 2.5.5.2) and as people read them."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from clew_agent.model import Address

_MAPPED = bytes(10) + b"\xff\xff"


def packed(address: Address) -> bytes:
    """The 16 bytes under which records carry this address."""
    return _MAPPED + address.packed if isinstance(address, IPv4Address) else address.packed


def unpacked(raw: bytes) -> Address:
    """The address of 16 bytes of a record."""
    return IPv4Address(raw[12:]) if raw[:12] == _MAPPED else IPv6Address(raw)


@lru_cache(maxsize=4096)
def address_text(raw: bytes) -> str:
    """The usual text of 16 bytes of a record: ``10.0.0.1`` or ``fd00::1``."""
    return str(unpacked(raw))


DEFAULT_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=4096)
def authority(host: str, port: int, scheme: str = "http") -> str:
    """``host:port`` as an HTTP URL writes it: brackets around IPv6, the scheme's default port left out (RFC 3986, 3.2)."""
    try:
        bracketed = f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        bracketed = host
    return bracketed if port == DEFAULT_PORTS.get(scheme) else f"{bracketed}:{port}"
