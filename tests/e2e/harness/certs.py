"""A certificate authority of our own and what it signs, made once a test process with the openssl program."""

import os

from . import place

_made = None


class Certs:
    """Paths of PEM files. `server`: the certificate of PostgreSQL, which a listener may share; `other`: another for the same
    names; `client_…`: for users by common name; `stray_…`: signed by an authority that nobody trusts."""

    def __init__(self, base):
        self.base = base
        self.ca = self._authority("ca")
        self.stray_ca = self._authority("strayca")
        self.server, self.server_key = self._leaf("server", "localhost", "ca", "DNS:localhost,IP:127.0.0.1,IP:::1")
        self.other, self.other_key = self._leaf("other", "localhost", "ca", "DNS:localhost,IP:127.0.0.1,IP:::1")
        self.wrong_name, self.wrong_name_key = self._leaf("wrongname", "elsewhere", "ca", "DNS:elsewhere.invalid")
        self.client, self.client_key = self._leaf("client", "u_cert", "ca")
        self.stray, self.stray_key = self._leaf("stray", "u_cert", "strayca")

    def path(self, name):
        return os.path.join(self.base, name)

    def _openssl(self, *arguments):
        place.run(["openssl", *arguments], cwd=self.base)

    def _authority(self, name):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign",  # Python 3.13 insists
                      "-subj", f"/CN=headgate test {name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")
        os.chmod(self.path(name + ".key"), 0o600)
        return self.path(name + ".crt")

    def _leaf(self, name, cn, ca, names=None):
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-subj", f"/CN={cn}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        with open(self.path(name + ".ext"), "w") as f:
            f.write(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-CAcreateserial",
                      "-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.crt")
        os.chmod(self.path(name + ".key"), 0o600)
        return self.path(name + ".crt"), self.path(name + ".key")


def certs():
    global _made
    if _made is None:
        _made = Certs(place.folder("certs"))
    return _made
