"""A real SSH server on the loopback with keys of its own: sshd where there is one, else asyncssh's."""

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class Server:
    """Serves `far`, as a configuration of ssh that only the test uses knows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        public = (folder / "host.pub").read_text()
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {public}")
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        (folder / "authorized").chmod(0o600)
        lines = ["Host far", "HostName 127.0.0.1", f"Port {self.port}", f"User {getpass.getuser()}"]
        lines += [f"IdentityFile {folder / 'user'}", "IdentitiesOnly yes", "StrictHostKeyChecking yes"]
        lines += [
            f"UserKnownHostsFile {folder / 'known'}",
            "GlobalKnownHostsFile /dev/null",
            "IdentityAgent none",
            "BatchMode yes",
        ]
        (folder / "config").write_text("\n".join(lines) + "\n")
        self.ssh = f"ssh -F {folder / 'config'}"
        """What COCKPIT_SSH should say."""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve, and wait until somebody answers."""
        self._process = subprocess.Popen(self._sshd() if SSHD else [sys.executable, __file__, self.folder, str(self.port)])
        until = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < until and self._process.poll() is None, "the SSH server does not come up"
            time.sleep(0.05)

    def _sshd(self) -> list[str]:
        f = self.folder
        lines = [f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {f / 'host'}", "StrictModes no", "PidFile none"]
        lines += [f"AuthorizedKeysFile {f / 'authorized'}", "PasswordAuthentication no", "PermitRootLogin yes"]
        (f / "sshd").write_text("\n".join(lines) + "\n")
        assert SSHD
        return [SSHD, "-D", "-e", "-f", str(f / "sshd")]

    def stop(self) -> None:
        """Die with every connection, as in a power cut."""
        if self._process:
            if SSHD:  # it serves each connection from a child
                import psutil

                for child in psutil.Process(self._process.pid).children(recursive=True):
                    child.kill()
            self._process.kill()
            self._process.wait()
            self._process = None


async def pump(source: Any, sink: Any) -> None:
    """Hand bytes on until either end is gone."""
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close() if isinstance(sink, asyncio.StreamWriter) else None


async def serve(folder: Path, port: int) -> None:
    import asyncssh

    async def run(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_shell(process.command or "", stdin=pipe, stdout=pipe, stderr=pipe)
        inward = asyncio.create_task(pump(process.stdin, child.stdin))
        await asyncio.gather(pump(child.stdout, process.stdout), pump(child.stderr, process.stderr))
        process.exit(await child.wait())
        inward.cancel()

    keys, authorized = [str(folder / "host")], str(folder / "authorized")
    await asyncssh.listen(
        "127.0.0.1", port, server_host_keys=keys, authorized_client_keys=authorized, process_factory=run, encoding=None
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
