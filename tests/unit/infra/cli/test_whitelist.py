import pytest

from functions.domain.whitelist import Line
from infra.cli.whitelist import read_list
from infra.problem import Problem


def test_comments_and_blank_lines_are_passed_over() -> None:
    text = "# lot 7\n\n9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d\r\n   \n  BOARD_0002  \n"

    assert read_list(text, "lot-7.txt") == [Line(3, "9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d"), Line(5, "BOARD_0002")]


def test_what_is_said_of_all_is_kept_where_a_line_says_nothing() -> None:
    text = "uuid,manufacturer\nabcd,\nefgh,Other\n"

    assert read_list(text, "lot-7.csv", manufacturer="ACME", note="lot 7") == [
        Line(2, "abcd", "lot 7", "", "ACME"),
        Line(3, "efgh", "lot 7", "", "Other"),
    ]


def test_every_wrong_line_is_told_by_its_number() -> None:
    with pytest.raises(Problem) as told:
        read_list("# list\nabcd\na b\n\nx\nabce,1,2,3,4\n", "lot-7.txt")

    assert "lot-7.txt" in told.value.what
    assert "line 3: 'a b': not 4 to 64" in told.value.what
    assert "line 5: 'x'" in told.value.what
    assert "line 6: 'abce,1,2,3,4': more than 4 columns" in told.value.what
    assert "line 2" not in told.value.what


def test_a_note_that_is_too_long_is_told() -> None:
    with pytest.raises(Problem, match="note over 256 characters"):
        read_list("abcd\n", "lot-7.txt", note="x" * 257)


def test_of_many_wrong_lines_the_first_are_shown_and_the_rest_counted() -> None:
    with pytest.raises(Problem) as told:
        read_list("?\n" * 500, "lot-7.txt")

    assert "line 20" in told.value.what
    assert "line 21" not in told.value.what
    assert "and 480 more" in told.value.what


def test_a_list_without_a_uuid_is_told() -> None:
    with pytest.raises(Problem, match="names no UUID"):
        read_list("# nothing\n", "lot-7.txt")


def test_columns_that_there_are_not_are_told() -> None:
    with pytest.raises(Problem, match="must name each of its columns once"):
        read_list("uuid,colour\nabcd,red\n", "lot-7.csv")
