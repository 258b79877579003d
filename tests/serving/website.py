"""The predictor's page: from a real predictor, or, for models that none would serve, from a server of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from predictor import predictor

from noria.ml.bundle import open_bundle
from noria.ml.signature import TrustedKeys
from serving import page
from serving.model import ServedModel, load_model


def load(folder: Path, home: Path, name: str = "") -> ServedModel:
    return load_model(open_bundle(folder, trusted=TrustedKeys(home / "keys" / "trusted")), name, 1, 8)


@contextmanager
def served_page(folder: Path, home: Path) -> Iterator[str]:
    """A predictor of the bundle, and the address of its page."""
    with predictor(["--bundle", folder], home) as running:
        yield str(running.client.base_url)


@contextmanager
def lone_page(models: Sequence[ServedModel]) -> Iterator[str]:
    """The address of a page of these models that nobody answers for."""
    body = page.render(models[0], models[1:])
    headers = (*page.HEADERS, (b"content-type", page.CONTENT_TYPE), (b"content-length", b"%d" % len(body)))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers:
                self.send_header(name.decode(), value.decode())
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
