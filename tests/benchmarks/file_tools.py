"""What people would take instead of this: libtorrent, scp, the rsync daemon, http.server with curl.

Each `*_fetch` starts its servers, fetches once, ends all of them, and returns what it took. Names of what is missing
are raised: a comparison that leaves somebody out silently is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import Run, rounded

MODULE = "tests.benchmarks.file_tools"
LOOPBACK = "127.0.0.1"
#: Longest that a server may take to listen, and that one transfer may take.
START_S = 20.0
FETCH_S = 600.0
#: Of the torrents: what research on libtorrent took, and what it chooses itself for files of this size.
PIECE_BYTES = 1 << 20


def need(*tools: str) -> None:
    """Raises unless all of them are installed."""
    missing = [tool for tool in tools if not _which(tool)]
    if missing:
        raise RuntimeError(f"not installed: {', '.join(missing)}")


def _which(tool: str) -> str | None:
    return shutil.which(tool) or shutil.which(tool, path="/usr/sbin")


def make_data(path: Path, size: int) -> None:
    """Bytes that no link and no disk can shrink."""
    with path.open("wb") as file:
        while size:
            size -= file.write(os.urandom(min(size, 1 << 24)))


def digest(path: Path) -> str:
    """Of the bytes of a file, or of the names and bytes of all files of a folder."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return hashlib.blake2b(repr([(str(file.relative_to(path)), digest(file)) for file in files]).encode()).hexdigest()


def check_same(source: Path, *copies: Path) -> None:
    wanted = digest(source)
    for copy in copies:
        if digest(copy) != wanted:
            raise RuntimeError(f"{copy.name} is not what was sent")


