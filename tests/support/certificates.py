#!/usr/bin/python3
"""certificates.py DIRECTORY: a certificate authority of one's own, and certificates by it.

Files in DIRECTORY: ca.pem; site.pem and site.key (ECDSA P-256, for site.example and the service
addresses), backend.pem and backend.key (ECDSA, for backend.example and what else is asked for),
wild.pem and wild.key (RSA, for *.wild.example), other.pem and other.key (ECDSA,
site.example again, another serial number), alice and bob (for clients), site.ocsp, tickets.key. Needs the command openssl.
"""
import os
import subprocess
import sys

EC = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
RSA = ["rsa:2048"]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def authority(path):
    openssl("req", "-x509", "-newkey", *EC, "-nodes", "-days", "30", "-subj", "/CN=test authority",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign", "-keyout", path("ca.key"), "-out",
            path("ca.pem"))


def certificate(path, name, kind, names, usage="serverAuth"):
    with open(path(name + ".ext"), "w", encoding="ascii") as file:
        file.write(f"subjectAltName={','.join(names)}\nextendedKeyUsage={usage}\n")
    openssl("req", "-newkey", *kind, "-nodes", "-subj", f"/CN={name}", "-keyout",
            path(name + ".key"), "-out", path(name + ".csr"))
    openssl("x509", "-req", "-in", path(name + ".csr"), "-CA", path("ca.pem"), "-CAkey",
            path("ca.key"), "-CAcreateserial", "-days", "30", "-extfile", path(name + ".ext"),
            "-out", path(name + ".pem"))


def staple(path, name):
    """An OCSP response that says that the certificate is good."""
    serial = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", path(name + ".pem")],
                            check=True, stdout=subprocess.PIPE).stdout.decode().strip()
    with open(path("index.txt"), "w", encoding="ascii") as file:
        file.write(f"V\t491231235959Z\t\t{serial.split('=')[1]}\tunknown\t/CN={name}\n")
    openssl("ocsp", "-index", path("index.txt"), "-CA", path("ca.pem"), "-rsigner", path("ca.pem"),
            "-rkey", path("ca.key"), "-issuer", path("ca.pem"), "-cert", path(name + ".pem"),
            "-ndays", "30", "-respout", path(name + ".ocsp"))


def make(directory, addresses=(), backends=()):
    """Addresses are further names of site.pem and backend.pem, for who does not ask by name."""
    os.makedirs(directory, exist_ok=True)

    def path(name):
        return os.path.join(directory, name)
    authority(path)
    site = ["DNS:site.example"] + [f"IP:{address}" for address in addresses]
    certificate(path, "site", EC, site)
    certificate(path, "other", EC, site)
    certificate(path, "backend", EC,
                ["DNS:backend.example"] + [f"IP:{address}" for address in backends])
    certificate(path, "wild", RSA, ["DNS:*.wild.example"])
    for name in ("alice", "bob"):
        certificate(path, name, EC, [f"DNS:{name}.example"], usage="clientAuth")
    staple(path, "site")
    with open(path("tickets.key"), "wb") as file:
        file.write(os.urandom(80))


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2:])
