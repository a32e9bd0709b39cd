"""Opens pages in headless Chromium and asks what became of them.

The DevTools protocol over `--remote-debugging-pipe` (file descriptors 3 and 4, messages ended by a zero byte): no
port, no WebSocket, no driver program, and the browser ends with its pipe.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

#: No screen, no sandbox (root), and nothing that looks for the Internet.
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --remote-debugging-pipe"
)


class ChromiumError(Exception):
    """The browser refused a command."""


@attrs.define(slots=True, eq=False)
class Chromium:
    """One page of a browser; `complaints` is what it logged as error or warning since `open`."""

    _stdin: trio.lowlevel.FdStream
    _stdout: trio.lowlevel.FdStream
    _session: str | None = None
    _last_id: int = 0
    _buffer: bytes = b""
    complaints: list[str] = attrs.Factory(list)
    _events: list[tuple[str, dict[str, Any]]] = attrs.Factory(list)

    async def open(self, url: str, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Load a page into a window of that size; returns when it is loaded."""
        if self._session is None:
            target = await self.call("Target.createTarget", url="about:blank")
            attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                await self.call(f"{domain}.enable")
        self.complaints.clear()
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        self._events.clear()
        await self.call("Page.navigate", url=url)
        await self._wait("Page.loadEventFired")

    async def evaluate(self, script: str) -> Any:
        """The JSON-ready value of an expression; ChromiumError if it throws."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise ChromiumError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def download(self, click: str, folder: Path) -> Path:
        """The file that comes of an expression which clicks on something."""
        await self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), eventsEnabled=True)
        self._events.clear()
        await self.evaluate(click)
        name = (await self._wait("Browser.downloadWillBegin"))["suggestedFilename"]
        await self._wait("Browser.downloadProgress", state="completed")
        return folder / name

    async def screenshot(self, path: Path) -> None:
        """The whole page."""
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        await trio.Path(path).write_bytes(base64.b64decode(answer["data"]))

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        await self._stdin.send_all(json.dumps(message).encode() + b"\0")
        while True:
            answer = await self._message()
            if answer.get("id") == self._last_id:
                if "error" in answer:
                    raise ChromiumError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self._heard(answer)

    async def _wait(self, method: str, **params: Any) -> dict[str, Any]:
        """For an event since `_events` was cleared, with these parameters."""
        while True:
            for name, found in self._events:
                if name == method and params.items() <= found.items():
                    return found
            self._heard(await self._message())

    def _heard(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        self._events.append((message.get("method", ""), params))
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Network.requestWillBeSent" if not params["request"]["url"].startswith(("file:", "data:", "blob:")):
                self.complaints.append(f"asked the network for {params['request']['url']}")

    async def _message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            received = await self._stdout.receive_some()
            if not received:
                raise ChromiumError("the browser ended")
            self._buffer += received
        text, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(text))


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Chromium]:
    """A browser with a new profile in `folder`; it ends with the block."""
    from_us, to_us = os.pipe(), os.pipe()
    # Away from 3 and 4, where the shell puts them.
    theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (from_us[0], to_us[1])]
    os.close(from_us[0])
    os.close(to_us[1])
    line = f'exec chromium {_FLAGS} --user-data-dir="$0" 3<&{theirs[0]} 4>&{theirs[1]} 2>"$0/stderr"'
    await trio.Path(folder).mkdir(exist_ok=True)
    process = await trio.lowlevel.open_process(["bash", "-c", line, str(folder)], pass_fds=theirs)
    for fd in theirs:
        os.close(fd)
    async with trio.lowlevel.FdStream(from_us[1]) as stdin, trio.lowlevel.FdStream(to_us[0]) as stdout:
        try:
            yield Chromium(stdin, stdout)
        finally:
            with trio.CancelScope(shield=True):
                process.terminate()
                await process.wait()
