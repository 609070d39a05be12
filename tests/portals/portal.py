"""A portal for tests: the real server as a process on a free port, with a small catalogue, keys and accounts."""

import contextlib
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
from started import PROGRAM, Started
from story import HEAD_OFFICE, HOSPITAL_A, HOSPITAL_B, MAKER, PHARMACY_P, PHARMACY_Q, REGULATOR, catalogue

from suyuan.catalogue.content import Content
from suyuan.node import Node

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = re.compile(r"serving (http://\S+)/")

AGENCY, INSPECTOR = "A44000000001", "S44000000001"
FAR_INSPECTOR = "S11000000001"
"""An inspector of Beijing, who sees nothing of Guangdong's own."""

KEYS = (HOSPITAL_A, HOSPITAL_B, PHARMACY_P, PHARMACY_Q, MAKER, REGULATOR, HEAD_OFFICE, AGENCY, INSPECTOR, FAR_INSPECTOR)


def content() -> Content:
    """The field of `tests.story`, with an agency and inspectors of two provinces."""
    from suyuan.catalogue.parties import Party  # noqa: PLC0415  the catalogue is a value of the test

    field = catalogue()
    field.parties += [
        Party(AGENCY, name="示例医保中心", kind="agency", region="440000"),
        Party(INSPECTOR, name="示例监管处", kind="inspector", region="440000"),
        Party(FAR_INSPECTOR, name="示例外地监管处", kind="inspector", region="110000"),
    ]
    return field


class Portal:
    """A node's folder and the server on it. `kill` and `start` again leave the folder as it is."""

    def __init__(
        self,
        folder: Path,
        settings: str = 'policy = "strict"\nblock_cache_mb = 16\n',
        *,
        database: str = "",
        workers: int = 1,
    ) -> None:
        if database:
            settings += f'database = "{database}"\nworkers = {workers}\n'
        self.folder = folder
        self.database = database
        self.keys: dict[str, str] = {}
        """Party → bearer key."""
        self.address = ""
        self.port = 0
        """Chosen at the first start and kept, so that clients find the server again."""
        self._process: Started | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "suyuan.toml").write_text(settings, encoding="utf-8")
        with Node.open(folder) as node:
            node.tables.save_catalogue(content())
            for party in KEYS:
                issued = node.tables.create_credential(party)
                self.keys[party] = f"{issued.id}.{issued.secret}"

    def start(self, *arguments: str) -> Self:
        """Start the server and wait until it says where it listens."""
        self.log = (self.folder.parent / f"{self.folder.name}.log").open("a", encoding="utf-8")
        place = ("--dir", self.folder, "--port", self.port)
        self._process = Started(PROGRAM, "serve", *place, *arguments, log=self.log)
        line = self._process.stdout.readline()
        found = ADDRESS.search(line)
        assert found, f"the server did not start: {line!r}; {self.logged()}"
        self.address = found[1]
        self.port = int(self.address.rpartition(":")[2])
        self._wait_ready()
        return self

    def _wait_ready(self) -> None:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.address}/readyz").status_code == httpx.codes.OK:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the server never became ready: {self.logged()}")

    def logged(self) -> str:
        """What the server wrote to standard error."""
        return Path(self.log.name).read_text(encoding="utf-8")

    def client(self, party: str = "", **options: Any) -> httpx.Client:
        """A client of this server; with the key of a party, or as a citizen."""
        headers = {"authorization": f"Bearer {self.keys[party]}"} if party else {}
        headers |= options.pop("headers", {})
        return httpx.Client(base_url=self.address, headers=headers, timeout=30, **options)

    def workers(self) -> list[int]:
        """Process ids of the server processes that a parent has started."""
        assert self._process is not None, "start the server first"
        found = []
        for child in psutil.Process(self._process.pid).children():
            with contextlib.suppress(psutil.Error):  # it has just died
                found += [child.pid] if "suyuan.portals.worker" in child.cmdline() else []
        return sorted(found)

    def kill(self) -> None:
        """SIGKILL, as when the power goes."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: what was begun is finished."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        self.log.close()

    def node(self) -> Node:
        """The stopped node's folder, opened in this process."""
        assert self._process is None, "stop the server first"
        return Node.open(self.folder)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def eventually(question: Any, seconds: float = 10.0) -> Any:
    """The first true answer to a question asked again and again: lists follow the journal a moment later."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer or time.monotonic() > end:
            assert answer, "it never came true"
            return answer
        time.sleep(0.02)


CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """A real headless Chromium (Playwright), Debian's own build; more flags for a camera and the like."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  only tests of pages pay for it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags], chromium_sandbox=False)
        try:
            yield browser
        finally:
            browser.close()


def beside(portal: Portal, folder: Path) -> Portal:
    """Another host that serves the same database: a folder of its own with the same secrets and settings."""
    folder.mkdir(parents=True)
    for name in ("secrets.json", "suyuan.toml"):
        shutil.copy(portal.folder / name, folder / name)
    other = Portal.__new__(Portal)
    other.folder, other.database, other.keys = folder, portal.database, portal.keys
    other.address, other.port, other._process = "", 0, None
    return other


class Visit:
    """A page with a record of what must not happen: console errors, failed scripts, requests to another host."""

    def __init__(self, browser: Any, portal: Portal, **context: Any) -> None:
        options = {"viewport": {"width": 375, "height": 740}, "locale": "zh-CN", **context}
        self.portal = portal
        self.context = browser.new_context(base_url=portal.address, **options)
        self.context.set_default_timeout(15_000)
        self.faults: list[str] = []
        self.page = self.open()

    def open(self) -> Any:
        """One more tab."""
        page = self.context.new_page()
        page.on("console", lambda message: self._note(message) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("request", self._look)
        return page

    def _note(self, message: Any) -> None:
        self.faults.append(f"console: {message.text}")

    def _look(self, request: Any) -> None:
        if not request.url.startswith((self.portal.address, "data:", "blob:")):
            self.faults.append(f"another host: {request.url}")

    def sign_in(self, name: str, password: str) -> None:
        """Through the sign-in page, as a person does."""
        self.page.goto("/sign-in")
        self.page.fill("input[name=name]", name)
        self.page.fill("input[name=password]", password)
        self.page.click("button[type=submit]")

    def check(self) -> None:
        """Nothing happened that must not."""
        assert not self.faults, "\n".join(self.faults)


def axe(page: Any) -> list[str]:
    """Violations of WCAG 2 A and AA that axe-core finds on the page as it stands."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  only tests of pages pay for it

    # The page's own policy forbids inline scripts, which is how axe would come in: it is evaluated instead.
    results = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}).response
    return [f"{one['id']}: {node['html'][:200]}" for one in results["violations"] for node in one["nodes"]]
