"""What each message proves, and what would go wrong without it: one sentence each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

CLIENT, SERVER = "client", "server"


@dataclass(frozen=True, slots=True)
class Meaning:
    """`proves` goes on after "Proves", `without` after "Without it".

    `see` are the numbers of the entries of docs/what-can-go-wrong.md about what fails here.
    """

    proves: str
    without: str
    see: tuple[int, ...] = ()


# The titles of those entries; a test compares them with the page.
ENTRIES: Final[Mapping[int, str]] = {
    1: "No certificate",
    2: "Another CA, the same names",
    4: "The issuing CA's certificate is not sent",
    5: "The client's certificate has expired",
    7: "A server's certificate, used by a client",
    12: "Plaintext",
    13: "An old TLS version",
    16: "A good certificate, and no right",
    19: "The certificate was revoked",
    21: "The server is of another CA",
    23: "The server does not send the issuing CA's certificate",
    24: "The server's certificate has expired",
    26: "A client's certificate, used by a server",
    27: "The wrong host name",
    35: "A server that speaks but old TLS",
    36: "A server without TLS",
    39: "The key of another certificate",
    56: "A resumed session outlives the certificate",
    62: "Nobody listens",
    67: "Everything works, and it is not mutual",
}

_NOTHING: Final = Meaning("nothing yet.", "the other side would wait in vain.")

_BOTH: Final[Mapping[str, Meaning]] = {
    "ClientHello": Meaning(
        "nothing yet: anybody can send one. It says what the client can do, and brings its half of "
        "a key exchange that is made for this connection alone.",
        "the two would not know which version and which ciphers both speak, and would have no "
        "secret that a wiretap lacks.",
        (12, 13, 62),
    ),
    "HelloRetryRequest": Meaning(
        "nothing. The server wants the key exchange in another group, and asks once more.",
        "client and server would not agree on a group, and the handshake would fail.",
    ),
    "ServerHello": Meaning(
        "nothing yet, but it completes the key exchange: from here on both have the same secret.",
        "there would be no shared secret, and everything after it, the certificates too, would "
        "travel in the clear.",
        (13, 35, 36),
    ),
    "EncryptedExtensions": Meaning(
        "that the server has computed the same secret: this is the first message under it.",
        "what is spoken inside (ALPN) would not be agreed, or a wiretap would read it.",
    ),
    "CertificateRequest": Meaning(
        "nothing; it makes this mutual: the server asks the client for a certificate.",
        "this would be TLS and not mutual TLS. The server would let in every client, without "
        "knowing who it is.",
        (67,),
    ),
    "ServerKeyExchange": Meaning(
        "that the holder of the server's private key sent this half of the key exchange: it is "
        "signed together with both random numbers.",
        "someone in the middle could put a half of its own there and read everything.",
    ),
    "ServerHelloDone": Meaning(
        "nothing. It says that the server has said its part.",
        "the client would not know that it is its turn.",
    ),
    "ClientKeyExchange": Meaning(
        "nothing yet, but it completes the key exchange: from here on both have the same secret.",
        "there would be no shared secret, and the data would travel in the clear.",
    ),
    "ChangeCipherSpec": Meaning(
        "nothing. In TLS 1.3 it is there for old middleboxes only; in TLS 1.2 it says that what "
        "the sender sends from here on is encrypted.",
        "some middleboxes cut a TLS 1.3 connection; in TLS 1.2 the other side would not know where "
        "encryption begins.",
    ),
    "NewSessionTicket": Meaning(
        "that the server has accepted the client: it comes after the client's Finished was read. "
        "With it a later connection can be resumed.",
        "nothing is lost but time: every connection verifies both certificates in full, which is "
        "what the gateway wants.",
        (56,),
    ),
    "KeyUpdate": Meaning(
        "nothing. The sender changes the key that it writes with.",
        "one key would encrypt more than it safely can.",
    ),
    "Alert": Meaning(
        "who ended this, and why, in one number. It is encrypted if its sender has keys to write "
        "with already, and then nobody else can have sent it.",
        "a refusal would look like an outage: a closed connection without a reason.",
        (1, 2, 5, 7, 19),
    ),
}

_BY_SENDER: Final[Mapping[tuple[str, str], Meaning]] = {
    ("Certificate", SERVER): Meaning(
        "nothing by itself, for a certificate is public. It says: the CA vouches that this public "
        "key belongs to this name.",
        "the client would not know with which key the server has to sign, nor whom it talks to.",
        (21, 23, 24, 26, 27),
    ),
    ("Certificate", CLIENT): Meaning(
        "nothing by itself, for a certificate is public. It says: the CA vouches that this public "
        "key belongs to this identity.",
        "the server would not know who calls, and would answer with the alert "
        "certificate_required.",
        (1, 2, 4, 5, 7, 19),
    ),
    ("CertificateVerify", SERVER): Meaning(
        "that the server holds the private key of the certificate that it just sent: it signs the "
        "whole conversation so far.",
        "a copied certificate, which is public, would be enough to pose as this server.",
        (21, 39),
    ),
    ("CertificateVerify", CLIENT): Meaning(
        "that the client holds the private key of the certificate that it just sent: it signs the "
        "whole conversation so far.",
        "a copied certificate, which is public, would be enough to pose as this client.",
        (2, 39),
    ),
    ("Finished", SERVER): Meaning(
        "that nobody changed a message on the way: it is a keyed hash of all of them, under the "
        "shared secret.",
        "someone in the middle could cross out the better ciphers, and neither side would notice.",
    ),
    ("Finished", CLIENT): Meaning(
        "that the client has seen the same messages as the server, and has the same secret.",
        "the server could not tell whether its own messages arrived unchanged.",
    ),
    ("Data", CLIENT): Meaning(
        "nothing new: it is encrypted with keys that only these two have, so it comes from whom "
        "the handshake proved. Whether that one may ask for this is decided now.",
        "there would have been no reason for a handshake.",
        (16,),
    ),
    ("Data", SERVER): Meaning(
        "that the server accepted the client's certificate: it answers.",
        "in TLS 1.3 the client would not know whether it was let in.",
        (16,),
    ),
}


def meaning_of(name: str, sender: str) -> Meaning:
    """Return what a message of this name proves; `sender` is CLIENT or SERVER."""
    name = name.removeprefix("Compressed")
    return _BY_SENDER.get((name, sender)) or _BOTH.get(name, _NOTHING)
