// An OPC UA server that is not ours: node-opcua. `node server.js [permuted] [many] PORT` says `ready PORT`.
// `many`: 2300 further variables in one folder, and no small limits.
// Node `control` takes words: `mute` (all subscriptions fall silent, reads go on), `close` (an administrator closes all
// sessions), `burst` (node burst takes 100 values in a fifth of a second), `remove` and `restore` (node fixed1 goes and comes back).
"use strict";
const path = require("path");
const { OPCUAServer } = require("node-opcua-server");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { DataType, Variant, VariantArrayType } = require("node-opcua-variant");
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
    serverCapabilities: options.includes("many") ? {} : {
      operationLimits: { maxNodesPerRead: 3, maxMonitoredItemsPerCall: 4 },
    },
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
  const more = plc.addObject({ organizedBy: space.rootFolder.objects, browseName: "Many" });
  for (let i = 0; i < (options.includes("many") ? 2300 : 0); i++) {
    const value = { dataType: "Int32", value: i };
    plc.addVariable({ componentOf: more, nodeId: `s=many${i}`, browseName: `many${i}`, dataType: "Int32", value });
  }
  const fixed = [];
  for (let i = 0; i < 10; i++) fixed.push(variable(`fixed${i}`, "Double", i));
  variable("word", "Int16", 5);
  variable("single", "Float", 1.5);
  variable("flag", "Boolean", true);
  variable("text", "String", "first");
  const ramp = variable("ramp", "Double", 0, { minimumSamplingInterval: 50 });
  const sick = variable("sick", "Double", 7);
  sick.setValueFromSource(new Variant({ dataType: DataType.Double, value: 7 }), StatusCodes.UncertainLastUsableValue);
  variable("samples", "Float", null, {
    valueRank: 1, arrayDimensions: [4],
    value: new Variant({ dataType: DataType.Float, arrayType: VariantArrayType.Array, value: [1, 2, 3, 4] }),
  });
  variable("when", "DateTime", new Date(Date.UTC(2026, 0, 2, 3, 4, 5)));
  variable("wide", "UInt64", null, { value: new Variant({ dataType: DataType.UInt64, arrayType: VariantArrayType.Scalar, value: [0x100, 7] }) });
  const burst = variable("burst", "Double", 0, { minimumSamplingInterval: 0 });
  const slow = variable("slow", "Double", 0, { minimumSamplingInterval: 0 });
  let said = "";
  const words = {
    mute: () => subscriptions().forEach((subscription) => subscription._stop_timer()),
    close: () => server.engine.getSessions().forEach((session) => {
      server.engine.closeSession(session.authenticationToken, true, "Forcing");
    }),
    burst: () => {
      let i = 0;
      const timer = setInterval(() => { burst.setValueFromSource(double(++i)); if (i === 100) clearInterval(timer); }, 2);
    },
    remove: () => plc.deleteNode(fixed[1].nodeId),
    restore: () => { fixed[1] = variable("fixed1", "Double", 11); },
  };
  plc.addVariable({
    componentOf: folder, nodeId: "s=control", browseName: "control", dataType: "String",
    accessLevel: "CurrentRead | CurrentWrite", userAccessLevel: "CurrentRead | CurrentWrite",
    value: {
      get: () => new Variant({ dataType: DataType.String, value: said }),
      set: (word) => { said = word.value; setTimeout(words[said], 100); return StatusCodes.Good; },
    },
  });
  const double = (value) => new Variant({ dataType: DataType.Double, value });
  const subscriptions = () => server.engine.getSessions().flatMap((session) => session.publishEngine.subscriptions);
  await server.start();
  let count = 0;
  setInterval(() => {
    count += 1;
    ramp.setValueFromSource(double(count));
    slow.setValueFromSource(double(count / 10));
  }, 100);
  console.log(`ready ${port}`);
}

main().catch((error) => { console.error(error); process.exit(1); });
