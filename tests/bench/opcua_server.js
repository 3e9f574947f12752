// Changes values as fast as asked, for a benchmark: `node opcua_server.js VARIABLES PER_SECOND PORT` says `ready PORT`.
// Each variable counts up by one at each change. `written` at any time: a line on stdin is answered with the number of
// changes made so far and the CPU seconds used.
"use strict";
const path = require("path");
const { OPCUAServer } = require("node-opcua-server");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { DataType, Variant } = require("node-opcua-variant");

const [count, rate, port] = process.argv.slice(2).map(Number);

async function main() {
  const serverCertificateManager = new OPCUACertificateManager({
    rootFolder: path.join(process.cwd(), "server-pki"), automaticallyAcceptUnknownCertificate: true,
  });
  await serverCertificateManager.initialize();
  const server = new OPCUAServer({ port, hostname: "127.0.0.1", serverCertificateManager });
  await server.initialize();
  const plc = server.engine.addressSpace.registerNamespace("http://edgetwin.test/plc");
  const folder = plc.addObject({ organizedBy: server.engine.addressSpace.rootFolder.objects, browseName: "Plant" });
  const variables = [];
  for (let i = 0; i < count; i++) {
    variables.push(plc.addVariable({
      componentOf: folder, nodeId: `s=v${i}`, browseName: `v${i}`, dataType: "Double",
      minimumSamplingInterval: 0, value: { dataType: DataType.Double, value: 0 },
    }));
  }
  await server.start();
  let written = 0;
  let pass = 0;
  const slices = 20; // the changes of one period are spread over it
  let done = 0;
  const began = performance.now();
  setInterval(() => {
    for (const due = ((performance.now() - began) / 1000) * rate * slices; done < due; done++) {
      if (done % slices === 0) pass += 1;
      for (let i = done % slices; i < count; i += slices) {
        variables[i].setValueFromSource(new Variant({ dataType: DataType.Double, value: pass }));
        written += 1;
      }
    }
  }, 1000 / rate / slices);
  process.stdin.on("data", () => {
    const used = process.cpuUsage();
    console.log(`${written} ${(used.user + used.system) / 1e6}`);
  });
  console.log(`ready ${port}`);
}

main().catch((error) => { console.error(error); process.exit(1); });
