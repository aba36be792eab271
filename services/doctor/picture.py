"""A recorded handshake as it is drawn: the seven steps, every message in its step, the records.

Everything here is read out of the bytes of the recording. The texts in it may come from the other
side or from a file: they are to be drawn as text, never as markup.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

from mtls.certificates import extension_of

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from doctor.anatomy import anatomy
from doctor.calls import parse_response, refusal_of
from doctor.codes import TLS_1_3, VERSIONS, alert_named, named
from doctor.connection import Attempt
from doctor.decode import decode, is_retry
from doctor.der_anatomy import OIDS
from doctor.files import readable_certificate
from doctor.meaning import CLIENT, ENTRIES, SERVER, meaning_of
from doctor.messages import DecodeError, Kind, alerts, certificates_in, kind_of
from doctor.names import names_of
from doctor.recording import Recording, microseconds
from doctor.records import Record, records_of
from doctor.timeline import TITLES, Event, Step, events_of, is_complete, outcome_of
from doctor.watch import ContentType, Direction, Message

_NOTES: Final[Mapping[Step, str]] = {
    Step.CLIENT_HELLO: "versions, ciphers, half of a key exchange",
    Step.SERVER_PRESENTS: "and asks for the client's",
    Step.CLIENT_VERIFIES: "chain, dates, purpose, name",
    Step.CLIENT_PRESENTS: "and proves that it has the key",
    Step.SERVER_VERIFIES: "chain, dates, purpose, not revoked",
    Step.ACCESS: "the server's answer to the certificate",
    Step.DATA: "who may ask for what is decided here",
}
_OWN_STEPS: Final = {Step.CLIENT_VERIFIES: CLIENT, Step.SERVER_VERIFIES: SERVER}
_SENDERS: Final = {Direction.SENT: CLIENT, Direction.RECEIVED: SERVER}


def picture(recording: Recording) -> dict[str, Any]:
    """Return everything that the page shows, as JSON's types."""
    seen = recording.attempt
    records = records_of(seen.flights, seen.secrets)
    drawn = _place_in_records([_in_its_step(event) for event in events_of(seen)], records)
    certificates = list(_certificates(drawn))
    messages = [_message(number, each, seen) for number, each in enumerate(drawn, 1)]
    for message in messages:
        message["fields"] += _signed(message, messages, certificates, seen)
    return {
        "client": recording.client,
        "server": recording.server,
        "address": "" if recording.is_in_memory else str(seen.target),
        "name": seen.target.name,
        "recorded_at": recording.to_json()["recorded_at"],
        "is_in_memory": recording.is_in_memory,
        "is_resumed": seen.is_resumed,
        "version": named(seen.hello_version, VERSIONS)
        if seen.hello_version
        else "no version agreed",
        "cipher": seen.cipher,
        "alpn": seen.alpn or "",
        "bytes": sum(len(flight.data) for flight in seen.flights),
        "microseconds": max(
            (microseconds(each.event.message.seconds) for each in drawn), default=0
        ),
        "outcome": _outcome(recording),
        "steps": [_step(recording, step) for step in Step],
        "messages": messages,
        "certificates": certificates,
        "records": [_record(record, drawn) for record in records],
        "secrets": {label: secret.hex() for label, secret in seen.secrets.items()},
    }


@dataclass(slots=True)
class _Drawn:
    """A message in its step, and the numbers of the records that carry it."""

    event: Event
    records: list[Record] = field(default_factory=list)


def _in_its_step(event: Event) -> Event:
    """Take a refusal back to its step: it may come when the client has already asked something."""
    said = alerts([event.message], Direction.RECEIVED)
    return replace(event, step=Step.ACCESS) if event.step is Step.DATA and any(said) else event


def _place_in_records(events: list[Event], records: list[Record]) -> list[_Drawn]:
    """Find the records of every message, and a message for every ChangeCipherSpec.

    OpenSSL reports the other side's ChangeCipherSpec from version 3.5 on only.
    """
    drawn = [_Drawn(event) for event in events]
    claimed: set[int] = set()
    for direction in Direction:
        for content_type in ContentType:
            lying = [
                (record, record.plain)
                for record in records
                if record.direction is direction
                and record.content_type is content_type
                and record.plain is not None
            ]
            wanted = [
                each
                for each in drawn
                if each.event.message.direction is direction
                and each.event.message.content_type is content_type
            ]
            _match(wanted, lying)
            claimed |= {record.number for each in wanted for record in each.records}
    for record in records if drawn else ():
        if record.content_type is ContentType.CHANGE_CIPHER_SPEC and record.number not in claimed:
            _insert(drawn, record)
    return drawn


