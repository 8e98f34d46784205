"""A certificate authority made for one test run, and a certificate signed by it: a good one, or one with a flaw."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """The files in PEM: the authority's certificate (for `SSL_CERT_FILE`), the server's, and the server's key."""

    authority: Path
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


def make_authority(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    days: tuple[float, float] = (-0.05, 1),
    self_signed: bool = False,
) -> Authority:
    """Write a new authority and a server certificate into the folder.

    Args:
        folder: where to.
        host: the address, or the name, of which the certificate is; it is one of localhost beside 127.0.0.1.
        days: from when and until when it is valid, counted from now.
        self_signed: sign it by its own key, whatever the authority.
    """
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "roco_async tests")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    local = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    names = x509.SubjectAlternativeName(local if host == "127.0.0.1" else [x509.DNSName(host)])
    own_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())

    def certificate(
        name: x509.Name, key: ec.EllipticCurvePrivateKey, days: tuple[float, float], signer: x509.Name = issuer
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(signer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
        )

    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    root = certificate(issuer, authority_key, (-9, 9)).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    root = root.add_extension(usage, critical=True).add_extension(own_id, critical=False)
    signer, signing_key = (subject, server_key) if self_signed else (issuer, authority_key)
    server = certificate(subject, server_key, days, signer).add_extension(names, critical=False)
    server = server.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
    )
    made = Authority(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    pem = serialization.Encoding.PEM
    made.authority.write_bytes(root.sign(authority_key, hashes.SHA256()).public_bytes(pem))
    made.certificate.write_bytes(server.sign(signing_key, hashes.SHA256()).public_bytes(pem))
    made.key.write_bytes(server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return made
