"""Calls the REST API encrypted by a published PyPI package, unmodified: `pyhpke` or `tink`.

`encrypted.py keys FOLDER` makes the caller's own keys for both: `private.hex` and `public.hex`,
`private.json` and `public.json`.

`encrypted.py LIBRARY FOLDER KEY`, where KEY is the server's public key in hexadecimal digits or as a
keyset: reads one JSON array a line from standard input (method, path, body or null, whether the body
is encrypted, whether the answer is to be) and prints status, type and body of each answer, one JSON
array a line. Environment: URL, ACCOUNT, PASSCODE, SSL_CERT_FILE.
"""

import json
import os
import pathlib
import sys
import urllib.error
import urllib.request

import tink
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey
from tink import hybrid, json_proto_keyset_format, secret_key_access

KIND = "application/octet-stream+hpke"


def make_keys(folder):
    own = X25519PrivateKey.generate()
    (folder / "private.hex").write_text(own.private_bytes_raw().hex())
    (folder / "public.hex").write_text(own.public_key().public_bytes_raw().hex())
    template = hybrid.hybrid_key_templates.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM
    own = tink.new_keyset_handle(template)
    public = json_proto_keyset_format.serialize_without_secret(own.public_keyset_handle())
    (folder / "public.json").write_text(public)
    private = json_proto_keyset_format.serialize(own, secret_key_access.TOKEN)
    (folder / "private.json").write_text(private)


class Pyhpke:
    def __init__(self, folder, key):
        self.suite = CipherSuite.new(
            KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM
        )
        server = X25519PublicKey.from_public_bytes(bytes.fromhex(key))
        self.server = KEMKey.from_pyca_cryptography_key(server)
        own = bytes.fromhex((folder / "private.hex").read_text())
        self.own = KEMKey.from_pyca_cryptography_key(X25519PrivateKey.from_private_bytes(own))

    def seal(self, text):
        enc, sender = self.suite.create_sender_context(self.server)
        return enc + sender.seal(text)

    def open(self, message):
        return self.suite.create_recipient_context(message[:32], self.own).open(message[32:])


class Tink:
    def __init__(self, folder, key):
        server = json_proto_keyset_format.parse_without_secret(key)
        self.server = server.primitive(hybrid.HybridEncrypt)
        own = (folder / "private.json").read_text()
        own = json_proto_keyset_format.parse(own, secret_key_access.TOKEN)
        self.own = own.primitive(hybrid.HybridDecrypt)

    def seal(self, text):
        return self.server.encrypt(text, b"")

    def open(self, message):
        return self.own.decrypt(message, b"")


def send(library, method, path, body, is_encrypted, wants_encrypted):
    request = urllib.request.Request(os.environ["URL"] + path, method=method)
    request.add_header("X-CleverTap-Account-Id", os.environ["ACCOUNT"])
    request.add_header("X-CleverTap-Passcode", os.environ["PASSCODE"])
    request.add_header("Content-Type", KIND if is_encrypted else "application/json")
    request.add_header("Accept", KIND if wants_encrypted else "application/json")
    if body is not None:
        request.data = library.seal(body.encode()) if is_encrypted else body.encode()
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    kind, said = answer.headers["Content-Type"], answer.read()
    text = library.open(said) if kind == KIND else said
    return [answer.status, kind, text.decode()]


hybrid.register()
what, folder = sys.argv[1], pathlib.Path(sys.argv[2])
if what == "keys":
    make_keys(folder)
else:
    library = {"pyhpke": Pyhpke, "tink": Tink}[what](folder, sys.argv[3])
    for line in sys.stdin:
        print(json.dumps(send(library, *json.loads(line))), flush=True)
