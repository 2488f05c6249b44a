import socket
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.channels import Channel, Refused, webhook
from services.alerts.channels.guard import BadUrl, ForbiddenAddress, Guard, parse, refusal
from tests.unit.alerts.receiver import Names, receiving

SECRET = webhook.make_secret(bytes(32))

BAD_URL = [
    # Other schemes, and none.
    "http://crm.example.com/",
    "ftp://crm.example.com/",
    "file:///etc/passwd",
    "gopher://crm.example.com/",
    "ws://crm.example.com/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "crm.example.com/hook",
    "//crm.example.com/hook",
    "https:crm.example.com",
    "https:/crm.example.com",
    "https:///hook",
    "https://",
    "",
    # Other ports.
    "https://crm.example.com:80/",
    "https://crm.example.com:22/",
    "https://crm.example.com:6379/",
    "https://crm.example.com:19092/",
    "https://crm.example.com:0/",
    "https://crm.example.com:99999/",
    "https://crm.example.com:-1/",
    "https://crm.example.com:443x/",
    # Names and passwords, real ones and such as confuse a reader.
    "https://user:password@crm.example.com/",
    "https://crm.example.com@10.0.0.1/",
    "https://@crm.example.com/",
    "https://crm.example.com:443@10.0.0.1/",
    "https://crm.example.com%40@10.0.0.1/",
    # Addresses written so that a filter does not see them.
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0/",
    "https://127.0.0.1./",
    "https://127.0.0.01/",
    "https://256.0.0.1/",
    "https://169.254.43518/",
    "https://0251.0376.0251.0376/",
    "https://%31%32%37.0.0.1/",
    "https://127%2e0%2e0%2e1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://ｌｏｃａｌｈｏｓｔ/",
    # Text that different readers read differently.
    "https://crm.example.com\\@10.0.0.1/",
    "https://crm.example.com /",
    "https://crm.example.com\t/",
    "https://crm.example.com\r\nHost: internal/",
    "https://crm.example.com\x00.internal/",
    "https://[::1/",
    "https://::1/",
    "https://[fe80::1%25eth0]/",
    "https://[127.0.0.1]/",
    "https://crm..example.com/",
    "https://.example.com/",
    "https://-crm.example.com/",
    "https://crm_.exa,mple.com/",
    "https://" + "a" * 64 + ".example.com/",
    "https://crm.example.com/" + "a" * 2_000,
]
FORBIDDEN = [
    "https://127.0.0.1/",
    "https://127.255.255.254:8443/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://168.63.129.16/metadata/",
    "https://100.100.100.200/latest/",
    "https://192.0.0.192/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://203.0.113.9/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::]/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::10.0.0.1]/",
    "https://[64:ff9b:1::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:5db8:d80e::1]/",
    "https://[2001:0:7f00:1::]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[100::1]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
    "https://[4000::1]/",
    # Names, as a name server under somebody's control answers.
    "https://localhost/",
    "https://localhost./",
    "https://LOCALHOST:8443/",
    "https://127.0.0.1.nip.io/",
    "https://metadata.google.internal/",
    "https://kafka/",
]
PUBLIC = ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]


async def reason(url: str, *answers: str) -> str:
    channel = Channel("crm", "webhook", url, (SECRET,))
    names = Names(answers or ["127.0.0.1"])
    outcome = await webhook.send(channel, "n", b"{}", datetime.now(UTC), 2.0, names)
    assert isinstance(outcome, Refused)
    return outcome.reason


@pytest.mark.parametrize("url", BAD_URL)
async def test_an_address_that_is_none_is_refused_before_anybody_is_asked(url: str) -> None:
    assert isinstance(parse(url, False), BadUrl)
    assert webhook.url_fault(url, (), False) is not None
    assert await reason(url) == "bad_url"


@pytest.mark.parametrize("url", FORBIDDEN)
async def test_an_address_inside_is_refused_when_it_is_to_be_reached(url: str) -> None:
    assert await reason(url) == "forbidden_address"


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example.com",
        "https://CRM.example.com:443/hook?key=a%20b#part",
        "https://crm.example.com.:8443/hook",
        "https://xn--bcher-kva.example/",
        "https://a_b.example.com/",
        "https://93.184.215.14/",
        "https://[2606:4700:4700::1111]:8443/",
        "https://1.example.com/",
        "https://crm.example.com/user@example.com",
    ],
)
def test_an_address_of_the_public_internet_is_taken(url: str) -> None:
    assert webhook.url_fault(url, (), False) is None


