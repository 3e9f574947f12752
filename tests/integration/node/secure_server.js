// A secured OPC UA server that is not ours: node-opcua. `node secure_server.js DIR PORT` says `ready PORT`.
// DIR holds server.crt.pem and server.key.pem; what it knows of clients lies in DIR/pki: unknown ones go to its rejected
// folder. User tester has the password secret; users with a certificate are those in DIR/users-pki.
"use strict";
const path = require("path");
const { OPCUAServer } = require("node-opcua-server");
const { MessageSecurityMode, SecurityPolicy } = require("node-opcua-secure-channel");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { DataType, Variant } = require("node-opcua-variant");

const [folder, port] = process.argv.slice(2);
const URI = "http://edgetwin.test/plc";

async function store(name) {
  const made = new OPCUACertificateManager({
    rootFolder: path.join(folder, name), automaticallyAcceptUnknownCertificate: false,
  });
  await made.initialize();
  return made;
}

async function main() {
  const server = new OPCUAServer({
    port: Number(port), hostname: "127.0.0.1",
    certificateFile: path.join(folder, "server.crt.pem"), privateKeyFile: path.join(folder, "server.key.pem"),
    serverInfo: { applicationUri: "urn:edgetwin.test:server" },
    serverCertificateManager: await store("pki"), userCertificateManager: await store("users-pki"),
    securityModes: [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
    securityPolicies: [
      SecurityPolicy.None, SecurityPolicy.Basic128Rsa15, SecurityPolicy.Basic256, SecurityPolicy.Basic256Sha256,
      SecurityPolicy.Aes128_Sha256_RsaOaep, SecurityPolicy.Aes256_Sha256_RsaPss,
    ],
    allowAnonymous: true, maxConnectionsPerEndpoint: 20,
    userManager: { isValidUser: (user, password) => user === "tester" && password === "secret" },
    serverCapabilities: { maxSessions: 2 },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const plc = space.registerNamespace(URI);
  const folderNode = plc.addObject({ organizedBy: space.rootFolder.objects, browseName: "Plant" });
  const variable = (name) => plc.addVariable({
    componentOf: folderNode, nodeId: `s=${name}`, browseName: name, dataType: "Double",
    minimumSamplingInterval: 50, value: { dataType: "Double", value: 0 },
  });
  const ramp = variable("ramp");
  const sessions = variable("sessions");
  await server.start();
  let count = 0;
  setInterval(() => {
    count += 1;
    ramp.setValueFromSource(new Variant({ dataType: DataType.Double, value: count }));
    sessions.setValueFromSource(new Variant({ dataType: DataType.Double, value: server.engine.currentSessionCount }));
  }, 100);
  console.log(`ready ${port}`);
}

main().catch((error) => { console.error(error); process.exit(1); });
