"""A site calls no address of its own network that somebody has typed in, however it is written."""

import pytest

from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.reach import is_allowed, may_reach, read_url

PRIVATE = [
	"127.0.0.1",
	"10.0.0.5",
	"172.16.4.4",
	"192.168.1.1",
	"169.254.169.254",
	"100.64.0.1",
	"0.0.0.0",
	"255.255.255.255",
	"224.0.0.1",
	"198.18.0.1",
	"::1",
	"::",
	"fe80::1",
	"fe80::1%eth0",
	"fc00::1",
	"fd12:3456::1",
	"ff02::1",
	"::ffff:127.0.0.1",
	"::ffff:10.0.0.5",
	"::10.0.0.5",
	"64:ff9b::a00:5",
	"2002:a00:5::",
	"2001:db8::1",
	"not an address",
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_no_public_address_is_not_called(address):
	assert not may_reach(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address):
	assert may_reach(address)


@pytest.mark.parametrize(
	("address", "allowed", "reached"),
	[
		("10.1.2.3", ["10.1.0.0/16"], True),
		("10.2.2.3", ["10.1.0.0/16"], False),
		("127.0.0.1", ["127.0.0.1"], True),
		("::ffff:127.0.0.1", ["127.0.0.1"], True),
		("fd00::7", ["fd00::/8"], True),
		("127.0.0.1", ["nonsense", None, 7.5], False),
		("127.0.0.1", [], False),
	],
)
def test_networks_that_the_site_allows_are_called(address, allowed, reached):
	assert may_reach(address, allowed) is reached
	assert is_allowed(address, allowed) is reached


@pytest.mark.parametrize(
	("url", "expected"),
	[
		("https://example.com", ("https", "example.com", 443, "/")),
		(" https://Example.com:8443/a/b?c=d ", ("https", "example.com", 8443, "/a/b?c=d")),
		("http://127.0.0.1:8000/x", ("http", "127.0.0.1", 8000, "/x")),
		("https://[::1]/x", ("https", "::1", 443, "/x")),
		("https://bücher.example/x", ("https", "xn--bcher-kva.example", 443, "/x")),
		("https://example.com./", ("https", "example.com", 443, "/")),
	],
)
def test_an_address_is_taken_apart(url, expected):
	found = read_url(url)
	assert (found.scheme, found.host, found.port, found.path) == expected


def test_the_host_is_named_with_its_port_where_that_is_unusual():
	assert read_url("https://example.com:8443/").netloc == "example.com:8443"
	assert read_url("https://[2606:4700::1]/").netloc == "[2606:4700::1]"


@pytest.mark.parametrize(
	"url",
	[
		None,
		"",
		7,
		"example.com",
		"ftp://example.com",
		"file:///etc/passwd",
		"https://",
		"https:///path",
		"https://user:secret@example.com",
		"https://example.com@10.0.0.1/",
		"https://example.com:99999/",
		"https://example.com:x/",
		"https://example.com/#part",
		"https://exa mple.com/",
		"https://example.com/a\nHost: b",
		"https://example.com\\@10.0.0.1/",
		"https://example.com/" + "a" * 500,
		"https://[::1",
		"https://" + "a" * 70 + ".example/",
		"https://example.com/ü",
	],
)
def test_what_is_no_address_to_post_to_is_refused(url):
	with pytest.raises(InvalidRequest) as refused:
		read_url(url)
	assert refused.value.code == "bad_url"
