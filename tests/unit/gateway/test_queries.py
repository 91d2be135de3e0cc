import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.messages import RegistryQuery
from functions.domain.faults import Malformed
from gateway.queries import Parameters

QUERY = Parameters(RegistryQuery)


def test_every_field_of_the_message_is_a_parameter() -> None:
    assert set(QUERY.schemas) == {field.alias for field in RegistryQuery.model_fields.values()}
    assert all("type" in schema for schema in QUERY.schemas.values())


def test_texts_numbers_and_repeated_names_become_values_of_the_message() -> None:
    pairs, values = QUERY.read(b"q=a%20b&limit=5&group=x&group=y%2Cz&status=online&tag=k%3Dv&q2=".removesuffix(b"&q2="))

    assert values == {"q": "a b", "limit": 5, "group": ["x", "y,z"], "status": "online", "tag": ["k=v"]}
    assert pairs[0] == ("q", "a b")
    assert RegistryQuery.model_validate(values).group == ["x", "y,z"]


@pytest.mark.parametrize("text", ["abc", "", "1.5", "-", "+", "1e3", "٣", "9" * 16, "-5", " 5"])
def test_a_text_that_is_no_number_is_left_for_the_function_to_refuse(text: str) -> None:
    from urllib.parse import quote

    _, values = QUERY.read(f"limit={quote(text)}".encode())

    assert values == {"limit": text}


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        (b"colour=red", {"colour": "is no parameter of this address"}),
        (b"limit=1&limit=2", {"limit": "is given more than once"}),
        (b"a=1&b=2&q=x", {"a": "is no parameter of this address", "b": "is no parameter of this address"}),
        (b"=1", {"": "is no parameter of this address"}),
        (b"last_seen_after=x", {"last_seen_after": "is no parameter of this address"}),
        (b"x" * 5000 + b"=1", {"x" * 64: "is no parameter of this address"}),
    ],
)
def test_what_is_no_parameter_is_named(query: bytes, wrong: dict[str, str]) -> None:
    with pytest.raises(Malformed) as caught:
        QUERY.read(query)

    assert caught.value.fields == wrong


@pytest.mark.parametrize("query", [b"q=%ff", b"q=%C3%28", "q=ü".encode(), b"%ff=1", b"&".join([b"q=1"] * 65)])
def test_what_is_no_query_string_is_refused(query: bytes) -> None:
    with pytest.raises(Malformed, match="query string"):
        QUERY.read(query)


def test_where_there_are_no_parameters_there_may_be_none() -> None:
    assert Parameters().read(b"") == ([], {})
    with pytest.raises(Malformed, match="x: is no parameter"):
        Parameters().read(b"x=1")


@given(st.binary(max_size=200))
def test_any_bytes_give_values_or_a_refusal(query: bytes) -> None:
    try:
        _, values = QUERY.read(query)
    except Malformed:
        return
    assert set(values) <= set(QUERY.schemas)
