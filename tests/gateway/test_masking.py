"""Goal: of the authority's address nobody sees more than the host.

Method: addresses of every shape, and texts that repeat them in part.
"""

import pytest

from gateway.masking import mask_any, mask_in, mask_said, mask_url


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


URL = "https://hq.example/v1/alerts/border-post-7/tok-SECRETZ9/douane?key=abcd1234&token=Plainword"


@pytest.mark.parametrize(
    "told,shown",
    [
        ("unknown token tok-SECRETZ9", "unknown token ..."),
        ("unknown token TOK-secretz9.", "unknown token ...."),
        ("alerts\\/tok-SECRETZ9", "alerts\\/..."),
        ("no key abcd1234", "no key ..."),
        ("too many alerts from border-post-7", "too many alerts from border-post-7"),
        ("v1 of the douane", "v1 of the douane"),
    ],
)
def test_a_piece_that_may_be_a_token_is_masked_alone(told, shown):
    assert mask_in(told, URL) == shown


@pytest.mark.parametrize(
    "told,shown",
    [
        ("unknown token tok-SECRETZ9", "unknown token ..."),
        ("no alerts from border-post-7", "no alerts from ..."),
        ("DOUANE is no service, douanes neither", "... is no service, douanes neither"),
        ("token plainword is refused", "token ... is refused"),
    ],
)
def test_in_what_the_authority_says_words_are_masked_too(told, shown):
    assert mask_said(told, URL) == shown


@pytest.mark.parametrize(
    "piece",
    [
        "s3cret",
        "tok-SECRETZ9",
        "abcdefghijklmnop",  # no word is that long
        "aGVsbG8gd29ybGQ",
        "deadbeef-cafe-4f1e-9a0b",
        "bot99:AAElongKey",
        "a%20b1c2d3",
    ],
)
def test_what_is_no_word_is_a_token(piece):
    url = f"https://hq.example/alerts/{piece}"
    assert piece not in mask_in(f"404: {piece}", url)
    assert piece.partition(":")[2] == "" or "AAElongKey" not in mask_in("AAElongKey", url)
    assert mask_in("alerts", url) == "alerts"


@pytest.mark.parametrize("piece", ["v1", "border-post-12", "hut07", "Alerts", "20261122", "API"])
def test_what_is_made_of_words_stays_in_a_report(piece):
    assert mask_in(f'{{"{piece}": 1}}', f"https://hq.example/{piece}/x") == f'{{"{piece}": 1}}'
