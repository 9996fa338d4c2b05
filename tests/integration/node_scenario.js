// What test_node_clients.py runs: ioredis and node-redis with default options.  node node_scenario.js PORT

const assert = require("node:assert/strict");
const port = Number(process.argv[2]);

async function withIoredis() {
  const Redis = require("ioredis");
  const r = new Redis({ port });
  assert.equal(await r.flushall(), "OK");
  assert.equal(await r.set("a", "value", "EX", 100), "OK");
  assert.equal(await r.get("a"), "value");
  assert.ok((await r.ttl("a")) > 95);
  assert.deepEqual(await r.mget("a", "none"), ["value", null]);
  assert.equal(await r.incrby("n", 42), 42);
  assert.deepEqual(await r.pipeline().set("p", 1).incr("p").get("p").exec(), [[null, "OK"], [null, 2], [null, "2"]]);
  assert.deepEqual(await r.multi().set("p", 5).incr("p").exec(), [[null, "OK"], [null, 6]]);
  const other = r.duplicate();
  await r.watch("p");
  await other.set("p", 0);
  assert.equal(await r.multi().incr("p").exec(), null);
  await assert.rejects(r.incr("a"), /value is not an integer or out of range/);
  await Promise.all(Array.from({ length: 2000 }, (_, i) => r.set("key:" + i, i)));
  const names = new Set();
  for await (const page of r.scanStream({ match: "key:*", count: 100 })) page.forEach((name) => names.add(name));
  assert.equal(names.size, 2000);
  const large = Buffer.alloc(5_000_000, "ab\0\r\n");
  await r.set("large", large);
  assert.ok(large.equals(await r.getBuffer("large")));
  assert.match(await r.info("server"), /redis_version:7\./);
  assert.equal(await r.client("SETNAME", "node"), "OK");
  assert.match(await r.client("LIST"), /name=node /);
  assert.equal(await r.quit(), "OK");
  await other.quit();
  console.log("ioredis", require("ioredis/package.json").version);
}

async function withNodeRedis(protocol) {
  const { createClient, WatchError } = require("redis");
  const r = await createClient({ socket: { port }, RESP: protocol }).connect();
  await r.flushAll();
  assert.equal(await r.ping(), "PONG");
  assert.equal(await r.set("a", "value", { EX: 100 }), "OK");
  assert.equal(await r.get("a"), "value");
  assert.ok((await r.ttl("a")) > 95);
  assert.deepEqual(await r.mGet(["a", "none"]), ["value", null]);
  assert.deepEqual(await r.multi().set("p", "5").incr("p").get("p").exec(), ["OK", 6, "6"]);
  const other = await r.duplicate().connect();
  await r.watch("p");
  await other.set("p", "0");
  await assert.rejects(r.multi().incr("p").exec(), WatchError);
  await Promise.all(Array.from({ length: 2000 }, (_, i) => r.set("key:" + i, String(i))));
  const names = new Set();
  for await (const page of r.scanIterator({ MATCH: "key:*", COUNT: 100 })) [page].flat().forEach((name) => names.add(name));
  assert.equal(names.size, 2000);
  assert.equal((await r.configGet("maxmemory-policy"))["maxmemory-policy"], "noeviction");
  await assert.rejects(r.incr("a"), /value is not an integer or out of range/);
  assert.match((await r.clientInfo()).libName, /node-redis/);
  await other.close();
  await r.close();
  console.log("node-redis", require("redis/package.json").version, "RESP" + protocol);
}

withIoredis()
  .then(() => withNodeRedis(2))
  .then(() => withNodeRedis(3))
  .then(() => console.log("done"))
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
