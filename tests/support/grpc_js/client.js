"use strict";
/*
 * grpc_client.py on grpc-js, the same checks:
 *
 *     client.js [--ca FILE] TARGET CHECK [ARGUMENT ...]
 *
 * With FILE by TLS; whoever it names vouches for the target.
 */
const assert = require("node:assert/strict");
const { once } = require("node:events");
const { readFileSync } = require("node:fs");
const grpc = require("@grpc/grpc-js");
const { definition, options } = require("./echo");

const PATIENCE_MS = 30000;
const MEGABYTE = 1 << 20;

const words = process.argv.slice(2);
const credentials =
  words[0] === "--ca"
    ? grpc.credentials.createSsl(readFileSync(words.splice(0, 2)[1]))
    : grpc.credentials.createInsecure();
const [target, check, ...details] = words;
const Echo = grpc.makeGenericClientConstructor(definition, "Echo");
const client = new Echo(target, credentials, options);
const soon = (ms = PATIENCE_MS) => ({ deadline: Date.now() + ms });

/* One answer. */
function ask(name, message, metadata = new grpc.Metadata(), ms = PATIENCE_MS) {
  return new Promise((resolve, reject) => {
    client[name](message, metadata, soon(ms), (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
}

async function unary() {
  for (const size of [0, 1, 100, 16384, MEGABYTE])
    assert.deepEqual(await ask("Unary", Buffer.alloc(size, 7)), Buffer.alloc(size, 7));
}

async function big() {
  assert.equal((await ask("Big", Buffer.from(String(4 * MEGABYTE)))).length, 4 * MEGABYTE);
  assert.equal((await ask("Unary", Buffer.alloc(4 * MEGABYTE))).length, 4 * MEGABYTE);
}

async function client_stream() {
  let total = 0;
  const answer = new Promise((resolve, reject) => {
    const call = client.ClientStream(soon(), (error, value) =>
      error ? reject(error) : resolve(value),
    );
    for (let i = 0; i < 500; i++) {
      call.write(Buffer.alloc(1000 + i));
      total += 1000 + i;
    }
    call.end();
  });
  assert.equal(Number((await answer).toString()), total);
}

/* The messages of a stream of COUNT, in order. */
async function read_stream(count) {
  let seen = 0;
  for await (const message of client.ServerStream(Buffer.from(String(count)), soon()))
    assert.equal(message.toString(), String(seen++));
  assert.equal(seen, count);
}

const server_stream = () => read_stream(5000);

/*
 * So many subscribers ask the same endless stream at the same time; each sees it from its start, and
 * leaves after so many messages. With the `accept` that other programs send, too.
 */
async function same_stream(count, messages = 10) {
  const metadata = new grpc.Metadata();
  metadata.set("accept", "*/*");
  const subscribe = async () => {
    let seen = 0;
    const call = client.Slow(Buffer.alloc(0), metadata);
    call.on("error", () => {});
    for await (const message of call) {
      assert.equal(message.toString(), String(seen++));
      if (seen === Number(messages)) break;
    }
    assert.equal(seen, Number(messages));
    call.cancel();
  };
  await Promise.all(Array.from({ length: Number(count) }, subscribe));
}

/* Each message is sent when the one before has come back: nothing may be held up. */
async function bidi() {
  const call = client.Bidi(soon());
  let seen = 0;
  call.on("data", (message) => {
    assert.equal(message.toString(), String(seen++));
    if (seen < 200) call.write(Buffer.from(String(seen)));
    else call.end();
  });
  call.write(Buffer.from("0"));
  await once(call, "end");
  assert.equal(seen, 200);
}

async function status() {
  for (let code = 1; code <= 16; code++) {
    const text = `reason number ${code}: 100% \u00e4`;
    await assert.rejects(ask("Fail", Buffer.from(`${code} ${text}`)), { code, details: text });
  }
}

async function metadata() {
  const given = new grpc.Metadata();
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  given.add("x-one", "a b");
  given.add("x-two-bin", bytes);
  const call = client.Meta(Buffer.alloc(0), given, soon(), () => {});
  const [[leading], [end]] = await Promise.all([once(call, "metadata"), once(call, "status")]);
  assert.equal(end.code, 0);
  for (const [prefix, got] of [["", leading], ["trail-", end.metadata]]) {
    assert.deepEqual(got.get(prefix + "x-one"), ["a b"]);
    assert.deepEqual(got.get(prefix + "x-two-bin"), [bytes]);
  }
}

async function deadline() {
  const hangs = ask("Hang", Buffer.alloc(0), new grpc.Metadata(), 500);
  await assert.rejects(hangs, { code: grpc.status.DEADLINE_EXCEEDED });
}

/* So many streams are begun, read a little and cancelled. */
async function cancel(count) {
  for (let i = 0; i < Number(count); i++) {
    const call = client.Slow(Buffer.alloc(0), soon());
    let seen = 0;
    call.on("data", () => ++seen === 2 && call.cancel());
    const [error] = await once(call, "error");
    assert.equal(error.code, grpc.status.CANCELLED);
  }
}

/* Calls side by side on one connection. */
async function many(count) {
  const calls = Array.from({ length: Number(count) }, (_, i) => ask("Unary", Buffer.from(`${i}`)));
  (await Promise.all(calls)).forEach((answer, i) => assert.equal(answer.toString(), `${i}`));
}

const checks = {
  unary, big, client_stream, server_stream, same_stream, bidi, status, metadata, deadline, cancel,
  many,
};

checks[check](...details).then(
  () => {
    console.log("{}");
    client.close();
  },
  (error) => {
    console.error(`${check}: ${error.stack}`);
    process.exit(1);
  },
);
