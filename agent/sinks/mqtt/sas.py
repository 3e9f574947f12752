"""Shared access signatures: the password by which a device of Azure IoT Hub with a symmetric key shows who it is.

SharedAccessSignature sr={resource}&sig={signature}&se={expiry}, where the signature is HMAC-SHA256 by the device's key
over the URL-encoded resource, a line feed and the expiry in seconds since 1970 (Azure: "Control access to IoT Hub by
using shared access signatures", SAS token structure).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from urllib.parse import quote

# The hub hangs up when a token expires; the next connection brings a new one.
LIFE_S = 86_400


def token(host: str, device: str, key: str, now_s: int, life_s: int = LIFE_S) -> str:
    """The token of a device. ValueError: the key is not base64."""
    resource, expiry = quote(f"{host}/devices/{device}", safe=""), now_s + life_s
    try:
        secret = base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not a key ({error}), expected the device's primary key in base64") from None
    digest = hmac.new(secret, f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={resource}&sig={quote(base64.b64encode(digest), safe='')}&se={expiry}"
