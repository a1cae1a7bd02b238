"""Certificates for tests, made by openssl: a CA, what it signs, what it revokes, and strangers."""

import subprocess
from pathlib import Path

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
PAST = ("-not_before", "20200101000000Z", "-not_after", "20210101000000Z")


class Authority:
    """A certificate authority in a folder; each certificate is `<name>.crt` with its key `<name>.key`."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder, self.name = folder, name
        self._revoked: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.cnf").write_text(
            "[ca]\ndefault_ca = own\n[own]\n"
            f"database = {folder}/{name}.db\nserial = {folder}/{name}.srl\nnew_certs_dir = {folder}\n"
            f"certificate = {folder}/{name}.crt\nprivate_key = {folder}/{name}.key\n"
            "default_md = sha256\ndefault_days = 2\ndefault_crl_days = 2\npolicy = any\nunique_subject = no\n"
            "[any]\ncommonName = supplied\n"
        )
        (folder / f"{name}.db").touch()
        (folder / f"{name}.srl").write_text("01\n")
        self._openssl("req", "-x509", *EC, "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                      "-out", f"{name}.crt")  # fmt: skip

    @property
    def certificate(self) -> str:
        return str(self.folder / f"{self.name}.crt")

    def issue(self, name: str, *, san: str = "", validity: tuple[str, ...] = (), days: int = 2) -> None:
        """Make a certificate with the common name `name`, and the given subjectAltName."""
        self._openssl("req", *EC, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (self.folder / "ext").write_text(f"subjectAltName={san}\n" if san else "basicConstraints=CA:FALSE\n")
        dates = [
            word.replace("-not_before", "-startdate").replace("-not_after", "-enddate") for word in validity
        ]
        self._openssl("ca", "-config", f"{self.name}.cnf", "-batch", "-notext", "-in", f"{name}.csr", "-extfile",
                      "ext", *(dates or ("-days", str(days))), "-out", f"{name}.crt")  # fmt: skip

    def revoke(self, *names: str) -> str:
        """Revoke certificates; return the path of the revocation list."""
        for name in set(names) - self._revoked:
            self._revoked.add(name)
            self._openssl("ca", "-config", f"{self.name}.cnf", "-revoke", f"{name}.crt")
        self._openssl("ca", "-config", f"{self.name}.cnf", "-gencrl", "-out", f"{self.name}.crl")
        return str(self.folder / f"{self.name}.crl")

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def node_tables(authority: Authority, name: str = "server", **more) -> dict:
    """Return the [tls] table of a node with a certificate of an authority, which it trusts for its clients."""
    files = {"cert": str(authority.folder / f"{name}.crt"), "key": str(authority.folder / f"{name}.key")}
    return {"tls": {"enabled": True, "ca": authority.certificate} | files | more}