def _match(wanted: list[_Drawn], lying: list[tuple[Record, bytes]]) -> None:
    """Lay messages over the contents of records, one after the other; both are in order."""
    ends, position = [], 0
    for record, plain in lying:
        ends.append((position, position + len(plain), record))
        position += len(plain)
    stream, begin = b"".join(plain for _, plain in lying), 0
    for each in wanted:
        body = each.event.message.body
        if stream[begin : begin + len(body)] != body:
            return
        end = begin + len(body)
        each.records = [record for first, last, record in ends if first < end and last > begin]
        begin = end


def _insert(drawn: list[_Drawn], record: Record) -> None:
    """Put a message in front of the first whose record comes later."""
    place = next(
        (
            n
            for n, each in enumerate(drawn)
            if each.records and each.records[0].number > record.number
        ),
        len(drawn),
    )
    neighbour = drawn[place if place < len(drawn) else place - 1].event
    before = drawn[place - 1].event.message.seconds if place else record.seconds
    message = Message(
        record.direction,
        ContentType.CHANGE_CIPHER_SPEC,
        neighbour.message.version,
        record.plain or b"",
        before,
    )
    drawn.insert(place, _Drawn(Event(neighbour.step, message, decode(message)), [record]))


def _signed(
    message: Mapping[str, Any],
    messages: Iterable[Mapping[str, Any]],
    certificates: Iterable[Mapping[str, Any]],
    seen: Attempt,
) -> Iterator[list[str]]:
    """Say of a CertificateVerify what is signed, and by which key (RFC 8446, section 4.4.3)."""
    if message["name"] != "CertificateVerify":
        return
    parts = [part for part in message["parts"] if part[3] == "length of the signature"]
    for part in parts:
        yield ["signature", bytes.fromhex(message["hex"])[part[1] :].hex(" ")]
    if seen.hello_version == TLS_1_3:
        algorithm = "SHA-384" if seen.cipher.endswith("SHA384") else "SHA-256"
        covered = [
            each["number"]
            for each in messages
            if each["number"] < message["number"] and each["name"] != "ChangeCipherSpec"
        ]
        numbers = ", ".join(map(str, covered))
        text = f'64 bytes 20, "TLS 1.3, {message["sender"]} CertificateVerify", 00, {algorithm}'
        yield ["signed over", f"{text} of messages {numbers}"]
    for card in certificates:
        if card["sender"] == message["sender"] and card["place"] == 0:
            yield ["key", f"{card['key']}, of the leaf in message {card['message']}"]


def _message(number: int, drawn: _Drawn, seen: Attempt) -> dict[str, Any]:
    event, message = drawn.event, drawn.event.message
    sender, name = _SENDERS[message.direction], event.decoded.name
    meaning = meaning_of(name, sender)
    is_alert = message.content_type is ContentType.ALERT
    return {
        "number": number,
        "step": event.step.value,
        "sender": sender,
        "name": name,
        "summary": _summary(event),
        "is_encrypted": _is_encrypted(drawn, seen.hello_version),
        "is_failure": is_alert and len(message.body) == 2 and message.body[1] != 0,
        "microseconds": microseconds(message.seconds),
        "hex": message.body.hex(),
        "fields": [
            [label.strip(), text] for label, text in event.decoded.fields if label != "proves"
        ],
        "parts": [
            [part.begin, part.end, part.depth, part.label, part.text, part.is_group]
            for part in anatomy(message)
        ],
        "proves": meaning.proves,
        "without": meaning.without,
        "see": [[entry, ENTRIES[entry]] for entry in meaning.see],
        "records": [record.number for record in drawn.records],
    }


def _summary(event: Event) -> str:
    """Return the one thing that is worth reading beside a message's name."""
    fields = {label.strip(): text for label, text in reversed(event.decoded.fields)}
    for label in ("says", "certificate 1", "certificates", "begins", "server name (SNI)"):
        if label in fields:
            return fields[label]
    return ""


def _is_encrypted(drawn: _Drawn, version: int) -> bool:
    if drawn.records:
        return drawn.records[0].is_encrypted
    message = drawn.event.message
    if version != TLS_1_3 or message.content_type is ContentType.CHANGE_CIPHER_SPEC:
        return message.content_type is ContentType.DATA
    return kind_of(message) not in {Kind.CLIENT_HELLO, Kind.SERVER_HELLO} and not is_retry(message)


def _step(recording: Recording, step: Step) -> dict[str, Any]:
    seen = recording.attempt
    return {
        "number": step.value,
        "title": TITLES[step],
        "note": _NOTES[step],
        "side": _OWN_STEPS.get(step, ""),
        "outcome": outcome_of(seen, step) or (step is Step.DATA and _denial(recording)) or "",
        "is_failed": step is _failed_step(recording),
        "is_reached": _is_reached(recording, step),
    }


