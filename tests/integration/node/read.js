// A client that is not ours: node-opcua. Reads one point with unit, range and status over a secure channel, subscribes
// until it has seen `changes` values, and prints all of it as one line of JSON.
//   node read.js URL NODE_ID CERTIFICATE.pem KEY.pem USER PASSWORD CHANGES [APPLICATION_URI]
"use strict";
const path = require("path");
const {
  OPCUAClient, MessageSecurityMode, SecurityPolicy, UserTokenType, AttributeIds,
  TimestampsToReturn, ClientSubscription, ClientMonitoredItem,
} = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const [url, nodeId, certificateFile, privateKeyFile, userName, password, changes, applicationUri] = process.argv.slice(2);

async function main() {
  const clientCertificateManager = new OPCUACertificateManager({
    rootFolder: path.join(process.cwd(), "node-pki"), automaticallyAcceptUnknownCertificate: true,
  });
  await clientCertificateManager.initialize();
  const client = OPCUAClient.create({
    applicationName: "node", applicationUri, certificateFile, privateKeyFile, clientCertificateManager,
    securityMode: MessageSecurityMode.SignAndEncrypt, securityPolicy: SecurityPolicy.Basic256Sha256,
    endpointMustExist: false, keepSessionAlive: true,
    connectionStrategy: { maxRetry: 20, initialDelay: 200, maxDelay: 1000 },
  });
  let reconnected = 0;
  client.on("connection_reestablished", () => { reconnected += 1; });
  await client.connect(url);
  const session = await client.createSession({ type: UserTokenType.UserName, userName, password });
  const value = await session.read({ nodeId, attributeId: AttributeIds.Value }, TimestampsToReturn);
  const unit = await session.read({ nodeId: `${nodeId}.EngineeringUnits`, attributeId: AttributeIds.Value });
  const range = await session.read({ nodeId: `${nodeId}.EURange`, attributeId: AttributeIds.Value });
  const missing = await session.read({ nodeId: "ns=1;s=no/such/node", attributeId: AttributeIds.Value });
  const write = await session.write({
    nodeId, attributeId: AttributeIds.Value, value: { value: { dataType: "Double", value: 9.9 } },
  });
  const browsed = await session.browse(nodeId.slice(0, nodeId.lastIndexOf("/")));
  const seen = [];
  const subscription = ClientSubscription.create(session, {
    requestedPublishingInterval: 100, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 10,
    maxNotificationsPerPublish: 100, publishingEnabled: true, priority: 1,
  });
  const item = ClientMonitoredItem.create(
    subscription, { nodeId, attributeId: AttributeIds.Value },
    { samplingInterval: 100, discardOldest: true, queueSize: 10 }, TimestampsToReturn.Both,
  );
  await new Promise((resolve) => {
    item.on("changed", (data) => {
      seen.push([data.value.value, data.statusCode.name]);
      process.stderr.write(`seen ${data.value.value} ${data.statusCode.name}\n`);
      if (seen.filter(([, status]) => status === "Good").length >= Number(changes)) resolve();
    });
  });
  await subscription.terminate();
  await session.close();
  await client.disconnect();
  process.stdout.write(JSON.stringify({
    value: value.value.value, type: value.value.dataType, status: value.statusCode.name,
    source: value.sourceTimestamp, server: value.serverTimestamp,
    unit: { id: unit.value.value.unitId, shown: unit.value.value.displayName.text, uri: unit.value.value.namespaceUri },
    range: [range.value.value.low, range.value.value.high],
    missing: missing.statusCode.name, write: write.name,
    browsed: browsed.references.map((reference) => reference.nodeId.toString()), seen, reconnected,
  }) + "\n");
}

main().then(() => process.exit(0), (error) => { process.stderr.write(`${error.stack}\n`); process.exit(1); });
