// What test_node_clients.py runs: socket.io on streams, on both clients, and express-rate-limit's store.
// node node_streams_scenario.js PORT

const assert = require("node:assert/strict");
const { createServer } = require("node:http");
const { setTimeout: sleep } = require("node:timers/promises");
const port = Number(process.argv[2]);

async function until(condition) {
  while (!(await condition())) await sleep(10);
}

// Two servers of socket.io that share a stream, each with one visitor; `written` says how many entries it has.
async function chat(clients, written) {
  const { Server } = require("socket.io");
  const { io: visit } = require("socket.io-client");
  const { createAdapter } = require("@socket.io/redis-streams-adapter");
  const options = { connectionStateRecovery: { maxDisconnectionDuration: 60_000 } };
  const servers = [];
  const visitors = [];
  for (const client of clients) {
    const http = createServer();
    const server = new Server(http, { ...options, adapter: createAdapter(client, { blockTimeInMs: 100 }) });
    server.on("connection", (socket) => socket.join("room"));
    await new Promise((done) => http.listen(0, "127.0.0.1", done));
    const visitor = visit(`http://127.0.0.1:${http.address().port}`, { transports: ["websocket"], reconnectionDelay: 50 });
    visitor.heard = [];
    visitor.ready = new Set();
    visitor.on("ready", (from) => visitor.ready.add(from));
    visitor.on("said", (text, answer) => {
      visitor.heard.push(text.toString());
      if (typeof answer === "function") answer(visitor.heard.length);
    });
    await new Promise((done) => visitor.on("connect", done));
    servers.push(server);
    visitors.push(visitor);
  }
  const [one, other] = servers;
  await until(async () => (await one.fetchSockets()).length === 2);
  // Until a server has read an entry its adapter asks for what comes from now on, and misses what comes in between.
  await until(() => {
    servers.forEach((server, number) => server.emit("ready", number));
    return visitors.every(({ ready }) => ready.size === 2);
  });
  one.to("room").emit("said", "to all");
  await until(() => visitors.every(({ heard }) => heard.length === 1));
  other.emit("said", Buffer.from("bytes"));
  await until(() => visitors.every(({ heard }) => heard.length === 2));
  for (const { heard } of visitors) assert.deepEqual(heard, ["to all", "bytes"]);
  assert.deepEqual(await one.timeout(5000).emitWithAck("said", "asked"), [3, 3]);
  other.on("hello", (text, answer) => answer(`${text} back`));
  assert.deepEqual(await one.serverSideEmitWithAck("hello", "hello"), ["hello back"]);

  const missed = visitors[0];
  missed.io.reconnection(false);
  missed.io.engine.close();
  await until(() => one.sockets.sockets.size === 0);
  const before = await written();
  other.emit("said", "while away");
  await until(async () => (await written()) > before);
  missed.connect();
  await until(() => missed.connected);
  await until(() => missed.heard.length === 4);
  assert.equal(missed.recovered, true);
  assert.deepEqual(missed.heard.slice(2), ["asked", "while away"]);
  for (const visitor of visitors) visitor.close();
  for (const server of servers) await server.close();
}

async function limits(r) {
  const { rateLimit } = require("express-rate-limit");
  const { RedisStore } = require("rate-limit-redis");
  const express = require("express");
  const limiter = rateLimit({
    windowMs: 60_000,
    limit: 3,
    standardHeaders: "draft-7",
    store: new RedisStore({ sendCommand: (command, ...rest) => r.call(command, ...rest), prefix: "limit:" }),
  });
  const app = express();
  app.use(limiter);
  app.get("/", (_, answer) => answer.send("page"));
  const server = await new Promise((done) => {
    const listening = app.listen(0, "127.0.0.1", () => done(listening));
  });
  const url = `http://127.0.0.1:${server.address().port}/`;
  const statuses = async (count) => {
    const found = [];
    for (let number = 0; number < count; number++) found.push((await fetch(url)).status);
    return found;
  };
  assert.deepEqual(await statuses(5), [200, 200, 200, 429, 429]);
  const [key] = await r.keys("limit:*");
  const left = await r.pttl(key);
  assert.ok(left > 0 && left <= 60_000);
  await limiter.resetKey(key.slice("limit:".length));
  await r.script("FLUSH");
  assert.deepEqual(await statuses(4), [200, 200, 200, 429]);
  server.close();
}

async function main() {
  const Redis = require("ioredis").Redis;
  const { createClient } = require("redis");
  const r = new Redis({ host: "127.0.0.1", port });
  const client = createClient({ url: `redis://127.0.0.1:${port}` });
  await client.connect();
  await chat([client, await client.duplicate().connect()], () => r.xlen("socket.io"));
  await r.flushall();
  await chat([r, r.duplicate()], () => r.xlen("socket.io"));
  await limits(r);
  console.log("done");
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
