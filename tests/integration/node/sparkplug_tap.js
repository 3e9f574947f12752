// Stands between an edge node and its broker, and is a host beside it. Tells each packet of the edge node as one line of
// JSON: parsed by mqtt-packet, its payload decoded by sparkplug-payload (Eclipse Tahu's). Commands come as lines of JSON.
//   node sparkplug_tap.js <port to listen on> <port of the broker>
const net = require("net")
const readline = require("readline")
const mqtt = require("mqtt")
const parser = require("mqtt-packet")
const sparkplug = require("sparkplug-payload").get("spBv1.0")
const proto = require("sparkplug-payload/lib/sparkplugPayloadProto").org.eclipse.tahu.protobuf.Payload

const [at, broker] = process.argv.slice(2).map(Number)
const tell = (what) => process.stdout.write(JSON.stringify(what, (_, v) => (v && v.constructor && v.constructor.name === "Long" ? v.toNumber() : v)) + "\n")

// What the library decodes, and which fields were there at all. As a host does, types of data are looked up by alias.
const types = {}
function payload(bytes, topic) {
  const raw = proto.decode(bytes)
  const [, group, , node] = topic.split("/")
  const typed = proto.decode(bytes)
  for (const m of typed.metrics) {
    const key = `${group}/${node}/${m.alias}`
    if (m.hasOwnProperty("datatype")) types[key] = m.datatype
    else if (types[key]) m.datatype = types[key]
  }
  return {
    ...sparkplug.decodePayload(proto.encode(typed).finish()),
    has: { timestamp: raw.hasOwnProperty("timestamp"), seq: raw.hasOwnProperty("seq") },
    raw: raw.metrics.map((m) => ({
      name: m.hasOwnProperty("name") ? m.name : null,
      alias: m.hasOwnProperty("alias") ? Number(m.alias) : null,
      timestamp: m.hasOwnProperty("timestamp") ? Number(m.timestamp) : null,
      datatype: m.hasOwnProperty("datatype") ? m.datatype : null,
      historical: m.isHistorical,
      null: m.isNull,
      value: m.value ? (m.value === "bytesValue" ? Buffer.from(m.bytesValue).toString("hex") : m[m.value]) : null,
      carried: m.value || null,
      properties: m.properties ? m.properties.keys.map((k, i) => [k, m.properties.values[i].type, m.properties.values[i].value]) : [],
      keys: m.properties ? m.properties.keys.length : 0,
      values: m.properties ? m.properties.values.length : 0,
    })),
  }
}

const sockets = new Set()
let number = 0
let frozen = false
const server = net
  .createServer((near) => {
    const connection = ++number
    const far = net.connect(broker, "127.0.0.1")
    let read = parser.parser()
    read.on("packet", (p) => {
      if (p.cmd === "connect") {
        const { protocolVersion } = p
        read.settings = { protocolVersion }
        const will = p.will && { ...p.will, payload: payload(p.will.payload, p.will.topic) }
        tell({ connection, cmd: p.cmd, version: protocolVersion, clean: p.clean, expiry: (p.properties || {}).sessionExpiryInterval || 0, will, client: p.clientId })
      } else if (p.cmd === "publish") {
        tell({ connection, cmd: p.cmd, topic: p.topic, qos: p.qos, retain: p.retain, payload: payload(p.payload, p.topic) })
      } else if (p.cmd === "subscribe") {
        tell({ connection, cmd: p.cmd, to: p.subscriptions.map((s) => [s.topic, s.qos]) })
      } else if (p.cmd === "disconnect") {
        tell({ connection, cmd: p.cmd, reason: p.reasonCode || 0 })
      }
    })
    read.on("error", (error) => tell({ connection, cmd: "unparsable", error: String(error) }))
    near.on("data", (bytes) => { if (!frozen) { read.parse(bytes); far.write(bytes) } })
    far.on("data", (bytes) => near.write(bytes))
    const end = () => { near.destroy(); far.destroy(); if (sockets.delete(near)) tell({ connection, cmd: "end" }) }
    for (const socket of [near, far]) for (const event of ["error", "close"]) socket.on(event, end)
    sockets.add(near)
  })
  .listen(at, "127.0.0.1", () => tell({ cmd: "ready" }))

const client = mqtt.connect(`mqtt://127.0.0.1:${broker}`, { reconnectPeriod: 100 })
client.on("error", () => {})
client.on("connect", () => client.subscribe("spBv1.0/#", { qos: 1 }, () => tell({ cmd: "host connected" })))
client.on("message", (topic, bytes, p) => {
  if (topic.includes("/STATE/") || topic.includes("CMD/")) return
  tell({ cmd: "heard", topic, retain: p.retain, payload: payload(bytes, topic) })
})

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const said = JSON.parse(line)
  if (said.door === "frozen" || said.door === "thawed") frozen = said.door === "frozen"
  if (said.door === "open") server.listen(at, "127.0.0.1")
  if (said.door === "shut") { server.close(); for (const s of [...sockets]) s.destroy() }
  if (said.state) client.publish(`spBv1.0/STATE/${said.state}`, JSON.stringify({ online: said.online, timestamp: said.timestamp }), { qos: 1, retain: true })
  if (said.command) client.publish(said.command, Buffer.from(sparkplug.encodePayload({ timestamp: Date.now(), metrics: said.metrics })))
  if (said.bytes) client.publish(said.topic, Buffer.from(said.bytes, "hex"))
}).on("close", () => process.exit(0))
