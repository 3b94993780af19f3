"""A broker with a listener that wants TLS and a login, and the certificates for it, made on the spot."""

import subprocess

from broker import Cluster
from process import free_port

USER, PASSWORD = "job", "s3cret-of-the-job"


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_authority(folder, name):
    """A certificate authority of our own: (certificate, key)."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-keyout", key, "-out", certificate)
    return certificate, key


def make_certificate(folder, name, authority):
    """Signed by the authority for 127.0.0.1: one PEM file with key and chain."""
    certificate, key = authority
    request, signed, own_key = (folder / f"{name}.{end}" for end in ("csr", "crt", "own.key"))
    extensions = folder / f"{name}.ext"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", own_key,
             "-out", request)
    _openssl("x509", "-req", "-in", request, "-CA", certificate, "-CAkey", key, "-CAcreateserial",
             "-days", "2", "-extfile", extensions, "-out", signed)
    whole = folder / f"{name}.keystore.pem"
    whole.write_text(own_key.read_text() + signed.read_text() + certificate.read_text())
    return whole


class SecureCluster(Cluster):
    """`secure_address` speaks SASL_SSL only; the tests' own clients use the open listener."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        authority = make_authority(folder, "authority")
        self.ca = authority[0]
        self.foreign_ca = make_authority(folder, "stranger")[0]
        keystore = make_certificate(folder, "broker", authority)
        port = free_port()
        self.secure_address = f"127.0.0.1:{port}"
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
        super().__init__(folder / "kafka")
        node = self.nodes[0]
        node.extra = {
            "listeners": f"DIRECT://127.0.0.1:{node.direct_port},SECURE://{self.secure_address},"
                         f"CONTROLLER://127.0.0.1:{node.controller_port}",
            "advertised.listeners": f"DIRECT://127.0.0.1:{node.direct_port},"
                                    f"SECURE://{self.secure_address}",
            "listener.security.protocol.map":
                "DIRECT:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT",
            "listener.name.secure.ssl.keystore.type": "PEM",
            "listener.name.secure.ssl.keystore.location": keystore,
            "listener.name.secure.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.secure.plain.sasl.jaas.config":
                f'{plain} required user_{USER}="{PASSWORD}";',
        }
