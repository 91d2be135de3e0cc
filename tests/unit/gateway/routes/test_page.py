import re
from base64 import b64encode
from hashlib import sha256

import pytest

from tests.unit.gateway.rig import Rig


@pytest.mark.parametrize(
    ("path", "said"), [("/", "Device Hub is running"), ("/docs", "the folder of a built web interface")]
)
async def test_the_page_needs_nothing_but_itself(rig: Rig, path: str, said: str) -> None:
    async with rig.client() as client:
        answer = await client.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = answer.text
    assert said in page
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    links = re.findall(r'href="([^"]+)"', page)
    assert links
    async with rig.client() as client:
        assert {(await client.get(link)).status_code for link in links} == {200}


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_the_policy_lets_the_pages_own_style_in_and_nothing_else(rig: Rig, path: str) -> None:
    async with rig.client() as client:
        answer = await client.get(path)

    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    allowed = b64encode(sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{allowed}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]


@pytest.mark.parametrize("host", ["hub.example", "hub.example:8080", "192.0.2.1:80", "[2001:db8::1]:8080"])
async def test_the_commands_name_the_hub_as_the_reader_reached_it(rig: Rig, host: str) -> None:
    async with rig.client() as client:
        page = (await client.get("/", headers={"Host": host})).text

    assert f"http://{host}/api/devices" in page


@pytest.mark.parametrize("host", ["<script>alert(1)</script>", 'x"y', "a b", "a/b", "", "x" * 300])
async def test_no_other_host_gets_into_the_page(rig: Rig, host: str) -> None:
    async with rig.client() as client:
        page = (await client.get("/", headers={"Host": host})).text

    assert "http://localhost:8080/api/devices" in page
    assert "<script" not in page
