"""Addresses of servers."""

from __future__ import annotations

import pytest

import spyglass_client as sc
from spyglass_client import Address, parse_addresses


def target(text: str) -> str:
    (address,) = parse_addresses(text)
    return address.target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost", "dns:///localhost:50051"),
        ("  localhost:7\n", "dns:///localhost:7"),
        ("server.example.", "dns:///server.example.:50051"),
        ("my_service:7", "dns:///my_service:7"),
        ("bücher.example:7", "dns:///xn--bcher-kva.example:7"),
        ("127.0.0.1", "127.0.0.1:50051"),
        ("10.1.2.3:7", "10.1.2.3:7"),
        ("0.0.0.0:7", "127.0.0.1:7"),
        ("::", "[::1]:50051"),
        ("::1", "[::1]:50051"),
        ("[::1]", "[::1]:50051"),
        ("[::1]:7", "[::1]:7"),
        ("2001:db8::7", "[2001:db8::7]:50051"),
        ("fe80::1%eth0", "[fe80::1%eth0]:50051"),
        ("http://server:7", "dns:///server:7"),
        ("http://server", "dns:///server:50051"),
        ("HTTP://[::1]:7/", "[::1]:7"),
        ("https://server", "dns:///server:443"),
        ("https://server:7", "dns:///server:7"),
        ("grpc://server", "dns:///server:50051"),
        ("grpcs://server:7", "dns:///server:7"),
        ("tcp://10.0.0.1:7", "10.0.0.1:7"),
        ("unix:/run/spyglass.sock", "unix:/run/spyglass.sock"),
        ("unix:///run/spyglass.sock", "unix:/run/spyglass.sock"),
        ("unix:spyglass.sock", "unix:spyglass.sock"),
        ("unix-abstract:spyglass", "unix-abstract:spyglass"),
        ("dns:///server:7", "dns:///server:7"),
        ("dns:server", "dns:///server:50051"),
        ("dns://8.8.8.8/server:7", "dns://8.8.8.8/server:7"),
        ("ipv4:10.0.0.1:7", "10.0.0.1:7"),
        ("ipv6:[::1]:7", "[::1]:7"),
        ("xds:///server", "xds:///server"),
    ],
)
def test_an_address_becomes_the_target_of_grpc(text: str, expected: str) -> None:
    assert target(text) == expected


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "there is no address"),
        ("  ", "there is no address"),
        ("server:", "the port must be a number from 1 to 65535"),
        ("server:0", "the port must be"),
        ("server:65536", "the port must be"),
        ("server:-1", "the port must be"),
        ("server:5e3", "the port must be"),
        ("server:" + "9" * 5000, "the port must be"),
        ("server:\u0667", "the port must be"),
        ("server:7/", "the port must be"),
        (":7", "the host is missing"),
        ("http://", "the host is missing"),
        ("http://:7", "the host is missing"),
        ("http:/server", "the port must be"),
        ("http://server/v1", "has no path"),
        ("http://server?x=1", "has no path"),
        ("ftp://server", "the scheme ftp:// is unknown"),
        ("://server", "the scheme :// is unknown"),
        ("two words:7", "blanks"),
        ("nul\0:7", "blanks or control characters"),
        ("-server", "not a name"),
        ("a..b", "not a name"),
        ("ser!ver", "not a name"),
        ("x" * 64, "not a name"),
        ("x." * 200, "not a name"),
        ("ü" * 100, "not a name"),
        ("1.2.3", "neither a name nor an IPv4 address"),
        ("256.1.1.1:7", "neither a name nor an IPv4 address"),
        ("50051", "neither a name nor an IPv4 address"),
        ("::1:50051", "as [::1]:50051"),
        ("::g", "as [::1]:50051"),
        ("[::1", "brackets"),
        ("[::1]7", "brackets"),
        ("[server]:7", "brackets"),
        ("unix:", "needs a path"),
        ("unix://server/path", "needs a path"),
        ("unix:/" + "x" * 200, "at most 107 bytes"),
        ("dns://server:7", "third slash"),
        ("ipv4:server:7", "of that kind"),
        ("ipv6:1.2.3.4:7", "of that kind"),
        ("xds:server", "xds:///"),
        ("a:7,,b:7", "one of the addresses is empty"),
        ("a:7,", "one of the addresses is empty"),
        (",".join(f"a{number}" for number in range(65)), "more than 64"),
    ],
)
@pytest.mark.parametrize("make", [sc.Client, sc.AsyncClient, parse_addresses])
def test_the_error_of_a_malformed_address_has_the_expected_form(
    make: type[sc.Client], text: str, cause: str
) -> None:
    with pytest.raises(sc.InvalidInput) as caught:
        make(text)
    assert cause in caught.value.message
    assert "HOST:PORT" in caught.value.message
    assert (caught.value.reason, caught.value.field) == ("ADDRESS_INVALID", "server")
    assert len(caught.value.message) < 350


@pytest.mark.parametrize("address", [None, 7, b"localhost:7", ("localhost", 7)])
def test_an_address_must_be_text(address: str) -> None:
    with pytest.raises(sc.InvalidInput, match="must be text"):
        parse_addresses(address)


def test_a_password_in_an_address_is_rejected_and_not_repeated() -> None:
    with pytest.raises(sc.InvalidInput) as caught:
        parse_addresses("https://me:s3cret@server")
    assert "s3cret" not in caught.value.message


def test_several_addresses_keep_their_order_and_lose_their_duplicates() -> None:
    found = parse_addresses("b:7, http://a , unix:/c,b:7")
    assert [address.target for address in found] == ["dns:///b:7", "dns:///a:50051", "unix:/c"]


def test_the_schemes_of_grpc_for_ip_addresses_name_several() -> None:
    found = parse_addresses("ipv4:10.0.0.1:7,10.0.0.2")
    assert [address.target for address in found] == ["10.0.0.1:7", "10.0.0.2:50051"]


@pytest.mark.parametrize(
    ("text", "tls"),
    [
        ("server", None),
        ("unix:/a", None),
        ("http://server", False),
        ("https://server", True),
        ("grpcs://a", True),
    ],
)
def test_the_scheme_says_whether_to_use_tls(text: str, tls: bool | None) -> None:
    assert [address.tls for address in parse_addresses(text)] == [tls]


@pytest.mark.parametrize("make", [sc.Client, sc.AsyncClient])
def test_credentials_with_tls_and_an_address_without_it_are_rejected_together(make: type[sc.Client]) -> None:
    with pytest.raises(sc.InvalidInput, match="https://HOST:PORT"):
        make("a:1,http://b", credentials=sc.Credentials(tls=True))


@pytest.mark.parametrize(
    "text",
    [
        "localhost",
        "LocalHost.",
        "a.localhost:7",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "unix:/a",
    ],
)
def test_an_address_on_this_machine_is_local(text: str) -> None:
    assert parse_addresses(text)[0].local


@pytest.mark.parametrize(
    "text", ["server", "localhost.example", "10.0.0.1", "notlocalhost", "::2", "128.0.0.1"]
)
def test_an_address_elsewhere_is_not_local(text: str) -> None:
    assert not parse_addresses(text)[0].local


def test_a_channel_of_the_caller_allows_only_one_address() -> None:
    with pytest.raises(sc.InvalidInput, match="one server, not of 2"):
        sc.open_channel("a,b")


def test_equal_addresses_are_equal_values() -> None:
    assert parse_addresses("a:7") == (Address("dns:///a:7"),)
