// What test_secure_clients.py runs: ioredis and node-redis with a user and a password, and with TLS where there is an
// authority.
//
//     node node_secure_scenario.js PORT USER PASSWORD [AUTHORITY]

const assert = require("assert");
const fs = require("fs");
const Ioredis = require("ioredis");
const { createClient } = require("redis");

const [port, username, password, authority] = process.argv.slice(2);
const tls = authority ? { ca: fs.readFileSync(authority) } : undefined;
const BIG = "v".repeat(100000);

async function ioredis() {
  const options = { host: "127.0.0.1", port: Number(port), username, password, tls };
  const one = new Ioredis(options), other = new Ioredis(options);
  assert.strictEqual(await one.set("k", BIG), "OK");
  assert.strictEqual(await one.get("k"), BIG);
  const heard = new Promise((resolve) => other.on("message", (channel, message) => resolve(message)));
  await other.subscribe("c");
  assert.strictEqual(await one.publish("c", "hello"), 1);
  assert.strictEqual(await heard, "hello");
  await other.unsubscribe("c");
  const waiting = other.blpop("l", 10);
  await one.rpush("l", "a");
  assert.deepStrictEqual(await waiting, ["l", "a"]);
  one.disconnect(true);
  assert.strictEqual(await one.get("k"), BIG);
  const wrong = new Ioredis({ ...options, password: "wrong", retryStrategy: null, maxRetriesPerRequest: 0 });
  wrong.on("error", () => {});
  await assert.rejects(wrong.get("k"), /WRONGPASS|NOAUTH|Connection is closed/);
  for (const client of [one, other, wrong]) client.disconnect();
}

async function nodeRedis() {
  const socket = { host: "127.0.0.1", port: Number(port), ...(tls ? { tls: true, ...tls } : {}) };
  const one = createClient({ username, password, socket });
  one.on("error", (error) => { throw error; });
  await one.connect();
  const other = one.duplicate();
  other.on("error", (error) => { throw error; });
  await other.connect();
  assert.strictEqual(await one.set("k", BIG), "OK");
  assert.strictEqual(await one.get("k"), BIG);
  const waiting = other.blPop("l", 10);
  await one.rPush("l", "a");
  assert.deepStrictEqual({ ...(await waiting) }, { key: "l", element: "a" });
  const heard = new Promise((resolve) => other.subscribe("c", resolve).then(() => one.publish("c", "hello")));
  assert.strictEqual(await heard, "hello");
  const wrong = createClient({ username, password: "wrong", socket: { ...socket, reconnectStrategy: false } });
  wrong.on("error", () => {});
  await assert.rejects(wrong.connect(), /WRONGPASS/);
  one.destroy();
  other.destroy();
}

ioredis().then(nodeRedis).then(() => {
  console.log("done");
  process.exit(0);
}, (error) => {
  console.error(error);
  process.exit(1);
});
