// An OPC UA server that is not ours: node-opcua. `node server.js [permuted] PORT` says `ready PORT`.
"use strict";
const path = require("path");
const { OPCUAServer } = require("node-opcua-server");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { DataType, Variant } = require("node-opcua-variant");
const { StatusCodes } = require("node-opcua-status-code");

const options = process.argv.slice(2);
const port = Number(options[options.length - 1]);
const URI = "http://edgetwin.test/plc";

async function main() {
  const serverCertificateManager = new OPCUACertificateManager({
    rootFolder: path.join(process.cwd(), "server-pki"), automaticallyAcceptUnknownCertificate: true,
  });
  await serverCertificateManager.initialize();
  const server = new OPCUAServer({
    port, hostname: "127.0.0.1", serverCertificateManager,
    serverCapabilities: { operationLimits: { maxNodesPerRead: 3, maxMonitoredItemsPerCall: 4 } },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  if (options.includes("permuted")) space.registerNamespace("http://edgetwin.test/first");
  const plc = space.registerNamespace(URI);
  const folder = plc.addObject({ organizedBy: space.rootFolder.objects, browseName: "Plant" });
  const variable = (name, dataType, value, more = {}) => plc.addVariable({
    componentOf: folder, nodeId: `s=${name}`, browseName: name, dataType,
    accessLevel: "CurrentRead | CurrentWrite", userAccessLevel: "CurrentRead | CurrentWrite",
    value: { dataType, value }, ...more,
  });
  for (let i = 0; i < 10; i++) variable(`fixed${i}`, "Double", i);
  variable("word", "Int16", 5);
  variable("single", "Float", 1.5);
  variable("flag", "Boolean", true);
  variable("text", "String", "first");
  const ramp = variable("ramp", "Double", 0, { minimumSamplingInterval: 50 });
  const sick = variable("sick", "Double", 7);
  sick.setValueFromSource(new Variant({ dataType: DataType.Double, value: 7 }), StatusCodes.UncertainLastUsableValue);
  await server.start();
  let count = 0;
  setInterval(() => {
    count += 1;
    ramp.setValueFromSource(new Variant({ dataType: DataType.Double, value: count }));
  }, 100);
  console.log(`ready ${port}`);
}

main().catch((error) => { console.error(error); process.exit(1); });
