"""Which endpoint and which way to log in are taken of what a server offers; lists of endpoints compared."""

import pytest
from asyncua import ua

from agent.drivers import opcua
from agent.drivers.opcua.secure import endpoints, identity
from agent.drivers.opcua.secure.endpoints import MODES, NONE_URI, SUITES

NONE = ua.MessageSecurityMode.None_
SIGN, BOTH = MODES["Sign"], MODES["SignAndEncrypt"]
TCP = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
ANONYMOUS, USER_NAME, CERTIFICATE = (ua.UserTokenType(n) for n in range(3))


def uri(name):
    return NONE_URI if name == "None" else SUITES[name].kind.URI


def token(kind=ANONYMOUS, policy=None, name="t"):
    return ua.UserTokenPolicy(PolicyId=name, TokenType=kind, SecurityPolicyUri=policy and uri(policy))


def endpoint(policy="None", mode=NONE, tokens=None, level=0, server="urn:s", url="opc.tcp://x:1", der=b"der"):
    return ua.EndpointDescription(
        EndpointUrl=url,
        Server=ua.ApplicationDescription(ApplicationUri=server),
        ServerCertificate=der,
        SecurityMode=mode,
        SecurityPolicyUri=uri(policy),
        UserIdentityTokens=[token()] if tokens is None else list(tokens),
        TransportProfileUri=TCP,
        SecurityLevel=level,
    )


def config(**more):
    return opcua.Config(id="plc", type="opcua", endpoint="opc.tcp://plc.test", **more)


def chosen(offered, **more):
    found = endpoints.chosen(offered, config(**more))
    return endpoints.policy_name(found.SecurityPolicyUri), found.SecurityMode


ALL = [
    endpoint(),
    *(endpoint(p, m) for p in ("Basic128Rsa15", "Basic256", *reversed(SUITES)) for m in (SIGN, BOTH)),
]


def test_the_best_is_taken_whatever_the_server_says_of_their_levels():
    assert chosen(ALL) == ("Aes256_Sha256_RsaPss", BOTH)
    flattered = [endpoint("Basic256Sha256", SIGN, level=255), endpoint("Aes128_Sha256_RsaOaep", BOTH, level=1)]
    assert chosen(flattered) == ("Aes128_Sha256_RsaOaep", BOTH)
    assert chosen([endpoint("Aes256_Sha256_RsaPss", SIGN), endpoint("Basic256Sha256", BOTH)]) == (
        "Basic256Sha256",
        BOTH,
    )
    assert chosen([endpoint("Basic256Sha256", SIGN)]) == ("Basic256Sha256", SIGN)


@pytest.mark.parametrize("policy", SUITES)
@pytest.mark.parametrize("mode", MODES)
def test_what_is_written_is_taken(policy, mode):
    assert chosen(ALL, security=policy, mode=mode) == (policy, MODES[mode])


@pytest.mark.parametrize(
    ("offered", "given", "says"),
    [
        ([endpoint()], {}, "it offers None None; security: none would connect"),
        ([endpoint(), endpoint("Basic256", BOTH)], {}, "security: Basic256 uses what is deprecated"),
        (
            [endpoint("Basic256Sha256", SIGN)],
            {"mode": "SignAndEncrypt"},
            "auto SignAndEncrypt, it offers Basic256Sha256 Sign",
        ),
        ([endpoint("Basic256Sha256", BOTH)], {"security": "Basic256"}, "it offers Basic256Sha256 SignAndEncrypt"),
        ([endpoint("Basic256Sha256", BOTH, der=None)], {}, "no endpoint"),
        ([endpoint("Basic256Sha256", BOTH, url="https://x")], {}, "no endpoint"),
        ([], {}, "it offers none at all"),
    ],
)
def test_what_is_not_offered_is_told_with_what_is(offered, given, says):
    with pytest.raises(ConnectionError, match=says):
        endpoints.chosen(offered, config(**given))


def test_among_the_safe_one_that_takes_our_login_is_preferred():
    offered = [
        endpoint("Aes256_Sha256_RsaPss", BOTH, [token(CERTIFICATE)]),
        endpoint("Basic256Sha256", BOTH, [token(USER_NAME)]),
    ]
    assert chosen(offered, user="anna", password_file="/x")[0] == "Basic256Sha256"
    assert chosen(offered)[0] == "Aes256_Sha256_RsaPss"  # nobody takes it: the refusal comes with the best


