"""What a server's refusal means to the person who has to do something about it. No OPC UA library needed."""

from __future__ import annotations

UNTRUSTED = (
    "the server does not trust our certificate: on the server move {own} from the rejected to the trusted certificates"
)
USER = "the server refuses the user: wrong name or password, or no right to log in"
FULL = "all sessions of the server are taken"

WORDS = {
    "BadCertificateUntrusted": UNTRUSTED,
    "BadSecurityChecksFailed": UNTRUSTED + " (this code also stands for other doubts: see the server's log)",
    "BadCertificateInvalid": "the server cannot use our certificate {own}: see the server's log",
    "BadCertificateUriInvalid": "the server finds another ApplicationUri in our certificate {own} than we say",
    "BadCertificateTimeInvalid": "for the server our certificate {own} is not valid now: compare the clocks",
    "BadCertificateIssuerTimeInvalid": "for the server the authority of our certificate {own} is not valid now",
    "BadCertificateUseNotAllowed": "the server finds that our certificate {own} may not be used for this",
    "BadCertificatePolicyCheckFailed": "key or signature of our certificate {own} are too weak for the server",
    "BadCertificateHostNameInvalid": "the server finds another host name in our certificate {own}",
    "BadCertificateChainIncomplete": "the server does not know the authority of our certificate {own}",
    "BadCertificateRevoked": "our certificate {own} was revoked by its authority",
    "BadCertificateRevocationUnknown": "the server lacks the revocation list of our certificate's authority",
    "BadCertificateIssuerRevocationUnknown": "the server lacks a revocation list of our certificate's authorities",
    "BadIdentityTokenInvalid": "the server cannot read our login: compare its user name policies",
    "BadIdentityTokenRejected": "the server does not take this kind of login, or not this user",
    "BadUserAccessDenied": USER,
    "BadUserSignatureInvalid": "the server cannot verify our user certificate: unknown to it, or another key signed",
    "BadSecurityPolicyRejected": "the server does not take this security policy",
    "BadSecurityModeRejected": "the server does not take this mode",
    "BadSecurityModeInsufficient": "the server wants more security than this",
    "BadApplicationSignatureInvalid": "the server cannot verify our signature: key and certificate {own} do not match",
    "BadTooManySessions": FULL,
    "BadMaxConnectionsReached": FULL,
    "BadTcpServerTooBusy": "the server takes no more connections now",
    "BadTcpEndpointUrlInvalid": "the server does not know the path in this endpoint",
    "BadServiceUnsupported": "the server does not offer this service",
    "BadLicenseNotAvailable": "the server has no licence for this",
    "BadLicenseExpired": "the licence of the server has ended",
    "BadLicenseLimitsExceeded": "the licence of the server allows no more",
}
# Knocking again at once makes it worse: the server has no room, or counts wrong logins until it locks the user out.
LATER = frozenset(
    {
        *("BadTooManySessions", "BadMaxConnectionsReached", "BadTcpServerTooBusy"),
        *("BadUserAccessDenied", "BadIdentityTokenInvalid", "BadIdentityTokenRejected", "BadUserSignatureInvalid"),
    }
)


def words(status: str, own: str = "") -> str:
    """What a status code means here, with its name at the end. `own` names our certificate."""
    text = WORDS.get(status, "").format(own=own or "of edgetwin")
    return f"{text} ({status})" if text else status
