// What test_node_clients.py runs: ioredis and node-redis on collections.  node node_collections_scenario.js PORT
// It asks for a restart of the server in the middle (see programs.py); the clients find their way back by themselves.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const readline = require("node:readline");
const { setTimeout: sleep } = require("node:timers/promises");
const port = Number(process.argv[2]);
const input = readline.createInterface({ input: process.stdin });

async function until(condition) {
  while (!(await condition())) await sleep(10);
}

async function restart() {
  const resumed = once(input, "line");
  console.log("restart");
  await resumed;
}

async function withIoredis() {
  const Redis = require("ioredis");
  const r = new Redis({ port });
  r.on("error", () => {}); // raised while the server is away
  await r.flushall();

  assert.equal(await r.rpush("l", "a", "b", "c"), 3);
  assert.deepEqual(await r.lrange("l", 0, -1), ["a", "b", "c"]);
  assert.equal(await r.lmove("l", "m", "LEFT", "RIGHT"), "a");
  assert.deepEqual(await r.lpop("l", 5), ["b", "c"]);
  assert.equal(await r.hset("h", { name: "Ada", age: 36 }), 2);
  assert.deepEqual(await r.hgetall("h"), { name: "Ada", age: "36" });
  assert.equal(await r.hincrby("h", "age", 1), 37);
  assert.equal(await r.sadd("s", "a", "b"), 2);
  assert.deepEqual((await r.smembers("s")).sort(), ["a", "b"]);
  assert.equal(await r.zadd("z", 1, "a", 2.5, "b"), 2);
  assert.deepEqual(await r.zrange("z", 0, -1, "WITHSCORES"), ["a", "1", "b", "2.5"]);
  assert.equal(await r.zincrby("z", 2, "a"), "3");
  assert.deepEqual(await r.multi().lpush("l", 1).hdel("h", "age").zcard("z").smembers("none").exec(), [
    [null, 1],
    [null, 1],
    [null, 2],
    [null, []],
  ]);
  await Promise.all(Array.from({ length: 1000 }, (_, i) => r.pipeline().hset("H", "f" + i, i).sadd("S", i).zadd("Z", i, "m" + i).exec()));
  const fields = {};
  for await (const page of r.hscanStream("H", { count: 100 })) for (let i = 0; i < page.length; i += 2) fields[page[i]] = page[i + 1];
  assert.equal(Object.keys(fields).length, 1000);
  assert.equal(fields.f999, "999");
  const members = new Set();
  for await (const page of r.sscanStream("S", { count: 100 })) page.forEach((member) => members.add(member));
  assert.equal(members.size, 1000);
  const ranked = new Set();
  for await (const page of r.zscanStream("Z", { match: "m99*" })) page.filter((_, i) => i % 2 == 0).forEach((name) => ranked.add(name));
  assert.equal(ranked.size, 11);

  const waiter = r.duplicate();
  waiter.on("error", () => {});
  const popped = waiter.blpop("q1", "q2", 20);
  const lowest = r.duplicate();
  lowest.on("error", () => {});
  const least = lowest.bzpopmin("zq", 20);
  await until(async () => /blocked_clients:2/.test(await r.info("clients")));
  await r.rpush("q2", "job");
  await r.zadd("zq", 7, "only");
  assert.deepEqual(await popped, ["q2", "job"]);
  assert.deepEqual(await least, ["zq", "only", "7"]);
  assert.equal(await waiter.blpop("q1", 0.05), null);

  const listener = r.duplicate();
  listener.on("error", () => {});
  const received = [];
  listener.on("message", (channel, message) => received.push([channel, message]));
  listener.on("pmessage", (pattern, channel, message) => received.push([pattern, channel, message]));
  assert.equal(await listener.subscribe("news"), 1);
  assert.equal(await listener.psubscribe("sport.*"), 2);
  assert.equal(await r.publish("news", "hello"), 1);
  assert.equal(await r.publish("sport.golf", "hole in one"), 1);
  await until(() => received.length == 2);
  assert.deepEqual(received, [["news", "hello"], ["sport.*", "sport.golf", "hole in one"]]);

  await r.expire("h", 1000);
  await restart();
  assert.deepEqual(await r.hgetall("h"), { name: "Ada" });
  assert.ok((await r.ttl("h")) > 900);
  assert.equal(await r.zrank("Z", "m500"), 500);
  const again = waiter.blmove("q1", "q3", "LEFT", "RIGHT", 20);
  await r.rpush("q1", "after");
  assert.equal(await again, "after");
  await until(async () => (await r.publish("news", "after")) == 1); // it has subscribed again by itself
  await until(() => received.length == 3);
  for (const client of [r, waiter, lowest, listener]) await client.quit();
}

