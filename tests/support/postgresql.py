"""A PostgreSQL server of one's own: made in a temporary folder, stopped by its process.

The server refuses to run as root, so that root's tests run it as an account that may do nothing.
"""

from __future__ import annotations

import getpass
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

READY_S = 60.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
}


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`; None where PostgreSQL is not installed."""
    candidates = []
    if asked := shutil.which("pg_config"):
        found = subprocess.run([asked, "--bindir"], capture_output=True, text=True, check=False)
        candidates.append(Path(found.stdout.strip()))
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if on_path := shutil.which("postgres"):
        candidates.append(Path(on_path).resolve().parent)
    for folder in candidates:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    return None


class PostgreSQL:
    """One server on a free port of loopback, with a password."""

    def __init__(self, folder: Path) -> None:
        self._binaries = folder
        self._as: dict[str, Any] = {}
        # Not below pytest's folders, which only their owner may enter.
        self._home = Path(tempfile.mkdtemp(prefix="openaudiohook-postgresql-"))
        if os.geteuid() == 0:
            account = unprivileged()
            os.chown(self._home, account.pw_uid, account.pw_gid)
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self.password = secrets.token_urlsafe(12)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        given = self._home / "password"
        given.write_text(self.password, encoding="utf-8")
        given.chmod(0o644)
        self._run(
            "initdb", "--username=tester", f"--pwfile={given}", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C", "--no-sync", f"--pgdata={self._home / 'data'}",
        )  # fmt: skip
        given.unlink()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://tester:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Run the server; return when it answers."""
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        log = (self._home / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [
                    self._binaries / "postgres", "-D", self._home / "data",
                    f"--port={self.port}", f"--unix_socket_directories={self._home}", *settings,
                ],
                stdout=log,
                stderr=log,
                cwd=self._home,
                **self._as,
            )  # fmt: skip
        give_up_at = time.monotonic() + READY_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError((self._home / "log").read_text(errors="replace"))
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server at once: who is connected is cut off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(READY_S)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _is_ready(self) -> bool:
        asked = subprocess.run(
            [self._binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
            check=False,
        )
        return asked.returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._home,
            **self._as,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stderr}")


def unprivileged() -> pwd.struct_passwd:
    """An account that is there and is not root's."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError(f"{getpass.getuser()} finds no account to run PostgreSQL as")
