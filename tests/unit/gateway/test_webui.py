import gzip
from pathlib import Path

import pytest

from gateway.webui import POLICY
from tests.unit.gateway.rig import Rig, make_rig

SCRIPT = b"console.log('hub')" * 50
PAGE = "<!doctype html><title>Hub</title>"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built = tmp_path / "built"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text(PAGE)
    (built / "favicon.svg").write_text("<svg/>")
    (built / "assets" / "index-B3x_9fQz.js").write_bytes(SCRIPT)
    (built / "assets" / "index-B3x_9fQz.js.gz").write_bytes(gzip.compress(SCRIPT))
    (built / "assets" / "index-B3x_9fQz.js.br").write_bytes(b"as brotli")
    (tmp_path / "secret.txt").write_text("secret")
    (built / "leads-out.txt").symlink_to(tmp_path / "secret.txt")
    (built / ".env").write_text("secret")
    (built / "a b{c}.txt").write_text("secret")
    return built


@pytest.fixture
def ui(folder: Path) -> Rig:
    return make_rig(webui=folder)


async def test_the_interface_is_at_the_top_and_asked_for_again(ui: Rig) -> None:
    async with ui.client() as client:
        answer = await client.get("/")
        again = await client.get("/", headers={"If-None-Match": answer.headers["etag"]})
        head = await client.head("/")

    assert (answer.status_code, answer.text) == (200, PAGE)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"] == POLICY
    assert (again.status_code, again.content) == (304, b"")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("br;q=0.0,gzip;q=0", None),
        ("identity", None),
        ("", None),
    ],
)
async def test_a_file_comes_in_the_smallest_form_that_is_taken(ui: Rig, accepted: str, coding: str | None) -> None:
    async with ui.client() as client:
        request = client.build_request(
            "GET", "/assets/index-B3x_9fQz.js", headers={"Accept-Encoding": accepted, "Accept": "*/*"}
        )
        answer = await client.send(request, stream=True)
        raw = b"".join([part async for part in answer.aiter_raw()])

    assert answer.headers.get("content-encoding") == coding
    assert (gzip.decompress(raw) if coding == "gzip" else raw) == (b"as brotli" if coding == "br" else SCRIPT)
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_each_form_has_an_etag_of_its_own(ui: Rig) -> None:
    async with ui.client() as client:
        tags = {
            coding: (await client.get("/assets/index-B3x_9fQz.js", headers={"Accept-Encoding": coding})).headers["etag"]
            for coding in ("gzip", "identity")
        }

    assert len(set(tags.values())) == 2


@pytest.mark.parametrize("path", ["/devices", "/devices/pump-0001", "/settings/certificates/"])
async def test_a_page_of_the_interface_is_its_index(ui: Rig, path: str) -> None:
    async with ui.client() as client:
        answer = await client.get(path, headers=BROWSER)

    assert (answer.status_code, answer.text) == (200, PAGE)


@pytest.mark.parametrize(
    "path",
    [
        "/api/nowhere",
        "/api",
        "/ws/x",
        "/assets/gone-00000000.js",
        "/missing.png",
        "/a%00b",
        "/.git/config",
    ],
)
async def test_what_is_no_page_is_not_found(ui: Rig, path: str) -> None:
    async with ui.client() as client:
        answer = await client.get(path, headers=BROWSER)

    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"


async def test_programs_are_told_that_there_is_nothing(ui: Rig) -> None:
    async with ui.client() as client:
        assert (await client.get("/devices")).status_code == 404
        assert (await client.post("/devices", headers=BROWSER)).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/leads-out.txt",
        "/.env",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%5c..%5csecret.txt",
        "/assets/",
        "/a%20b{c}.txt",
        "/assets/index-B3x_9fQz.js.gz",
    ],
)
async def test_nothing_but_the_files_of_the_folder_can_be_reached(ui: Rig, path: str) -> None:
    async with ui.client() as client:
        answer = await client.get(path)

    assert answer.status_code == 404
    assert "secret" not in answer.text.replace("secret.txt", "")


async def test_the_description_is_shown_by_the_page_that_was_built_for_it(folder: Path) -> None:
    async with make_rig(webui=folder).client() as client:
        assert "HUB_WEBUI_DIR" in (await client.get("/docs", headers=BROWSER)).text

    (folder / "docs").mkdir()
    (folder / "docs" / "index.html").write_text("the viewer")
    async with make_rig(webui=folder).client() as client:
        shown = await client.get("/docs", headers=BROWSER)
    assert (shown.status_code, shown.text) == (200, "the viewer")
    assert shown.headers["content-security-policy"] == POLICY


async def test_a_file_that_is_gone_since_the_start_is_told(ui: Rig, folder: Path) -> None:
    (folder / "favicon.svg").unlink()
    async with ui.client() as client:
        answer = await client.get("/favicon.svg")

    assert answer.status_code == 503
    assert "restart the gateway" in answer.json()["detail"]


async def test_the_interface_of_the_hub_stays_as_it_is(ui: Rig) -> None:
    async with ui.client() as client:
        assert (await client.get("/healthz", headers=BROWSER)).json() == {"status": "ok"}
        assert (await client.get("/api/devices", headers=BROWSER)).status_code == 401


async def test_a_folder_without_an_index_leaves_the_plain_page(tmp_path: Path) -> None:
    async with make_rig(webui=tmp_path).client() as client:
        assert "Device Hub is running" in (await client.get("/")).text
        assert (await client.get("/devices", headers=BROWSER)).status_code == 404
