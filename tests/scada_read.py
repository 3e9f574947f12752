"""Reads one node as SCADA would and prints it as JSON: scada_read.py URL USER PASSWORD_FILE CERT_DIR NODE."""

import asyncio
import json
import socket
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")


async def main(url, user, password_file, folder, node_id):
    from asyncua import Client, ua
    from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

    from hil.certificate import WITNESS_URI, client_certificate

    certificate, key = client_certificate(Path(folder), socket.gethostname())
    client = Client(url, timeout=10)
    client.application_uri = WITNESS_URI
    client.set_user(user)
    client.set_password(Path(password_file).read_text().strip())
    await client.set_security(
        SecurityPolicyBasic256Sha256, str(certificate), str(key), mode=ua.MessageSecurityMode.SignAndEncrypt
    )
    async with client:
        names = await client.get_namespace_array()
        space = next(i for i, name in enumerate(names) if name.startswith("urn:edgetwin:"))
        node = client.get_node(ua.NodeId(node_id, space))
        value = await node.read_data_value(raise_on_bad_status=False)
        unit = client.get_node(ua.NodeId(f"{node_id}.EngineeringUnits", space))
        try:
            name = (await unit.read_value()).DisplayName.Text
        except ua.UaStatusCodeError:
            name = None
        status = ua.status_codes.get_name_and_doc(value.StatusCode.value)[0]
        print(json.dumps({"value": value.Value.Value, "unit": name, "status": status}))


asyncio.run(main(*sys.argv[1:]))