def _failed_step(recording: Recording) -> Step | None:
    """Return where the handshake failed: at the one who verified and was not content."""
    seen = recording.attempt
    if is_complete(seen):
        return None
    if seen.verdict:
        return Step.CLIENT_VERIFIES
    if seen.has_verified:
        return Step.SERVER_VERIFIES
    return Step.SERVER_PRESENTS if seen.hello_version else Step.CLIENT_HELLO


def _is_reached(recording: Recording, step: Step) -> bool:
    """Whether a step was come to; the server's alert comes at ACCESS, also when it refuses."""
    failed = _failed_step(recording)
    if failed is None or step <= failed:
        return True
    return failed is Step.SERVER_VERIFIES and (step is Step.ACCESS or _asks(recording.attempt))


def _asks(seen: Attempt) -> bool:
    """Whether we asked something before we heard of a refusal."""
    return any(message.content_type is ContentType.DATA for message in seen.messages)


def _denial(recording: Recording) -> str:
    """Return what the server answers to one that it knows and does not allow; empty if it allows.

    TLS proves who somebody is. What he may do is decided for each request after it.
    """
    response = parse_response(recording.attempt.answer)
    if response is None or response.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ""
    return f"denied by the server's policy, with HTTP {response.status} {response.reason}"


def _outcome(recording: Recording) -> dict[str, Any]:
    """Say how it ended, and if it was refused, by whom and how."""
    seen = recording.attempt
    if is_complete(seen):
        denied = _denial(recording)
        step = Step.DATA.value if denied else 0
        text = f"TLS lets it in, and then it is {denied}." if denied else ""
        return {"is_accepted": True, "by": "", "step": step, "alert": "", "text": text, "fix": ""}
    refusal = refusal_of(seen)
    by = CLIENT if seen.verdict else SERVER
    said = alerts(seen.messages, Direction.SENT if seen.verdict else Direction.RECEIVED)
    codes = [code for code in said if code]
    text = seen.verdict or (refusal.cause if refusal else seen.error) or seen.ending.value
    failed = _failed_step(recording)
    return {
        "is_accepted": False,
        "by": by,
        "step": failed.value if failed else 0,
        "alert": f"{alert_named(codes[0]).name} ({codes[0]})" if codes else "",
        "text": text,
        "fix": refusal.fix if refusal else "",
    }


def _record(record: Record, drawn: Iterable[_Drawn]) -> dict[str, Any]:
    kind = record.content_type
    return {
        "number": record.number,
        "sender": _SENDERS[record.direction],
        "microseconds": microseconds(record.seconds),
        "hex": record.data.hex(),
        "is_encrypted": record.is_encrypted,
        "content": kind.name.lower().replace("_", " ") if kind else "not opened",
        "plain": None if record.plain is None else record.plain.hex(),
        "key": record.key,
        "sequence": record.sequence,
        "messages": [number for number, each in enumerate(drawn, 1) if record in each.records],
    }


def _certificates(drawn: Iterable[_Drawn]) -> Iterator[dict[str, Any]]:
    """Yield a card for every certificate that was presented, with the message that it came in."""
    for number, each in enumerate(drawn, 1):
        message = each.event.message
        if kind_of(message) not in {Kind.CERTIFICATE, Kind.COMPRESSED_CERTIFICATE}:
            continue
        try:
            found = certificates_in(message)
        except DecodeError:
            continue
        for place, der in enumerate(found):
            try:
                certificate = readable_certificate(der)
            except ValueError:
                continue
            card = _card(certificate)
            yield {"message": number, "sender": _SENDERS[message.direction], "place": place, **card}


def _card(certificate: x509.Certificate) -> dict[str, Any]:
    names, usage = names_of(certificate), extension_of(certificate, x509.ExtendedKeyUsage)
    own = extension_of(certificate, x509.SubjectKeyIdentifier)
    issuers = extension_of(certificate, x509.AuthorityKeyIdentifier)
    constraints = extension_of(certificate, x509.BasicConstraints)
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "names": [*names.uris, *names.dns, *map(str, names.addresses)],
        "usage": [
            OIDS.get(each.dotted_string, each.dotted_string).partition(":")[0]
            for each in usage or ()
        ],
        "key": _key_name(certificate),
        "is_ca": bool(constraints and constraints.ca),
        "not_before": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "key_id": own.digest.hex() if own else "",
        "issuer_key_id": (issuers.key_identifier or b"").hex() if issuers else "",
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def _key_name(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "a key of an unknown kind"
    match key:
        case ec.EllipticCurvePublicKey():
            return f"EC {key.curve.name}"
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size}"
        case _:
            return type(key).__name__.strip("_").removesuffix("PublicKey")