def test_the_same_endpoints_in_another_order_and_under_another_host_are_the_same():
    before = [endpoint(), endpoint("Basic256Sha256", BOTH, [token(), token(USER_NAME, "Basic256Sha256", "u")])]
    after = [
        endpoint("Basic256Sha256", BOTH, [token(USER_NAME, "Basic256Sha256", "u"), token()], url="opc.tcp://plc:1"),
        endpoint(url="opc.tcp://plc:1"),
    ]
    assert endpoints.differences(before, after) == []


@pytest.mark.parametrize(
    "changed",
    [
        [endpoint()],
        [endpoint(), endpoint("Basic256Sha256", SIGN)],
        [endpoint(), endpoint("Basic256Sha256", BOTH, [token(USER_NAME, "None")])],
        [endpoint(), endpoint("Basic256Sha256", BOTH, [token(USER_NAME)], server="urn:other")],
        [endpoint(), *[endpoint("Basic256Sha256", BOTH, [token(USER_NAME)])] * 2],
    ],
)
def test_whatever_was_changed_on_the_way_is_found(changed):
    told = [endpoint(), endpoint("Basic256Sha256", BOTH, [token(USER_NAME)])]
    assert endpoints.differences(changed, told)
    assert endpoints.differences(told, changed)


def logged_in(offered, channel="None", mode=NONE, **more):
    found = identity.token_policy(offered, uri(channel), mode, config(**more))
    return found.PolicyId, endpoints.policy_name(found.SecurityPolicyUri)


ANNA = {"user": "anna", "password_file": "/x"}
BY_CERTIFICATE = {"user_certificate": "/x", "user_key": "/x"}


@pytest.mark.parametrize(
    ("offered", "channel", "mode", "found"),
    [
        ([token(USER_NAME, "Basic256Sha256", "u")], "None", NONE, ("u", "Basic256Sha256")),
        ([token(USER_NAME, None, "u")], "Basic256Sha256", SIGN, ("u", "Basic256Sha256")),
        ([token(USER_NAME, "None", "u")], "Basic256Sha256", BOTH, ("u", "None")),
        ([token(USER_NAME, "Basic128Rsa15", "u")], "Basic256Sha256", BOTH, ("u", "Basic128Rsa15")),
        (
            [token(USER_NAME, "None", "n"), token(USER_NAME, "Basic256", "o"), token(USER_NAME, "Basic256Sha256", "u")],
            "None",
            NONE,
            ("u", "Basic256Sha256"),
        ),
    ],
)
def test_a_password_goes_by_the_safest_way_offered(offered, channel, mode, found):
    assert logged_in([token(), *offered], channel, mode, **ANNA) == found


@pytest.mark.parametrize(
    ("offered", "channel", "mode"),
    [
        ([token(USER_NAME)], "None", NONE),
        ([token(USER_NAME, "None")], "None", NONE),
        ([token(USER_NAME, "None")], "Basic256Sha256", SIGN),
        ([token(USER_NAME, "Basic128Rsa15")], "None", NONE),
        ([token(USER_NAME)], "Basic128Rsa15", SIGN),
    ],
)
def test_a_password_in_the_clear_is_refused_unless_allowed(offered, channel, mode):
    with pytest.raises(ConnectionError, match="allow_plain_password: true"):
        logged_in(offered, channel, mode, **ANNA)
    logged_in(offered, channel, mode, **ANNA, allow_plain_password=True)


def test_a_user_certificate_without_a_signature_is_refused():
    with pytest.raises(ConnectionError, match="anybody could show it"):
        logged_in([token(CERTIFICATE)], **BY_CERTIFICATE)
    assert logged_in([token(CERTIFICATE, "Basic256Sha256")], **BY_CERTIFICATE) == ("t", "Basic256Sha256")


@pytest.mark.parametrize(
    ("given", "says"),
    [({}, "no anonymous login here, it takes user name"), (BY_CERTIFICATE, "no user certificate login")],
)
def test_a_login_that_is_not_offered_is_told_with_what_is(given, says):
    with pytest.raises(ConnectionError, match=says):
        logged_in([token(USER_NAME)], "Basic256Sha256", BOTH, **given)


def test_a_policy_that_nobody_here_knows_is_left_out():
    strange = ua.UserTokenPolicy(PolicyId="ecc", TokenType=USER_NAME, SecurityPolicyUri="http://x#ECC_nistP256")
    assert logged_in([strange, token(USER_NAME, "Basic256Sha256", "u")], **ANNA) == ("u", "Basic256Sha256")
    with pytest.raises(ConnectionError, match="no user name login"):
        logged_in([strange], **ANNA)


def test_a_server_that_tells_no_logins_is_taken_to_be_open():
    assert logged_in(None) == (None, "None")
