import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sealing import Sealer, Unopened

WHERE = "channel/crm"
OURS = Sealer("a key of some length")


@given(st.text())
def test_what_was_sealed_is_opened_under_the_same_key(text: str) -> None:
    sealed = OURS.seal(text, WHERE)
    assert sealed.startswith("v1:")
    assert Sealer("a key of some length").open(sealed, WHERE) == text


def test_the_same_text_never_looks_the_same_twice_and_nothing_of_it_shows() -> None:
    sealed = {OURS.seal("whsec_secret", WHERE) for _ in range(100)}
    assert len(sealed) == 100
    assert not any(b"whsec" in base64.b64decode(one.removeprefix("v1:")) for one in sealed)
    assert "a key of some length" not in repr(OURS)


def test_the_form_is_fixed_so_that_another_version_can_open_it() -> None:
    # Nonce 0..11, sealed by AES-256-GCM under HKDF-SHA256(key, info "ebbwatch sealing v1").
    assert OURS.open(FIXED, WHERE) == "whsec_c2VjcmV0"


def test_another_key_opens_nothing_and_says_what_to_do() -> None:
    found = Sealer("another key").open(OURS.seal("secret", WHERE), WHERE)
    assert found == Unopened(
        "its secret was sealed under another EBBWATCH_SECRET_KEY, or is damaged: set the key that "
        "it was sealed under, or run `ebbwatch config apply` again, which seals it anew"
    )


def test_a_secret_that_was_copied_to_another_record_does_not_open_there() -> None:
    assert isinstance(OURS.open(OURS.seal("secret", WHERE), "channel/other"), Unopened)


@pytest.mark.parametrize("place", [3, 10, 20, -6])
def test_one_changed_character_is_noticed(place: int) -> None:
    sealed = OURS.seal("secret", WHERE)
    other = "A" if sealed[place] != "A" else "B"
    changed = list(sealed)
    changed[place] = other
    assert isinstance(OURS.open("".join(changed), WHERE), Unopened)


@pytest.mark.parametrize(
    "text", ["", "v1:", "v1:AA==", "v1:not base64", "v2:AAAA", "secret", "v1:é"]
)
def test_what_is_no_sealed_text_is_told(text: str) -> None:
    found = OURS.open(text, WHERE)
    assert isinstance(found, Unopened)
    assert found.reason.endswith("run `ebbwatch config apply` again, which seals it anew")


FIXED = "v1:AAECAwQFBgcICQoLKndfVNKmOlH6x5Z+Pa3anv8/KC8lM4J/URrnB9Eb"
