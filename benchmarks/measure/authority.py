"""A certificate authority for the peers: P-256 keys, made with openssl, as their users would."""

from __future__ import annotations

import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

CURVE = "prime256v1"
SERVER_EXTENSIONS = "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n"
CLIENT_EXTENSIONS = "extendedKeyUsage=clientAuth\n"


class Authority:
    """Keys and certificates in a folder: ``ca``, ``server``, and whichever clients are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl("ecparam", "-name", CURVE, "-genkey", "-noout", "-out", "ca.key")
        self._openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=ca", "-days", "2", "-out", "ca.crt")
        self.issue("server", SERVER_EXTENSIONS)

    def issue(self, name: str, extensions: str = CLIENT_EXTENSIONS) -> None:
        """Make ``name.key`` and ``name.crt``."""
        (self.folder / f"{name}.ext").write_text(extensions)
        self._openssl("ecparam", "-name", CURVE, "-genkey", "-noout", "-out", f"{name}.key")
        self._openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt"),
        )

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)
