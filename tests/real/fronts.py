"""nginx and tinyproxy before a server, as people run them; each for as long as a ``with`` block."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from .server import ROOT, free_port

CERTIFICATE = ROOT / "tests" / "data" / "tls" / "localhost.pem"

# TLS, a path, and the defaults of nginx: bodies up to 1 MiB, answers that
# are buffered. It says nothing to the app of its own host and scheme.
NGINX = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        location /sub/app/ {{
            proxy_pass {url}/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
    }}
}}
"""

TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 60
Allow 127.0.0.1
BasicAuth me s3cret-of-the-proxy
PidFile "{folder}/tinyproxy.pid"
LogFile "{folder}/tinyproxy.log"
LogLevel Connect
DisableViaHeader Yes
"""


@contextlib.contextmanager
def nginx(url: str) -> Generator[str]:
    """TLS and a path before *url*; gives its own address, on localhost."""
    with _running("nginx", NGINX, ["-e", "stderr", "-c"], url=url) as (port, _):
        yield f"https://localhost:{port}/sub/app/"


@contextlib.contextmanager
def tinyproxy() -> Generator[tuple[str, Path]]:
    """A proxy that wants a login; gives its address with it, and its log."""
    with _running("tinyproxy", TINYPROXY, ["-d", "-c"], url="") as (port, folder):
        yield f"http://me:s3cret-of-the-proxy@127.0.0.1:{port}", folder / "tinyproxy.log"


@contextlib.contextmanager
def _running(
    program: str, config: str, options: list[str], url: str
) -> Generator[tuple[int, Path]]:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"not run: there is no {program} on the PATH")
    with tempfile.TemporaryDirectory(prefix=f"real-{program}-") as name:
        folder, port = Path(name), free_port()
        user = "" if os.geteuid() else "user root;"  # its own user cannot write here
        written = folder / "config"
        written.write_text(
            config.format(folder=folder, port=port, url=url, certificate=CERTIFICATE, user=user)
        )
        with (folder / "printed").open("wb") as printed:
            process = subprocess.Popen(
                [found, *options, str(written)], stdout=printed, stderr=subprocess.STDOUT
            )
        try:
            for _ in range(500):
                assert process.poll() is None, (folder / "printed").read_text()
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            yield port, folder
        finally:
            process.terminate()
            process.wait(10)
