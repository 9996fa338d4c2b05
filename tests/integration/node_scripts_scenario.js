// What test_node_clients.py runs: Bull, bee-queue, redlock and rate-limiter-flexible, which send scripts.
// node node_scripts_scenario.js PORT

const assert = require("node:assert/strict");
const { setTimeout: sleep } = require("node:timers/promises");
const port = Number(process.argv[2]);
const redis = { host: "127.0.0.1", port };

async function until(condition) {
  while (!(await condition())) await sleep(10);
}

function sorted(numbers) {
  return [...numbers].sort((one, other) => one - other);
}

async function withBull() {
  const Queue = require("bull");
  const queue = new Queue("q", { redis });
  const done = [];
  let failed = false;
  queue.process(2, async ({ data }) => {
    if (data.n === 3 && !failed) {
      failed = true;
      throw new Error("once");
    }
    done.push(data.n);
    return data.n * 2;
  });
  for (let n = 0; n < 10; n++) await queue.add({ n }, { attempts: 3, backoff: 50 });
  await queue.add({ n: 99 }, { delay: 200 });
  const job = await queue.add({ n: 50 }, { priority: 1 });
  assert.equal(await job.finished(), 100);
  await until(() => done.length === 12);
  assert.deepEqual(sorted(done), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 50, 99]);
  await until(async () => (await queue.getJobCounts()).completed === 12);
  await queue.close();
}

async function withBeeQueue() {
  const Queue = require("bee-queue");
  const queue = new Queue("b", { redis, activateDelayedJobs: true });
  const done = [];
  queue.process(async ({ data }) => done.push(data.n));
  await queue.createJob({ n: 1 }).save();
  await queue.createJob({ n: 2 }).delayUntil(Date.now() + 200).save();
  await until(() => done.length === 2);
  assert.deepEqual(done, [1, 2]);
  await queue.close();
}

async function withLocksAndLimits() {
  const Redis = require("ioredis");
  const Redlock = require("redlock");
  const { RateLimiterRedis } = require("rate-limiter-flexible");
  const r = new Redis(redis);
  const locks = new Redlock([r], { retryCount: 0 });
  const lock = await locks.lock("resource", 5000);
  await assert.rejects(locks.lock("resource", 5000));
  await (await lock.extend(8000)).unlock();
  await (await locks.lock("resource", 1000)).unlock();

  const limiter = new RateLimiterRedis({ storeClient: r, points: 3, duration: 60 });
  for (let number = 0; number < 3; number++) await limiter.consume("user");
  await assert.rejects(limiter.consume("user"));
  await limiter.consume("another");

  r.defineCommand("compare", { numberOfKeys: 1, lua: "return redis.call('get', KEYS[1]) == ARGV[1]" });
  await r.set("k", "v");
  assert.equal(await r.compare("k", "v"), 1);
  await r.script("FLUSH");
  assert.equal(await r.compare("k", "w"), null);
  await r.quit();
}

async function main() {
  await withBull();
  await withBeeQueue();
  await withLocksAndLimits();
  console.log("done");
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
