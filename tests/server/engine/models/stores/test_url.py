"""URLs of repositories, and the credentials in them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spyglass_server.engine.models.stores.url import StoreUrl, is_url, without_credentials

# Longer than what is part of the text itself; a comma ends a URL.
SECRETS = st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"]), min_size=8, max_size=20)


@pytest.mark.parametrize(
    ("text", "full", "scheme"),
    [
        ("s3://bucket", "s3://bucket", "s3"),
        ("S3://Bucket/some/Folder///", "s3://Bucket/some/Folder", "s3"),
        (" https://host:8443/models ", "https://host:8443/models", "https"),
        ("http://[::1]:8000/", "http://[::1]:8000", "http"),
        ("memory://a/b", "memory://a/b", "memory"),
        ("file:///srv/models/", "file:///srv/models", "file"),
        ("https://host/a@1/b", "https://host/a@1/b", "https"),
        ("git+x.y-z://a", "git+x.y-z://a", "git+x.y-z"),
    ],
)
def test_a_url_has_no_slash_at_its_end(text: str, full: str, scheme: str) -> None:
    url = StoreUrl.parse(text)
    assert (url.full, url.shown, url.scheme) == (full, full, scheme)


@pytest.mark.parametrize(
    "text",
    [
        "bucket/models",
        "://x",
        "1s3://x",
        "https://",
        "https:///models",
        "https://host:port/",
        "https://host:99999/",
        "https://[::1/",
        "https://host/models?signature=s3cret",
        "https://host/models?",
        "https://host/models#part",
        "s3://bucket/a\nb",
        "s3://" + "x" * 3000,
    ],
)
def test_an_invalid_url_is_refused_without_its_credentials(text: str) -> None:
    with pytest.raises(ValueError, match="expected a URL such as s3://BUCKET/FOLDER") as caught:
        StoreUrl.parse(text)
    assert "s3cret" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_url_shows_no_credentials() -> None:
    url = StoreUrl.parse("https://pat:p%40ss-w0rd@host/models")
    assert str(url) == "https://host/models"
    assert repr(url) == "StoreUrl(shown='https://host/models')"
    assert url.secrets == ("pat", "p%40ss-w0rd", "p@ss-w0rd")
    said = "cannot connect to https://pat:p%40ss-w0rd@host/models/a?X=1 with p@ss-w0rd"
    assert url.hide(said) == "cannot connect to https://host/models/a with ***"


@settings(max_examples=50)
@given(user=SECRETS, password=SECRETS)
def test_no_text_shows_a_password(user: str, password: str) -> None:
    text = f"https://{quote(user, safe='')}:{quote(password, safe='')}@host/models"
    url = StoreUrl.parse(text)
    for shown in (str(url), repr(url), url.hide(f"cannot open {url.full}: {password}"), url.shown):
        assert password not in shown
        assert quote(password, safe="") not in shown
    assert password not in without_credentials(f"/srv/models,https://{user}:{password}@host/x")


def test_texts_with_several_urls_lose_all_credentials() -> None:
    assert without_credentials("https://me:a/b c\n?d@host/e") == "https://host/e"
    text = "s3://key:secret@bucket/a,/srv/models,https://token@host/b?sig=1,http://plain/c"
    assert without_credentials(text) == "s3://bucket/a,/srv/models,https://host/b,http://plain/c"
    assert without_credentials("me@example.com?") == "me@example.com?"


@pytest.mark.parametrize(("text", "expected"), [("s3://a", True), ("s3:/a", False), ("/a://b", False)])
def test_a_scheme_makes_a_url(text: str, expected: bool) -> None:
    assert is_url(text) is expected
