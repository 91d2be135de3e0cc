"""What all tests share: the checks that come with the hub fail with the values in question, and where a test runs."""

import pytest

pytest.register_assert_rewrite("functions.checks", "functions.testing")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several processes, one runs those that start whole hubs, as those wait most; the others share the modules."""
    for item in items:
        module = item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group("hubs" if module.startswith("tests/e2e/") else module))
