"""The box for these tests."""

from tests.box import box as box
