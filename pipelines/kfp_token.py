"""KFP token: the one in a file, read at each question, so that one which is renewed there counts from then on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kfp.client.token_credentials_base import TokenCredentialsBase

from noria.errors import UsageError


class TokenFile(TokenCredentialsBase):  # type: ignore[misc]  # kfp has no types
    """UsageError where the file cannot be read or holds none; what it holds is never told."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def refresh_api_key_hook(self, config: Any) -> None:
        """Called by the client for each question."""
        try:
            token = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"NORIA_KFP_TOKEN_FILE names {self._path}, which cannot be read ({error})") from error
        if not token or any(sign.isspace() for sign in token):
            raise UsageError(f"NORIA_KFP_TOKEN_FILE names {self._path}, which holds no token: expected one line")
        config.api_key["authorization"] = token
