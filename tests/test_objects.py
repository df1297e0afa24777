"""Objects of S3 on loopback: one version, whole, or a refusal that says what to do."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import pytest

from batchpost.errors import BatchpostError, InputRefused, NoInput, UsageError
from batchpost.objects import Objects, refusal
from tests.fileserver import Answer, file_server
from tests.storage import Storage, storage

BIG = bytes(range(256)) * 80_000  # more than one request brings


@pytest.fixture(scope="module")
def s3() -> Iterator[Storage]:
    with storage() as found:
        keys = {"in/a.csv": b"id\n1\n", "in/sub/b.csv": b"id\n2\n", "in/": b"", "top.csv": b"id\n", "in/ü +%.csv": b"x"}
        found.bucket("exports", {**keys, "big.csv": BIG})
        yield found


def fetched(s3: Storage, key: str, environ: Mapping[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    Objects("exports", environ or s3.environ).fetch(key, file)
    return file.getvalue()


@pytest.mark.parametrize(("key", "body"), [("in/a.csv", b"id\n1\n"), ("in/ü +%.csv", b"x"), ("big.csv", BIG)])
def test_an_object_is_fetched_whole(s3: Storage, key: str, body: bytes) -> None:
    assert fetched(s3, key) == body


def test_what_is_below_a_prefix(s3: Storage) -> None:
    objects = Objects("exports", s3.environ)
    assert [sorted(names) for names in objects.listed("in/", deep=False)] == [["a.csv", "ü +%.csv"], ["sub"]]
    assert sorted(objects.listed("in/", deep=True)[0]) == ["a.csv", "sub/b.csv", "ü +%.csv"]
    assert sorted(objects.listed("", deep=False)[0]) == ["big.csv", "top.csv"]
    assert objects.listed("none/", deep=False) == ([], [])


def test_an_object_that_is_replaced_meanwhile_is_fetched_again(s3: Storage) -> None:
    s3.put("exports", {"moving.csv": BIG})

    class Slow(io.BytesIO):
        """Between two parts somebody puts another object in place."""

        left = 1

        def write(self, part: object) -> int:
            if Slow.left:
                Slow.left -= 1
                s3.put("exports", {"moving.csv": BIG[::-1]})
            return super().write(part)  # type: ignore[arg-type]

    file: BinaryIO = Slow()
    Objects("exports", s3.environ).fetch("moving.csv", file)
    assert file.getvalue() == BIG[::-1]  # type: ignore[attr-defined]


def test_an_object_that_never_keeps_still_is_refused(s3: Storage) -> None:
    class Restless(io.BytesIO):
        turn = 0

        def write(self, part: object) -> int:
            Restless.turn += 1
            s3.put("exports", {"restless.csv": b"%d" % Restless.turn})
            return super().write(part)  # type: ignore[arg-type]

    s3.put("exports", {"restless.csv": b"0"})
    with pytest.raises(InputRefused, match=r"s3://exports/restless\.csv: was replaced each time"):
        Objects("exports", s3.environ).fetch("restless.csv", Restless())


def test_what_is_not_there_is_no_input_yet(s3: Storage) -> None:
    with pytest.raises(NoInput, match=r"there is no s3://exports/none\.csv"):
        fetched(s3, "none.csv")
    assert Objects("exports", s3.environ).listed("none/", deep=True) == ([], [])


def test_a_bucket_that_does_not_exist_is_a_mistake_and_nothing_to_wait_for(s3: Storage) -> None:
    nobody = Objects("nobody", s3.environ)
    for ask in (lambda: nobody.fetch("a.csv", io.BytesIO()), lambda: nobody.listed("in/", deep=True)):
        with pytest.raises(UsageError, match=r"s3://nobody: there is no such bucket\. Correct its name"):
            ask()


def test_who_may_not_look_at_the_bucket_is_told_of_the_object(s3: Storage) -> None:
    with file_server(lambda asked, _: Answer(status=404 if asked.path.endswith("none.csv") else 403)) as server:
        with pytest.raises(NoInput, match=r"there is no s3://exports/none\.csv"):
            fetched(s3, "none.csv", {**s3.environ, "AWS_ENDPOINT_URL": server.url})
        assert [asked.path.rstrip("/") for asked in server.asked] == ["/exports/none.csv", "/exports"]


def test_a_storage_that_cannot_be_reached_may_be_later(s3: Storage) -> None:
    objects = Objects("exports", {**s3.environ, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, attempts=1)
    with pytest.raises(NoInput, match=r"cannot be reached now \(NETWORK_CONNECTION\)"):
        objects.fetch("in/a.csv", io.BytesIO())


def test_a_public_bucket_needs_no_keys(s3: Storage) -> None:
    s3.client.put_object_acl(Bucket="exports", Key="in/a.csv", ACL="public-read")
    environ = {"AWS_ENDPOINT_URL": s3.environ["AWS_ENDPOINT_URL"], "AWS_SKIP_SIGNATURE": "true"}
    assert fetched(s3, "in/a.csv", environ) == b"id\n1\n"


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://storage", "https://storage/path"])
def test_an_endpoint_that_is_none_is_told(s3: Storage, endpoint: str) -> None:
    with pytest.raises(UsageError, match=r"\$AWS_ENDPOINT_URL is not an address"):
        fetched(s3, "in/a.csv", {**s3.environ, "AWS_ENDPOINT_URL": endpoint})


WORDS = "When reading information for key 'a' in bucket 'b': AWS Error {} during HeadObject operation: hush"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (WORDS.format("ACCESS_DENIED"), InputRefused, "access is denied. Reading it needs s3:GetObject"),
        (WORDS.format("UNKNOWN (HTTP status 403)"), InputRefused, "access is denied"),
        (WORDS.format("NO_SUCH_BUCKET"), UsageError, "no such bucket"),
        (WORDS.format("INVALID_ACCESS_KEY_ID"), UsageError, "are not those of anybody there"),
        (WORDS.format("SIGNATURE_DOES_NOT_MATCH"), UsageError, "are not those of anybody there"),
        (WORDS.format("UNKNOWN (HTTP status 400) ExpiredToken"), UsageError, "have expired"),
        (WORDS.format("UNKNOWN (HTTP status 301)"), UsageError, "Set AWS_REGION"),
        (WORDS.format("SLOW_DOWN"), NoInput, "Try again later"),
        (WORDS.format("VALIDATION"), InputRefused, r"cannot be fetched \(VALIDATION\)"),
        ("hush", InputRefused, "no reason was given"),
    ],
)
def test_the_storages_words_mean_something_to_do(text: str, kind: type[BatchpostError], message: str) -> None:
    found = refusal("s3://b/a", text)
    assert isinstance(found, kind)
    with pytest.raises(kind, match=message):
        raise found
    assert "hush" not in str(found)
