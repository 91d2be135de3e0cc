"""What all tests share: the checks that come with the hub fail with the values in question."""

import pytest

pytest.register_assert_rewrite("functions.checks", "functions.testing")
