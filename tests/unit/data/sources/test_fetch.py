"""The polite fetcher, against servers of this machine: what it asks, and what it never does."""

import datetime
import gzip
import http.server
import ssl
import threading
import time
from collections import Counter
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from llm_keras import config
from pipelines.sources import KINDS, Passed, Text, fetch
from pipelines.web import address, fetcher, robots
from pipelines.web.fetcher import Clock, Network

AGENT = "test-fetcher/1.0 (+mailto:someone@example.org)"
PROSE = (
    "The river rose over the fields that year, and the people of the village moved all their boats"
    " to the hill before the water came."
)
HTML = f"<html><body><p>{PROSE}</p></body></html>".encode()


class Answer(NamedTuple):
    body: bytes = HTML
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html"),)


NOT_FOUND = Answer(b"", 404)


class Server:
    """A site on a port of its own: answers by path; remembers what it was asked."""

    def __init__(self):
        self.answers, self.asked, self.connections = {"/robots.txt": NOT_FOUND}, [], 0
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                site.asked.append((self.path, dict(self.headers)))
                answer = site.answers.get(self.path, Answer())
                if callable(answer):
                    answer(self)
                    return
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_):
                pass

        class Listening(http.server.ThreadingHTTPServer):
            def get_request(self):
                site.connections += 1
                return super().get_request()

            def handle_error(self, *_):
                pass

        self.server = Listening(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def paths(self):
        return [path for path, _ in self.asked]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def site():
    server = Server()
    yield server
    server.stop()


class FakeTime:
    """A clock that waiting moves on."""

    def __init__(self):
        self.seconds, self.waits = 1000.0, []

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.seconds += seconds

    @property
    def clock(self):
        date = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
        return Clock(lambda: self.seconds, self.sleep, lambda: date)


@pytest.fixture
def fake_time():
    return FakeTime()


class Names:
    """A resolver: every name of `.test` is this machine; remembers what it was asked."""

    def __init__(self, answers=None):
        self.answers, self.asked = answers or {}, []

    def __call__(self, host, _):
        self.asked.append(host)
        answer = self.answers.get(host, ["127.0.0.1"])
        return answer.pop(0) if answer and isinstance(answer[0], list) else answer


def network(site, names=None):
    return Network(names or Names(), lambda ip: ip == "127.0.0.1", frozenset((site.port,)))


def settings(**more):
    return config.Fetch(user_agent=AGENT, **more)


@pytest.fixture
def get(tmp_path, fake_time):
    """Fetches paths of a site; returns the counts and what the reader makes of the archive."""

    def _get(site, *urls, names=None, **more):
        urls = [url if "://" in url else f"http://a.test:{site.port}{url}" for url in urls]
        path = tmp_path / "fetched.warc.gz"
        chosen = settings(**more)
        counts = fetch.fetch_to_warc(urls, chosen, path, network(site, names), fake_time.clock)
        source = config.Source(name="s", kind="fetch", path="unused", fetch=chosen)
        return counts, list(KINDS["fetch"].read(path, source))

    return _get


class TestPages:
    def test_a_page_comes_into_the_archive_and_out_of_it(self, site, get):
        counts, found = get(site, "/page?q=1#top")
        assert counts == {"fetched": 1}
        (text,) = found
        assert text == Text(
            PROSE,
            url=f"http://a.test:{site.port}/page?q=1",
            timestamp="2026-01-31T12:00:00Z",
            name=text.name,
        )
        (_, asked_rules), (path, asked) = site.asked
        assert path == "/page?q=1"
        assert asked["User-Agent"] == asked_rules["User-Agent"] == AGENT
        assert asked["Host"] == f"a.test:{site.port}"

    def test_the_archive_is_one_that_others_read(self, site, get, tmp_path):
        get(site, "/a", "/b")
        content = gzip.decompress((tmp_path / "fetched.warc.gz").read_bytes())
        assert content.startswith(b"WARC/1.1\r\nWARC-Type: warcinfo\r\n")
        assert content.count(b"WARC-Type: response\r\n") == 2
        assert list(tmp_path.iterdir()) == [tmp_path / "fetched.warc.gz"]

    def test_the_same_page_fetched_again_has_the_same_name(self, site, get):
        assert get(site, "/a") == get(site, "/a")

    @pytest.mark.parametrize("chunks", [True, False])
    def test_compressed_and_chunked_pages(self, site, get, chunks):
        body = gzip.compress(HTML)

        def answer(handler):
            coding = "Transfer-Encoding: chunked\r\n" if chunks else "Connection: close\r\n"
            head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n"
            handler.wfile.write(f"{head}{coding}\r\n".encode())
            handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunks else body)
            handler.close_connection = not chunks

        site.answers["/a"] = answer
        counts, found = get(site, "/a")
        assert counts == {"fetched": 1}
        assert found[0].text == PROSE

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Answer(status=404), "status"),
            (Answer(status=500), "status"),
            (Answer(headers=(("Content-Type", "image/png"),)), "not_text"),
            (Answer(headers=(("Content-Type", "text/html"), ("X-Robots-Tag", "noai"))), "opt_out"),
            (Answer(headers=(("Content-Type", "text/html"), ("TDM-Reservation", "1"))), "opt_out"),
            (Answer(b'<meta name="robots" content="noai">' + HTML), "opt_out"),
            (Answer(HTML + bytes(20_000)), "too_large"),
            (
                Answer(
                    b"x", headers=(("Content-Type", "text/html"), ("Content-Encoding", "rot13"))
                ),
                "damaged",
            ),
            (
                Answer(
                    gzip.compress(bytes(10**6)),
                    headers=(("Content-Type", "text/html"), ("Content-Encoding", "gzip")),
                ),
                "damaged",
            ),
        ],
    )
    def test_what_gives_no_page(self, site, get, answer, reason):
        site.answers["/a"] = answer
        counts, found = get(site, "/a", maximum_bytes=10_000)
        assert counts == {reason: 1}
        assert found == [Passed(reason, f"http://a.test:{site.port}/a")]

    def test_opt_outs_may_be_set_aside_by_whoever_has_agreed_otherwise(self, site, get):
        site.answers["/a"] = Answer(b'<meta name="robots" content="noai">' + HTML)
        counts, found = get(site, "/a", obey_opt_out=False)
        assert counts == {"fetched": 1}
        assert found[0].text == PROSE

    def test_an_answer_cut_short(self, site, get):
        def answer(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
            handler.close_connection = True

        site.answers["/a"] = answer
        assert get(site, "/a")[0] == {"cut_short": 1}

    def test_no_answer_at_all(self, site, get):
        counts, _ = get(site, "http://b.test:1/", "http://c.test:80/")
        assert counts == {"blocked": 2}
        site.stop()
        assert get(site, "/a")[0] == {"robots": 1}  # what cannot be asked is not allowed

    def test_a_server_that_drips_is_left_at_the_time_limit(self, site, get):
        def answer(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
            for _ in range(100):
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.05)

        site.answers["/a"] = answer
        start = time.monotonic()
        assert get(site, "/a", timeout_seconds=0.4)[0] == {"timeout": 1}
        assert time.monotonic() - start < 20


BLOCKED = [
    "http://localhost:{port}/",
    "http://127.0.0.1:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://\uff11\uff12\uff17.0.0.1:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://[fe80::1%25eth0]:{port}/",
    "http://user:secret@a.example:{port}/",
    "http://a.example:{port}\\@127.0.0.1/",
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/",
    "javascript:alert(1)",
    "//127.0.0.1:{port}/",
    "http://",
    "http://a.example:99999/",
    "http://a.example:25/",
    "http://a b.example:{port}/",
    "http://a.example:{port}/\r\nX: y",
    "http://" + "a" * 300 + ".example:{port}/",
]


class TestBlocked:
    """Addresses inside the house: the server they mean listens, and is never connected to."""

    @pytest.mark.parametrize("url", BLOCKED)
    def test_by_their_form_or_by_where_they_lead(self, site, tmp_path, fake_time, url):
        names = Names()  # whatever is looked up leads to this machine
        real = Network(names, address.is_public, frozenset((site.port,)))
        path = tmp_path / "a.warc.gz"
        counts = fetch.fetch_to_warc(
            [url.format(port=site.port)], settings(), path, real, fake_time.clock
        )
        assert counts == {"blocked": 1}
        assert site.connections == 0
        assert b"secret" not in gzip.decompress(path.read_bytes())

    @pytest.mark.parametrize(
        "ip",
        [
            *("127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
            *("100.64.0.1", "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1"),
            *("198.18.0.1", "192.88.99.1", "::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1"),
            *("::ffff:8.8.8.8", "::7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::"),
            *("2001:db8::1", "not an address", "127.1", "2130706433"),
        ],
    )
    def test_no_such_ip_address_is_public(self, ip):
        assert not address.is_public(ip)

    @pytest.mark.parametrize("ip", ["8.8.8.8", "93.184.215.14", "2606:4700::1111"])
    def test_these_are(self, ip):
        assert address.is_public(ip)

    def test_a_name_that_leads_to_both_kinds_is_blocked(self, site, get):
        names = Names({"a.test": ["127.0.0.1", "10.0.0.1"]})
        assert get(site, "/a", names=names)[0] == {"blocked": 1}
        assert site.connections == 0

    def test_a_name_that_leads_nowhere(self, site, get):
        assert get(site, "/a", names=Names({"a.test": []}))[0] == {"unreachable": 1}

    @pytest.mark.parametrize(
        "target",
        [
            "http://10.0.0.1:{port}/",
            "file:///etc/passwd",
            "//127.1:{port}/",
            "http://in.test:{port}",
        ],
    )
    def test_a_redirect_into_the_house(self, site, get, target):
        location = target.format(port=site.port)
        site.answers["/a"] = Answer(b"", 302, (("Location", location),))
        names = Names({"in.test": ["10.0.0.7"]})
        counts, _ = get(site, "/a", names=names)
        assert counts == {"blocked": 1}
        assert site.paths == ["/robots.txt", "/a"]

    def test_a_name_that_changes_is_looked_up_once_for_each_page(self, site, get):
        """Rebinding: the second answer would be another machine, and is never asked for."""
        names = Names({"a.test": [["127.0.0.1"], ["10.0.0.1"]]})
        assert get(site, "/a", names=names)[0] == {"fetched": 1}
        assert names.asked == ["a.test"]
        assert get(site, "/b", names=names)[0] == {"blocked": 1}

    def test_robots_that_lead_into_the_house_forbid_all(self, site, get):
        site.answers["/robots.txt"] = Answer(b"", 301, (("Location", "http://10.0.0.1/r"),))
        assert get(site, "/a")[0] == {"robots": 1}
        assert site.paths == ["/robots.txt"]


def rules(text):
    return Answer(text.encode(), headers=(("Content-Type", "text/plain"),))


class TestRobots:
    """RFC 9309, section 2.3.1: what each status of robots.txt means."""

    @pytest.mark.parametrize(
        ("status", "fetched"),
        [(401, True), (403, True), (404, True), (410, True), (429, False), (500, False)],
    )
    def test_without_rules(self, site, get, status, fetched):
        site.answers["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /", status)
        assert get(site, "/a")[0] == {"fetched" if fetched else "robots": 1}
        assert ("/a" in site.paths) == fetched

    @pytest.mark.parametrize(
        ("text", "path", "allowed"),
        [
            ("User-agent: *\nDisallow: /private", "/private/a", False),
            ("User-agent: *\nDisallow: /private", "/public", True),
            ("User-agent: *\nDisallow: /\nAllow: /a", "/a/b", True),
            ("User-agent: *\nDisallow: /*.html$", "/a.html", False),
            ("User-agent: other\nDisallow: /", "/a", True),
            ("User-agent: test-fetcher\nDisallow: /\n\nUser-agent: *\nAllow: /", "/a", False),
            ("\ufeffUser-agent: *\r\nDisallow: /a", "/a", False),
            ("<html>no rules</html>", "/a", True),
            ("User-agent: *\nCrawl-delay: 100000", "/a", False),
        ],
    )
    def test_with_rules(self, site, get, text, path, allowed):
        site.answers["/robots.txt"] = rules(text)
        assert get(site, path)[0] == {"fetched" if allowed else "robots": 1}
        assert site.paths == ["/robots.txt", *([path] if allowed else [])]

    def test_they_are_asked_for_once_a_site(self, site, get):
        get(site, "/a", "/b", "/c")
        assert Counter(site.paths)["/robots.txt"] == 1

    @pytest.mark.parametrize(("hops", "fetched"), [(5, False), (6, True)])
    def test_five_redirects_are_followed_and_no_more(self, site, get, hops, fetched):
        for hop in range(hops):
            place = "/robots.txt" if hop == 0 else f"/r{hop}"
            site.answers[place] = Answer(b"", 301, (("Location", f"/r{hop + 1}"),))
        site.answers[f"/r{hops}"] = rules("User-agent: *\nDisallow: /")
        assert get(site, "/a")[0] == {"fetched" if fetched else "robots": 1}

    def test_the_first_500_kibibytes_are_read(self, site, get):
        padding = "# rules follow\n" * (robots.MAXIMUM_BYTES // 15 + 10)
        text = "User-agent: *\nDisallow: /a\n" + padding + "Disallow: /b\n"
        site.answers["/robots.txt"] = rules(text)
        assert get(site, "/a", "/b")[0] == {"robots": 1, "fetched": 1}

    def test_the_place_of_a_redirect_is_asked_for_too(self, site, get):
        site.answers["/a"] = Answer(b"", 302, (("Location", f"http://b.test:{site.port}/x"),))
        site.answers["/robots.txt"] = rules("User-agent: *\nDisallow: /x")
        assert get(site, "/a")[0] == {"robots": 1}
        assert "/x" not in site.paths


class TestPace:
    def test_a_host_rests_between_requests(self, site, get, fake_time):
        get(site, "/a", "/b", seconds_between_requests=3)
        assert fake_time.waits == [3, 3]  # after robots.txt, and after /a

    def test_a_longer_rest_that_the_site_asks_for(self, site, get, fake_time):
        site.answers["/robots.txt"] = rules("User-agent: *\nCrawl-delay: 7")
        get(site, "/a", "/b", "/c", seconds_between_requests=3)
        assert fake_time.waits == [3, 7, 7]

    def test_an_address_named_twice_is_fetched_once(self, site, get):
        assert get(site, "/a", "/a")[0] == {"fetched": 1}

    def test_hosts_take_turns(self, site, get, fake_time):
        urls = [f"http://{host}.test:{site.port}/{n}" for host in "ab" for n in range(2)]
        get(site, *urls, seconds_between_requests=3)
        assert [path for path in site.paths if path != "/robots.txt"] == ["/0", "/0", "/1", "/1"]

    def test_redirects_are_followed_to_their_limit(self, site, get):
        for hop in range(9):
            site.answers[f"/{hop}"] = Answer(b"", 307, (("Location", f"/{hop + 1}"),))
        counts, found = get(site, "/4")
        assert counts == {"fetched": 1}
        assert found[0].url.endswith("/9")
        assert get(site, "/3")[0] == {"redirects": 1}

    def test_a_redirect_in_other_letters(self, site, get):
        site.answers["/a"] = Answer(
            b"", 302, (("Location", "/caf\u00e9".encode().decode("latin-1")),)
        )
        counts, found = get(site, "/a")
        assert counts == {"fetched": 1}
        assert found[0].url.endswith("/caf%C3%A9")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for `secure.test`, signed by itself, and its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "secure.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("secure.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "all.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.mark.parametrize(("host", "count"), [("secure.test", "fetched"), ("other.test", "robots")])
def test_a_certificate_must_be_the_hosts(site, certificate, tmp_path, fake_time, host, count):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    site.server.socket = server.wrap_socket(site.server.socket, server_side=True)
    trusting = network(site)._replace(tls=lambda: ssl.create_default_context(cafile=certificate))
    path = tmp_path / "a.warc.gz"
    urls = [f"https://{host}:{site.port}/a"]
    assert fetch.fetch_to_warc(urls, settings(), path, trusting, fake_time.clock) == {count: 1}
    assert ("/a" in site.paths) == (count == "fetched")


def test_a_list_of_addresses(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfhttp://a/\r\n\r\n# no\r\n http://b/ \r\nhttp://a/\r\n")
    assert fetch.addresses(path) == ["http://a/", "http://b/"]


def test_nothing_stays_of_an_archive_that_was_not_finished(site, tmp_path, fake_time):
    def addresses():
        yield f"http://a.test:{site.port}/a"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch.fetch_to_warc(
            addresses(), settings(), tmp_path / "a.warc.gz", network(site), fake_time.clock
        )
    assert list(tmp_path.iterdir()) == []


def test_every_reason_is_listed():
    assert set(fetcher.REASONS) <= set(KINDS["fetch"].reasons)
