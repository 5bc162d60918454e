"""The name in a certificate: a walk over the few DER elements that lie before it."""

_SEQUENCE, _VERSION = 0x30, 0xA0
_COMMON_NAME = b"\x06\x03\x55\x04\x03"  # object identifier 2.5.4.3
_BEFORE_SUBJECT = 4  # serial number, signature algorithm, issuer, validity


def common_name(certificate: bytes) -> str:
    """Return the first common name of the subject, empty when none can be read.

    Args:
        certificate: DER, X.509; whatever it is, no byte beyond it is looked at.
    """
    try:
        at, _ = _element(certificate, 0)  # into the certificate
        at, _ = _element(certificate, at)  # into what is signed
        if certificate[at] == _VERSION:
            at = _element(certificate, at)[1]
        for _ in range(_BEFORE_SUBJECT):
            at = _element(certificate, at)[1]
        if certificate[at] != _SEQUENCE:
            return ""
        first, end = _element(certificate, at)
        at = certificate.find(_COMMON_NAME, first, end)
        if at < 0:
            return ""
        first, last = _element(certificate, at + len(_COMMON_NAME))
        return certificate[first:last].decode() if last <= end else ""
    except (IndexError, UnicodeError):
        return ""


def _element(content: bytes, at: int) -> "tuple[int, int]":
    """Return where the value of the element at `at` begins and ends.

    Raises:
        IndexError: it is not whole.
    """
    size, first = content[at + 1], at + 2
    if size >= 0x80:
        count = size & 0x7F
        if not 1 <= count <= 2:  # no certificate that is taken has 64 KiB
            raise IndexError
        size = 0
        for byte in content[first : first + count]:
            size = size << 8 | byte
        first += count
    if first + size > len(content):
        raise IndexError
    return first, first + size
