"use strict";
/*
 * grpc_server.py on grpc-js, the same calls:
 *
 *     server.js --name NAME --port PORT --address ADDRESS [--address ADDRESS ...]
 *               [--certificate FILE --key FILE]
 */
const { readFileSync } = require("node:fs");
const { parseArgs } = require("node:util");
const grpc = require("@grpc/grpc-js");
const { definition, options } = require("./echo");

const { values } = parseArgs({
  options: {
    name: { type: "string" },
    port: { type: "string" },
    address: { type: "string", multiple: true },
    certificate: { type: "string" },
    key: { type: "string" },
  },
});

let begun = 0;
let cancelled = 0;

function enter(call) {
  begun++;
  call.on("cancelled", () => cancelled++);
  const metadata = new grpc.Metadata();
  metadata.set("x-server", values.name);
  call.sendMetadata(metadata);
}

function unary(call, answer) {
  enter(call);
  answer(null, call.request);
}

function clientStream(call, answer) {
  let total = 0;
  enter(call);
  call.on("data", (message) => (total += message.length));
  call.on("end", () => answer(null, Buffer.from(String(total))));
}

/* COUNT messages, as fast as they are taken. */
function serverStream(call) {
  const count = Number(call.request.toString());
  let number = 0;
  enter(call);
  const go = () => {
    while (number < count)
      if (!call.write(Buffer.from(String(number++)))) {
        call.once("drain", go);
        return;
      }
    call.end();
  };
  go();
}

function bidi(call) {
  enter(call);
  call.on("data", (message) => call.write(message));
  call.on("end", () => call.end());
}

function slow(call) {
  let number = 0;
  enter(call);
  const timer = setInterval(() => call.write(Buffer.from(String(number++))), 50);
  call.on("cancelled", () => clearInterval(timer));
}

function fail(call, answer) {
  const text = call.request.toString();
  const space = text.indexOf(" ");
  enter(call);
  answer({ code: Number(text.slice(0, space)), details: text.slice(space + 1) });
}

function meta(call, answer) {
  const leading = new grpc.Metadata();
  const trailing = new grpc.Metadata();
  begun++;
  for (const key of ["x-one", "x-two-bin"])
    for (const value of call.metadata.get(key)) {
      leading.add(key, value);
      trailing.add("trail-" + key, value);
    }
  call.sendMetadata(leading);
  answer(null, call.request, trailing);
}

function big(call, answer) {
  enter(call);
  answer(null, Buffer.alloc(Number(call.request.toString())));
}

const calls = (call, answer) => answer(null, Buffer.from(`${begun} ${cancelled}`));

const server = new grpc.Server(options);
server.addService(definition, {
  Unary: unary,
  Fail: fail,
  Meta: meta,
  Big: big,
  Hang: enter,
  Calls: calls,
  ServerStream: serverStream,
  Slow: slow,
  ClientStream: clientStream,
  Bidi: bidi,
});

const credentials = values.certificate
  ? grpc.ServerCredentials.createSsl(null, [
      { cert_chain: readFileSync(values.certificate), private_key: readFileSync(values.key) },
    ])
  : grpc.ServerCredentials.createInsecure();

function bind(addresses) {
  if (addresses.length === 0) return console.log("ready");
  const [address, ...others] = addresses;
  const host = address.includes(":") ? `[${address}]` : address;
  server.bindAsync(`${host}:${values.port}`, credentials, (error) => {
    if (error) throw error;
    bind(others);
  });
}

process.on("SIGTERM", () => process.exit(0));
bind(values.address);
