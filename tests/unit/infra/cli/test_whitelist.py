import pytest

from infra.cli.whitelist import read_uuids
from infra.problem import Problem


def test_comments_and_blank_lines_are_passed_over() -> None:
    text = "# lot 7\n\n9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d\r\n   \n  BOARD_0002  \n"

    assert read_uuids(text, "lot-7.txt") == ["9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d", "board_0002"]


def test_every_wrong_line_is_told_by_its_number() -> None:
    with pytest.raises(Problem) as told:
        read_uuids("# list\nabcd\na b\n\nx\n", "lot-7.txt")

    assert "lot-7.txt" in told.value.what
    assert "line 3: 'a b'" in told.value.what
    assert "line 5: 'x'" in told.value.what
    assert "line 2" not in told.value.what


def test_of_many_wrong_lines_the_first_are_shown_and_the_rest_counted() -> None:
    with pytest.raises(Problem) as told:
        read_uuids("?\n" * 500, "lot-7.txt")

    assert "line 20" in told.value.what
    assert "line 21" not in told.value.what
    assert "and 480 more" in told.value.what


def test_a_list_without_a_uuid_is_told() -> None:
    with pytest.raises(Problem, match="names no UUID"):
        read_uuids("# nothing\n", "lot-7.txt")
