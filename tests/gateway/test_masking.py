"""Goal: of the authority's address nobody sees more than the host.

Method: addresses of every shape, and texts that repeat them in part.
"""

import pytest

from gateway.masking import mask_any, mask_in, mask_url


@pytest.mark.parametrize(
    "url,shown",
    [
        ("https://authority.example/alerts/s3cret?key=t0ken#frag", "https://authority.example/..."),
        ("https://authority.example:8443/s3cret", "https://authority.example:8443/..."),
        ("https://authority.example", "https://authority.example"),
        ("https://authority.example/", "https://authority.example"),
        ("https://user:s3cret@[::1]:1/", "https://[::1]:1"),
        ("https://[s3cret", "..."),
        ("s3cret", "..."),
        ("", ""),
    ],
)
def test_an_address_keeps_its_host(url, shown):
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    "text,shown",
    [
        ("http://hq.example/alerts?key=s3cret", "http://hq.example/..."),
        ("https://me:s3cret@hq .example/", "https://...@hq .example/"),
        ("hq.example/s3cret", "hq.example/..."),
        ("https://hq\\example", "https://hq\\example"),
        ("ftp://hq\n?s3cret", "ftp://hq\n/..."),
        ("", ""),
    ],
)
def test_what_is_no_address_is_masked_alike(text, shown):
    assert mask_any(text) == shown


def test_what_others_repeat_of_it_is_masked():
    url = "https://authority.example/a/s3cret%20path?key=t0ken&more=1#frag"
    for told in (
        f"cannot connect to {url}",
        "404 for /a/s3cret%20path",
        "404 for /a/s3cret path",
        "the key t0ken is unknown",
        "key=t0ken&more=1 is refused",
    ):
        found = mask_in(told, url)
        assert "..." in found
        assert not any(word in found for word in ("s3cret", "t0ken"))
    assert mask_in("nothing of it", url) == "nothing of it"
    assert mask_in("an / alone", "https://authority.example/") == "an / alone"