def children_cpu_s() -> float:
    """Of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def _server(line: Sequence[str], port: int, *, cwd: Path | None = None) -> Iterator[None]:
    process = subprocess.Popen(line, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{line[0]} does not listen")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(START_S)


def _fetch(line: Sequence[str], size: int) -> Run:
    began = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, timeout=FETCH_S, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{line[0]} ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return {"seconds": rounded(took, 4), "mib_s": rounded(size / took / 2**20)}


def _whole(serve_and_fetch: Callable[[], Run], size: int) -> Run:
    before = children_cpu_s()
    run = serve_and_fetch()
    return run | {"cpu_s_per_gib": rounded((children_cpu_s() - before) * 2**30 / size)}


def http_fetch(source: Path, into: Path) -> Run:
    """http.server and curl to the disk: nothing is sealed, nothing is verified."""
    need("curl")
    size, port = source.stat().st_size, _free_port()

    def run() -> Run:
        server = [sys.executable, "-m", "http.server", str(port), "--bind", LOOPBACK, "--directory", str(source.parent)]
        with _server(server, port):
            copy = into / source.name
            return _fetch(["curl", "-sS", "-f", "-o", str(copy), f"http://{LOOPBACK}:{port}/{source.name}"], size)

    return _whole(run, size)


def rsync_fetch(source: Path, into: Path) -> Run:
    """The rsync daemon: in the clear, a checksum of the whole file."""
    need("rsync")
    size, port = source.stat().st_size, _free_port()
    config = into / "rsyncd.conf"
    user = f"uid = {os.getuid()}\ngid = {os.getgid()}\n" if os.getuid() == 0 else ""  # by itself it becomes nobody
    config.write_text(f"use chroot = no\nlog file = /dev/null\n{user}[data]\npath = {source.parent}\nread only = yes\n")

    def run() -> Run:
        line = ["rsync", "--daemon", "--no-detach", f"--address={LOOPBACK}", f"--port={port}", f"--config={config}"]
        with _server(line, port):
            return _fetch(["rsync", f"rsync://{LOOPBACK}:{port}/data/{source.name}", str(into / source.name)], size)

    return _whole(run, size)


def scp_fetch(source: Path, into: Path, cipher: str = "") -> Run:
    """OpenSSH: sealed. `cipher` as for its option -c; "" is what it takes by itself."""
    need("scp", "ssh-keygen", "sshd")
    size, port = source.stat().st_size, _free_port()
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # sshd's own rule: privilege separation
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(into / name)], check=True)
    options = {
        "Port": str(port), "ListenAddress": LOOPBACK, "HostKey": str(into / "host"), "PidFile": "none",
        "AuthorizedKeysFile": str(into / "user.pub"), "StrictModes": "no", "UsePAM": "no",
        "Subsystem": "sftp internal-sftp", "PermitRootLogin": "yes",
    }  # fmt: skip
    given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    known = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]

    def run() -> Run:
        with _server([_which("sshd") or "sshd", "-D", "-f", "/dev/null", *given], port):
            line = ["scp", "-q", "-P", str(port), "-i", str(into / "user"), *known, *(["-c", cipher] if cipher else [])]
            return _fetch([*line, f"{LOOPBACK}:{source}", str(into / source.name)], size)

    return _whole(run, size)


# --- libtorrent ---------------------------------------------------------------------------


def lt_fetch(source: Path, into: Path, *, seeds: int = 1, leechers: int = 1) -> Run:
    """libtorrent, v2, in the clear, in processes of their own that know each other. `source`: a file or a folder."""
    size = size_of(source)
    torrent = into / "share.torrent"
    before = children_cpu_s()
    began = time.perf_counter()
    torrent.write_bytes(_make_torrent(source))
    hashed = time.perf_counter() - began
    with contextlib.ExitStack() as stack:
        ports = [_lt_start(stack, "seed", torrent, source.parent, [])[1] for _ in range(seeds)]
        folders = [into / f"leech{number}" for number in range(leechers)]
        processes = []
        for folder in folders:
            folder.mkdir()
            process, port = _lt_start(stack, "leech", torrent, folder, ports)
            processes.append(process)
            ports.append(port)
        began = time.perf_counter()
        for process in processes:
            _say(process, ports)
        runs = [json.loads(_line_of(process)) for process in processes]
        took = time.perf_counter() - began
    check_same(source, *(folder / source.name for folder in folders))
    return {
        "seconds": rounded(took, 4), "mib_s": rounded(size * leechers / took / 2**20), "hash_s": rounded(hashed),
        "cpu_s_per_gib": rounded((children_cpu_s() - before) * 2**30 / size / leechers),
        "leecher_peak_mb": max(run["peak_mb"] for run in runs),
    }  # fmt: skip


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _make_torrent(source: Path) -> bytes:
    import libtorrent as lt

    files = lt.list_files(str(source))
    made = lt.create_torrent(files, PIECE_BYTES, lt.create_torrent.v2_only)
    lt.set_piece_hashes(made, str(source.parent))
    return bytes(lt.bencode(made.generate()))


def _lt_start(
    stack: contextlib.ExitStack, role: str, torrent: Path, folder: Path, ports: list[int]
) -> tuple[subprocess.Popen[str], int]:
    line = [sys.executable, "-m", MODULE, role, str(torrent), str(folder)]
    process = stack.enter_context(subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    stack.callback(process.kill)
    return process, int(_line_of(process))


def _say(process: subprocess.Popen[str], ports: list[int]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(ports) + "\n")
    process.stdin.flush()


def _line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _lt_process(role: str, torrent: str, folder: str) -> None:
    import libtorrent as lt

    settings: dict[str, Any] = {
        "listen_interfaces": f"{LOOPBACK}:0", "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
        "enable_natpmp": False, "enable_incoming_utp": False, "enable_outgoing_utp": False,
        "allow_multiple_connections_per_ip": True,
        "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification
        | lt.alert.category_t.storage_notification,
    }  # fmt: skip
    session = lt.session(settings)
    given = lt.add_torrent_params()
    given.ti, given.save_path = lt.torrent_info(torrent), folder
    if role == "seed":
        given.flags |= lt.torrent_flags.seed_mode
    handle = session.add_torrent(given)
    print(session.listen_port(), flush=True)
    if role == "seed":
        sys.stdin.readline()
        return
    for port in json.loads(sys.stdin.readline()):
        if port != session.listen_port():
            handle.connect_peer((LOOPBACK, port))
    while not handle.status().is_seeding:  # its alerts come no sooner than its tick does
        session.wait_for_alert(20)
        session.pop_alerts()
    handle.flush_cache()  # it calls itself a seed before all is given to the system
    while not any(isinstance(alert, lt.cache_flushed_alert) for alert in session.pop_alerts()):
        session.wait_for_alert(20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": round(peak)}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    _lt_process(*sys.argv[1:4])
