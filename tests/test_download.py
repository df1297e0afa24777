"""Downloads from real servers on loopback: whole or not at all, and no secret told."""

from __future__ import annotations

import base64
import gzip
import io
import ssl
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from batchpost.download import ATTEMPTS, Downloaded, download
from batchpost.errors import BatchpostError, InputRefused, NoInput, UsageError
from batchpost.ways import login_of, proxy_for, ways
from tests.fileserver import Answer, Asked, file_server, ranged

BODY = b"id,x\n" + b"".join(b"%d,%d\n" % (row, row) for row in range(20_000))
HUSH = "X-Amz-Signature=hush-hush"


class Fetch:
    """One download into memory; ``slept`` are the pauses that it made."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ = {"HOME": "/nowhere", **(environ or {})}
        self.slept: list[float] = []
        self.file = io.BytesIO()

    def __call__(self, address: str) -> Downloaded:
        return download(address, self.file, way=ways(self.environ), environ=self.environ, sleep=self.slept.append)

    @property
    def body(self) -> bytes:
        return self.file.getvalue()


def refused(address: str, kind: type[BatchpostError] = InputRefused, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(kind) as caught:
        Fetch(environ)(address)
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_a_file_is_fetched_whole() -> None:
    with file_server(lambda asked, _: ranged(BODY, asked)) as server:
        fetch = Fetch()
        found = fetch(f"{server.url}/a%20b.csv?{HUSH}")
        assert (fetch.body, found.size, found.validator) == (BODY, len(BODY), '"v1"')
        assert server.asked[0].path == f"/a%20b.csv?{HUSH}"


def test_what_breaks_off_goes_on_where_it_stopped() -> None:
    cuts = [1000, 50_000, 7, None]
    with file_server(lambda asked, number: ranged(BODY, asked, cut=cuts[number])) as server:
        fetch = Fetch()
        fetch(f"{server.url}/a.csv")
        assert fetch.body == BODY
        assert [asked.headers.get("range") for asked in server.asked] == [
            *(None, "bytes=1000-", "bytes=51000-", "bytes=51007-")
        ]
        assert fetch.slept == [1.0, 1.0, 1.0]


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning() -> None:
    def answer(asked: Asked, number: int) -> Answer:
        return ranged(BODY, asked, '"v1"', cut=1000) if not number else ranged(BODY[::-1], asked, '"v2"')

    with file_server(answer) as server:
        fetch = Fetch()
        fetch(f"{server.url}/a.csv")
        assert fetch.body == BODY[::-1]


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"v1"'}])
def test_without_a_sure_version_it_begins_again(headers: dict[str, str]) -> None:
    with file_server(lambda _, number: Answer(BODY, 200, headers, None if number else 1000)) as server:
        fetch = Fetch()
        fetch(f"{server.url}/a.csv")
        assert fetch.body == BODY
        assert "range" not in server.asked[1].headers


def test_the_date_is_a_version_where_there_is_no_etag() -> None:
    date = "Tue, 04 Mar 2025 16:30:00 GMT"
    with file_server(lambda _, number: Answer(BODY, 200, {"Last-Modified": date}, None if number else 9)) as server:
        Fetch()(f"{server.url}/a.csv")
        assert (server.asked[1].headers["range"], server.asked[1].headers["if-range"]) == ("bytes=9-", date)


@pytest.mark.parametrize(
    "part", ["bytes 5-99/{size}", "bytes 1000-99/99", "bytes */{size}", "lines 1000-99/{size}", ""]
)
def test_another_part_than_was_asked_for_is_not_taken(part: str) -> None:
    def answer(_: Asked, number: int) -> Answer:
        odd = Answer(BODY[1000:], 206, {"Content-Range": part.format(size=len(BODY))})
        return [Answer(BODY, 200, {"ETag": '"v1"'}, 1000), odd, Answer(BODY)][number]

    with file_server(answer) as server:
        fetch = Fetch()
        fetch(f"{server.url}/a.csv")
        assert fetch.body == BODY


def test_it_gives_up_after_some_attempts_without_progress() -> None:
    with file_server(lambda *_: Answer(BODY, cut=0)) as server:
        fetch = Fetch()
        with pytest.raises(NoInput, match=r"/a\.csv: .*, 5 times in a row. Try again later"):
            fetch(f"{server.url}/a.csv?{HUSH}")
        assert (len(server.asked), fetch.slept) == (ATTEMPTS, [1.0, 2.0, 4.0, 8.0])


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    statuses = [(503, "7"), (429, "999999"), (500, "soon"), (200, "")]

    def answer(_: Asked, number: int) -> Answer:
        return Answer(BODY, statuses[number][0], {"Retry-After": statuses[number][1]})

    with file_server(answer) as server:
        fetch = Fetch()
        fetch(f"{server.url}/a.csv")
        assert (fetch.body, fetch.slept) == (BODY, [7.0, 60.0, 4.0])


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (404, NoInput, "not there (HTTP 404)"),
        (410, NoInput, "not there (HTTP 410)"),
        (401, InputRefused, "wants a user and a password"),
        (403, InputRefused, "A signed address expires"),
        (418, InputRefused, "answers HTTP 418"),
        (204, InputRefused, "answers HTTP 204"),
        (206, InputRefused, "answers HTTP 206"),
    ],
)
def test_a_status_that_will_not_change_ends_it(status: int, kind: type[BatchpostError], message: str) -> None:
    with file_server(lambda *_: Answer(b"", status)) as server:
        assert message in refused(f"{server.url}/a.csv?{HUSH}", kind)
        assert len(server.asked) == 1


def test_a_body_without_an_end_that_can_be_told_is_refused() -> None:
    with file_server(lambda *_: Answer(BODY, length=False)) as server:
        assert "a part could be missing unseen" in refused(f"{server.url}/a.csv")


def test_chunks_have_an_end() -> None:
    chunks = b"5\r\nid,x\n\r\n4\r\n1,2\n\r\n0\r\n\r\n"
    with file_server(lambda *_: Answer(chunks, headers={"Transfer-Encoding": "chunked"})) as server:
        fetch = Fetch()
        assert fetch(f"{server.url}/a.csv").size == -1
        assert fetch.body == b"id,x\n1,2\n"
    with file_server(lambda *_: Answer(chunks, headers={"Transfer-Encoding": "chunked"}, cut=12)) as server:
        assert "broke off" in refused(f"{server.url}/a.csv", NoInput)


# --- packed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [BODY, b""])
def test_gzip_on_the_way_is_undone(body: bytes) -> None:
    packed = gzip.compress(body)
    with file_server(lambda *_: Answer(packed, headers={"Content-Encoding": "gzip"})) as server:
        fetch = Fetch()
        fetch(f"{server.url}/a.csv")
        assert fetch.body == body


def test_a_packed_file_stays_what_it_is() -> None:
    packed = gzip.compress(BODY)
    named = {"Content-Encoding": "gzip", "Content-Disposition": 'attachment; filename="conv.csv.gz"'}
    for path, headers in (("a.csv.gz", {"Content-Encoding": "gzip"}), ("a.csv.gz", {}), ("export", named)):
        with file_server(lambda *_, headers=headers: Answer(packed, headers=headers)) as server:
            fetch = Fetch()
            fetch(f"{server.url}/{path}")
            assert fetch.body == packed


@pytest.mark.parametrize("packed", [gzip.compress(BODY)[:-4], b"id,x\n1,2\n", gzip.compress(BODY) + b"more"])
def test_damaged_gzip_is_refused(packed: bytes) -> None:
    with file_server(lambda *_: Answer(packed, headers={"Content-Encoding": "gzip"})) as server:
        assert "its gzip is cut off or damaged" in refused(f"{server.url}/a.csv")


def test_other_packings_are_refused() -> None:
    with file_server(lambda *_: Answer(BODY, headers={"Content-Encoding": "br"})) as server:
        assert "comes packed as br" in refused(f"{server.url}/a.csv")


# --- redirects and who we are -----------------------------------------------------------------------------------------


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def test_redirects_are_followed_and_the_password_stays_with_its_host() -> None:
    with file_server(lambda asked, _: ranged(BODY, asked)) as other:
        to = f"{other.url}/there.csv?{HUSH}"

        def answer(asked: Asked, number: int) -> Answer:
            return Answer(status=302, headers={"Location": to if number else "/here"})

        with file_server(answer) as server:
            fetch = Fetch()
            fetch(server.url.replace("//", "//me:hush@") + "/a.csv")
            assert fetch.body == BODY
            assert [asked.headers.get("authorization") for asked in server.asked] == [basic("me:hush")] * 2
            assert other.asked[0].headers.get("authorization") is None
            assert "hush" not in other.asked[0].headers["host"]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://example.com/a.csv", "redirects to http://example.com, which is not encrypted"),
        ("ftp://example.com/a.csv", "redirects to what is no address"),
        ("http://[", "which is not encrypted"),
        ("", "redirects to what is no address"),
        ("/again", "redirects more than 10 times"),
    ],
)
def test_redirects_to_nowhere_are_refused(location: str, message: str) -> None:
    with file_server(lambda *_: Answer(status=301, headers={"Location": location})) as server:
        assert message in refused(f"{server.url}/a.csv?{HUSH}")


def test_netrc_says_who_we_are(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hush\n")
    (tmp_path / ".netrc").chmod(0o600)
    with file_server(lambda asked, _: ranged(BODY, asked)) as server:
        Fetch({"HOME": str(tmp_path)})(f"{server.url}/a.csv")
        Fetch({"HOME": "/nowhere", "NETRC": str(tmp_path / ".netrc")})(f"{server.url}/a.csv")
        Fetch({"HOME": str(tmp_path)})(server.url.replace("//", "//other:one@") + "/a.csv")
        logins = [asked.headers.get("authorization") for asked in server.asked]
        assert logins == [basic("me:hush"), basic("me:hush"), basic("other:one")]


def test_a_broken_netrc_is_told_without_its_content(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine hush hush hush\n")
    assert "cannot be read as a netrc file" in refused("https://example.com/a.csv", UsageError, {"HOME": str(tmp_path)})


def test_no_login_is_none() -> None:
    import httpx

    assert login_of(httpx.URL("https://example.com/a.csv"), {}) == ""


# --- the way there ----------------------------------------------------------------------------------------------------


def test_a_certificate_that_nobody_vouches_for_is_named() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with file_server(lambda *_: Answer(BODY), tls) as server:
        message = refused(f"{server.url}/a.csv?{HUSH}")
        assert "the certificate of 127.0.0.1 is not trusted" in message
        assert server.asked == []


def test_an_authority_of_ones_own_is_trusted(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with file_server(lambda *_: Answer(BODY), tls) as server:
        fetch = Fetch({"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
        fetch(f"{server.url}/a.csv")
        assert fetch.body == BODY


def test_tls_is_not_left_by_a_redirect(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with file_server(lambda *_: Answer(BODY)) as plain:
        with file_server(lambda *_: Answer(status=302, headers={"Location": f"{plain.url}/a.csv"}), tls) as server:
            message = refused(f"{server.url}/a.csv", environ={"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
        assert "which is not encrypted" in message
        assert plain.asked == []


def test_a_host_that_does_not_exist_is_named() -> None:
    assert "there is no host nobody.invalid" in refused(f"https://nobody.invalid/a.csv?{HUSH}")


def test_a_server_that_is_not_up_may_be_later() -> None:
    with file_server(lambda *_: Answer(BODY)) as server:
        gone = server.url
    assert "127.0.0.1 cannot be reached, 5 times in a row" in refused(f"{gone}/a.csv?{HUSH}", NoInput)


def test_plain_text_where_tls_is_expected_is_no_tls() -> None:
    with file_server(lambda *_: Answer(BODY)) as server:
        assert "no TLS with 127.0.0.1" in refused(server.url.replace("http:", "https:") + "/a.csv", NoInput)


def test_a_proxy_that_is_none_is_told_without_its_password() -> None:
    message = refused("https://example.com/a.csv", UsageError, {"HTTPS_PROXY": "ftp://me:hush@proxy:1"})
    assert "$HTTPS_PROXY does not hold the address of an HTTP proxy" in message


def test_the_environments_proxy_is_asked() -> None:
    """The proxy is there, and refuses: nothing reaches the host past it."""
    with file_server(lambda *_: Answer()) as proxy:
        fetch = {"https_proxy": proxy.url.replace("//", "//me:hush@")}
        assert "example.com" in refused(f"https://example.com/a.csv?{HUSH}", environ=fetch)


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": "http://q:2"}, "http://q:2"),
        ({"ALL_PROXY": "p:1"}, "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other.com, .example.com"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": ""}, None),
    ],
)
def test_proxies_are_those_of_the_environment(environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_for("https", "data.example.com", environ) == proxy


def test_this_machine_is_reached_without_a_proxy() -> None:
    assert proxy_for("http", "127.0.0.1", {"http_proxy": "http://p:1"}) is None


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"Content-Disposition": 'attachment; filename="conv 1.csv"'}, "conv 1.csv"),
        ({"Content-Disposition": "attachment; filename*=UTF-8''conv%C3%BC.csv"}, "convü.csv"),
        ({"Content-Disposition": 'attachment; filename="../../etc/conv.csv"'}, "conv.csv"),
        ({"Content-Type": "text/csv; charset=utf-8"}, "file.csv"),
        ({"Content-Type": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}, "file.xlsx"),
        ({"Content-Type": "text/html"}, ""),
        ({}, ""),
    ],
)
def test_the_server_may_say_what_the_file_is_called(headers: dict[str, str], name: str) -> None:
    with file_server(lambda *_: Answer(BODY, headers=headers)) as server:
        assert Fetch()(f"{server.url}/export").file_name == name
