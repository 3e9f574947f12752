"""A secured OPC UA server for tests, on asyncua: `opcua_secure.py DIR PORT`, says `ready PORT`.

DIR holds server.der and server.pem; user-*.der are the certificates of users; user tester has the password secret.
Every policy and mode is offered. How it misbehaves is in the path of the URL that a client connects to:

    /short-nonce /old-nonce /bad-signature /other-certificate   in its answers to CreateSession and ActivateSession
    /fewer-endpoints                                            when asked before a session, it leaves out the best
    /plain-token                                                passwords in the clear
    /refuse/BadStatus /refuse-login/BadStatus                   CreateSession, ActivateSession
    /full                                                       two sessions at most
"""

import asyncio
import sys
from copy import copy
from pathlib import Path
from urllib.parse import urlsplit

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.uaprocessor import UaProcessor
from asyncua.server.user_managers import UserManager

URI = "http://edgetwin.test/plc"
APPLICATION = "urn:edgetwin.test:server"
BEST = "RsaPss"


class Users(UserManager):
    """Knows tester, and who has a certificate in the folder; anonymous may come too."""

    def __init__(self, folder):
        self.certificates = [path.read_bytes() for path in folder.glob("user-*.der")]

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if username is None:
            return User(role=UserRole.User, name="somebody")
        right = username == "tester" and password in ("secret", b"secret")
        return User(role=UserRole.User, name=username) if right else None


class Session(InternalSession):
    path = ""

    async def create_session(self, params, sockname=None):
        self.path = urlsplit(params.EndpointUrl).path
        if self.path.startswith("/refuse/"):
            raise ServiceError(getattr(ua.StatusCodes, self.path.split("/")[-1]))
        if self.path == "/full" and len(self.iserver._external_sessions) > 2:
            self.iserver.unregister_external_session(self)
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        result = await super().create_session(params, sockname)
        if self.path == "/short-nonce":
            self.nonce = result.ServerNonce = b"\x07" * 16
        return result

    async def get_endpoints(self, params=None, sockname=None):
        return await self.iserver.get_endpoints(params, sockname, told=True)

    def activate_session(self, params, peer_certificate):
        if self.path.startswith("/refuse-login/"):
            raise ServiceError(getattr(ua.StatusCodes, self.path.split("/")[-1]))
        before, token = self.nonce, params.UserIdentityToken
        if isinstance(token, ua.X509IdentityToken):
            self.iserver.verify_x509_token(self, token, params.UserTokenSignature)
            if token.CertificateData not in self.iserver.user_manager.certificates:
                raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)
        result = super().activate_session(params, peer_certificate)
        if self.path == "/old-nonce":
            self.nonce = result.ServerNonce = before
        return result


class Internal(InternalServer):
    def create_session(self, name, user=None, external=False):
        return Session(self, self.aspace, self.subscription_service, name, user=user or User(), external=external)

    async def get_endpoints(self, params=None, sockname=None, told=False):
        found = await super().get_endpoints(params, sockname)
        path = urlsplit(params.EndpointUrl).path if params else ""
        if path == "/plain-token":
            for endpoint in found:
                endpoint.UserIdentityTokens = [copy(p) for p in endpoint.UserIdentityTokens]
                for policy in endpoint.UserIdentityTokens:
                    policy.SecurityPolicyUri = SecurityPolicyNone.URI
        return [e for e in found if path != "/fewer-endpoints" or told or BEST not in e.SecurityPolicyUri]


def misbehaving(processor, response):
    """The answer as the path of the session's URL asks for it."""
    path = getattr(processor.session, "path", "")
    if isinstance(response, ua.CreateSessionResponse):
        if path == "/bad-signature":
            signature = response.Parameters.ServerSignature.Signature
            response.Parameters.ServerSignature.Signature = bytes([signature[0] ^ 1]) + signature[1:]
        if path == "/other-certificate":
            response.Parameters.ServerCertificate = (FOLDER / "other.der").read_bytes()


def send_response(self, requesthandle, seqhdr, response, *more):
    misbehaving(self, response)
    original(self, requesthandle, seqhdr, response, *more)


original, UaProcessor.send_response = UaProcessor.send_response, send_response


async def main(port):
    internal = Internal(user_manager=Users(FOLDER))
    server = Server(iserver=internal)
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    first = ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt  # the one that passwords are encrypted with
    server.set_security_policy(sorted(ua.SecurityPolicyType, key=lambda p: p is not first))
    server.set_identity_tokens([ua.AnonymousIdentityToken, ua.UserNameIdentityToken, ua.X509IdentityToken])
    await server.set_application_uri(APPLICATION)
    await server.load_certificate(str(FOLDER / "server.der"))
    await server.load_private_key(str(FOLDER / "server.pem"))
    index = await server.register_namespace(URI)
    folder = await server.nodes.objects.add_folder(ua.NodeId("Plant", index), "Plant")
    made = {name: await folder.add_variable(ua.NodeId(name, index), name, 0.0) for name in ("ramp", "sessions")}
    async with server:
        print("ready", port, flush=True)
        count = 0.0
        while True:
            await asyncio.sleep(0.05)
            count += 1.0
            await made["ramp"].write_value(count)
            await made["sessions"].write_value(float(len(internal._external_sessions)))


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    asyncio.run(main(sys.argv[2]))