async function withNodeRedis(protocol) {
  const { createClient } = require("redis");
  const create = async () => {
    const client = createClient({ socket: { port }, RESP: protocol });
    client.on("error", () => {});
    return client.connect();
  };
  const r = await create();
  await r.flushAll();

  assert.equal(await r.rPush("l", ["a", "b", "c"]), 3);
  assert.deepEqual(await r.lRange("l", 0, -1), ["a", "b", "c"]);
  assert.equal(await r.lMove("l", "m", "LEFT", "RIGHT"), "a");
  assert.deepEqual(await r.lmPop(["none", "l"], "LEFT", { COUNT: 5 }), ["l", ["b", "c"]]);
  assert.equal(await r.hSet("h", { name: "Ada", age: "36" }), 2);
  assert.deepEqual({ ...(await r.hGetAll("h")) }, { name: "Ada", age: "36" });
  assert.equal(await r.hIncrBy("h", "age", 1), 37);
  assert.equal(await r.sAdd("s", ["a", "b"]), 2);
  assert.deepEqual([...(await r.sMembers("s"))].sort(), ["a", "b"]);
  assert.equal(await r.zAdd("z", [{ score: 1, value: "a" }, { score: 2.5, value: "b" }]), 2);
  const scored = (await r.zRangeWithScores("z", 0, -1)).map(({ value, score }) => [value, score]);
  assert.deepEqual(scored, [["a", 1], ["b", 2.5]]);
  assert.equal(await r.zIncrBy("z", 2, "a"), 3);
  assert.equal(await r.zScore("z", "none"), null);
  assert.deepEqual(await r.multi().lPush("l", "1").hDel("h", "age").zCard("z").zScore("z", "a").exec(), [1, 1, 2, 3]);
  await Promise.all(Array.from({ length: 1000 }, (_, i) => Promise.all([
    r.hSet("H", "f" + i, String(i)), r.sAdd("S", String(i)), r.zAdd("Z", { score: i, value: "m" + i })])));
  const fields = new Set(), members = new Set(), ranked = new Map();
  for await (const page of r.hScanIterator("H", { COUNT: 100 })) [page].flat().forEach(({ field }) => fields.add(field));
  for await (const page of r.sScanIterator("S", { COUNT: 100 })) [page].flat().forEach((member) => members.add(member));
  for await (const page of r.zScanIterator("Z", { COUNT: 100 })) [page].flat().forEach(({ value, score }) => ranked.set(value, score));
  assert.deepEqual([fields.size, members.size, ranked.size, ranked.get("m999")], [1000, 1000, 1000, 999]);

  const waiter = await create();
  const popped = waiter.blPop(["q1", "q2"], 20);
  await until(async () => /blocked_clients:1/.test(await r.info("clients")));
  await r.rPush("q2", "job");
  assert.deepEqual({ ...(await popped) }, { key: "q2", element: "job" });
  const least = waiter.bzPopMin(["zq"], 20);
  await until(async () => /blocked_clients:1/.test(await r.info("clients")));
  await r.zAdd("zq", { score: 7, value: "only" });
  assert.deepEqual({ ...(await least) }, { key: "zq", value: "only", score: 7 });
  assert.equal(await waiter.blPop("q1", 0.05), null);

  const listener = await create();
  const received = [];
  await listener.subscribe("news", (message) => received.push(message));
  await listener.pSubscribe("sport.*", (message, channel) => received.push(channel + ": " + message));
  assert.equal(await r.publish("news", "hello"), 1);
  assert.equal(await r.publish("sport.golf", "hole in one"), 1);
  await until(() => received.length == 2);
  assert.deepEqual(received, ["hello", "sport.golf: hole in one"]);

  await r.expire("h", 1000);
  await restart();
  assert.deepEqual({ ...(await r.hGetAll("h")) }, { name: "Ada" });
  assert.ok((await r.ttl("h")) > 900);
  assert.equal(await r.zRank("Z", "m500"), 500);
  const again = waiter.blMove("q1", "q3", "LEFT", "RIGHT", 20);
  await r.rPush("q1", "after");
  assert.equal(await again, "after");
  await until(async () => (await r.publish("news", "after")) == 1);
  await until(() => received.length == 3);
  for (const client of [r, waiter, listener]) await client.close();
}

withIoredis()
  .then(() => withNodeRedis(2))
  .then(() => withNodeRedis(3))
  .then(() => console.log("done"))
  .then(() => input.close())
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