@pytest.mark.parametrize("url", ["http://10.1.2.3/", "http://10.1.2.3:9000/hook"])
def test_what_the_company_allows_is_taken(url: str) -> None:
    inside = [ip_network("10.0.0.0/8")]
    assert webhook.url_fault(url, inside, True) is None
    assert webhook.url_fault(url, (), True) == (
        "10.1.2.3 is not public: private; list its network in `allow` if it is meant"
    )
    assert webhook.url_fault(url.replace("10.", "11."), inside, False) == (
        "its scheme is 'http', not https; allow_http = true lifts that"
    )


@pytest.mark.parametrize("url", ["ftp://10.1.2.3/", "https://a:b@10.1.2.3/", "http://0x0a010203/"])
def test_plain_http_lifts_nothing_but_the_scheme_and_the_ports(url: str) -> None:
    assert isinstance(parse(url, True), BadUrl)


@pytest.mark.parametrize(
    "address, allow, taken",
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("64:ff9b::10.1.2.3", "10.0.0.0/8", True),
        ("11.0.0.1", "10.0.0.0/8", True),
        ("192.168.0.1", "10.0.0.0/8", False),
        ("fd00::1", "fd00::/8", True),
        ("fd00::1", "10.0.0.0/8", False),
        ("2002:a01:203::", "10.0.0.0/8", False),
    ],
)
def test_an_allowed_network_is_reached_also_where_its_addresses_are_wrapped(
    address: str, allow: str, taken: bool
) -> None:
    assert (refusal(address, [ip_network(allow)]) is None) == taken


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert refusal(address, ()) is None


@given(st.ip_addresses(v=4))
def test_no_special_address_may_be_reached_however_it_is_wrapped(address: IPv4Address) -> None:
    bare = refusal(str(address), ())
    assert bare is not None or address.is_global
    number = int(address)
    mapped, translated = (1 << 32) * 0xFFFF + number, (0x64FF9B << 96) + number
    for wrapped in (IPv6Address(mapped), IPv6Address(translated)):
        assert (refusal(str(wrapped), ()) is None) == (bare is None)
    assert refusal(str(IPv6Address((0x2002 << 112) + (number << 80))), ()) is not None
    assert refusal(str(IPv6Address(number)), ()) is not None


@given(st.ip_addresses(v=6))
def test_no_address_outside_of_what_is_handed_out_may_be_reached(address: IPv6Address) -> None:
    if refusal(str(address), ()) is None:
        inside = address in ip_network("2000::/3") or address.ipv4_mapped is not None
        assert inside or address in ip_network("64:ff9b::/96")
        assert address.is_global or address not in ip_network("2000::/3")


@given(st.text(max_size=60))
def test_whatever_text_stands_there_gets_an_answer(text: str) -> None:
    for url in (text, f"https://{text}", f"https://crm.example.com:{text}", f"https://[{text}]/"):
        read = parse(url, False)
        assert isinstance(read, BadUrl) or (read.scheme == "https" and read.port in (443, 8443))
        if not isinstance(read, BadUrl):
            assert (read.user, read.password) == (None, None)


async def test_a_name_server_that_answers_otherwise_the_next_time_changes_nothing() -> None:
    names = Names(["93.184.215.14"], ["127.0.0.1"])
    asked: list[socket.AddressFamily] = []

    def make(**told: socket.AddressFamily) -> socket.socket:
        asked.append(told["family"])
        return socket.socket()

    watch = Guard((), names, make)
    (found,) = await watch.resolve("crm.example.com", 443)
    watch.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", (found["host"], 443))).close()
    with pytest.raises(ForbiddenAddress, match=r"127\.0\.0\.1 is not public: loopback"):
        await watch.resolve("crm.example.com", 443)
    assert asked == [socket.AF_INET]


def test_the_socket_itself_is_the_last_to_be_asked() -> None:
    watch = Guard((), Names([]))
    with pytest.raises(ForbiddenAddress):
        watch.open_socket((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%2", 443, 0, 2)))
    assert watch.refused == "fe80::1%2 is not public: link-local"


async def test_nobody_inside_hears_of_an_address_that_is_refused() -> None:
    async with receiving() as inside:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "crm.test"):
            channel = Channel(
                "crm", "webhook", f"http://{host}:{inside.port}/", (SECRET,), allow_http=True
            )
            names = Names(["127.0.0.1"])
            outcome = await webhook.send(channel, "n", b"{}", datetime.now(UTC), 2.0, names)
            assert isinstance(outcome, Refused)
            assert outcome.reason == "forbidden_address"
    assert inside.connections == 0


def test_the_table_of_special_networks_holds_those_that_python_knows() -> None:
    for text in ("192.0.0.170", "198.19.255.255", "240.0.0.1", "2001:2::1", "2001:10::1"):
        assert not ip_address(text).is_global
        assert refusal(text, ()) is not None
