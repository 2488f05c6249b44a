import base64
from urllib.parse import quote

import pytest
from fastapi import Request
from starlette.responses import Response

from services.alerts.access import (
    BadPerson,
    person_of,
    remember_person,
)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


@pytest.mark.parametrize(
    "headers, person",
    [
        ({}, "someone"),
        ({"x_ebbwatch_person": "ana"}, "ana"),
        ({"x_ebbwatch_person": " Ana Álves "}, "Ana Álves"),
        ({"cookie": "ebbwatch_person=bo%3B%20%C3%A4"}, "bo; ä"),
        ({"authorization": basic("cé", "secret")}, "cé"),
        ({"x_ebbwatch_person": "ana", "cookie": "ebbwatch_person=bo"}, "ana"),
        ({"cookie": "ebbwatch_person=bo", "authorization": basic("cy", "")}, "bo"),
        ({"cookie": "ebbwatch_person=ebbwatch", "authorization": basic("cy", "")}, "cy"),
        ({"cookie": f"ebbwatch_person={'x' * 201}"}, "someone"),
        ({"cookie": "ebbwatch_person=%00"}, "someone"),
        ({"authorization": "Bearer abc"}, "someone"),
    ],
)
def test_who_acts_is_said_by_header_or_cookie_or_user_name(
    headers: dict[str, str], person: str
) -> None:
    assert person_of(_request(**headers)) == person


@pytest.mark.parametrize("told", ["", " ", "ebbwatch", "x" * 201, "a\x00b", "a\u202eb"])
def test_a_header_that_names_nobody_is_refused(told: str) -> None:
    with pytest.raises(BadPerson):
        person_of(_request(x_ebbwatch_person=told))


@pytest.mark.parametrize("person", ["ana", "bo; ä", "客户", '"q"', "a%20b"])
def test_a_person_who_is_remembered_is_known_again(person: str) -> None:
    response = Response()

    remember_person(response, person)

    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert person_of(_request(cookie=cookie.partition(";")[0])) == person


def test_a_cookie_is_for_https_alone_where_it_was_set_by_it_and_can_be_forgotten() -> None:
    secured, forgotten = Response(), Response()

    remember_person(secured, "ana", secure=True)
    remember_person(forgotten, "")

    assert "Secure" in secured.headers["set-cookie"]
    assert "Max-Age=0" in forgotten.headers["set-cookie"]


def test_a_person_may_have_any_name_that_can_be_shown() -> None:
    assert person_of(_request(cookie=f"ebbwatch_person={quote('Zoë 客户')}")) == "Zoë 客户"
