import pytest

from services.alerts.app import TOKEN_CHARACTERS, require_guarded
from services.alerts.settings import AlertsSettings
from services.settings import ConfigurationError, load_settings

LONG = "k" * TOKEN_CHARACTERS


def settings(host: str, token: str) -> AlertsSettings:
    environ = {
        "EBBWATCH_SECRET_KEY": "k",
        "EBBWATCH_HOST": host,
        "EBBWATCH_TOKEN": token,
    }
    return load_settings(AlertsSettings, environ)


def refusal(host: str, token: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        require_guarded(settings(host, token))
    return str(raised.value)


@pytest.mark.parametrize("token", ["", " ", "\t\n", " " * 40])
def test_without_a_token_or_with_nothing_but_space_only_loopback_is_served(token: str) -> None:
    assert refusal("0.0.0.0", token) == (
        "EBBWATCH_HOST='0.0.0.0': others could reach it without a token: set EBBWATCH_TOKEN too, "
        "or 127.0.0.1 here; `openssl rand -base64 24` makes a token"
    )
    assert settings("0.0.0.0", token).token is None


@pytest.mark.parametrize("token", ["x", "sesame", LONG[1:], f" {LONG[1:]} "])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "desk.example"])
def test_a_token_that_can_be_guessed_guards_nothing(host: str, token: str) -> None:
    assert refusal(host, token) == (
        f"EBBWATCH_TOKEN: it has {len(token.strip())} characters, and at {host} others can try: "
        "at least 16; `openssl rand -base64 24` makes a token"
    )


@pytest.mark.parametrize(
    "host, token",
    [("0.0.0.0", LONG), ("::", f"{LONG}\n"), ("127.0.0.1", "x"), ("::1", ""), ("localhost", " ")],
)
def test_a_long_token_opens_any_address_and_loopback_needs_none(host: str, token: str) -> None:
    require_guarded(settings(host, token))
