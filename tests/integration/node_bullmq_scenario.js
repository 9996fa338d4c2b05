// What test_node_clients.py runs: BullMQ, whose state is scripts and whose events are a stream.
// node node_bullmq_scenario.js PORT

const assert = require("node:assert/strict");
const { setTimeout: sleep } = require("node:timers/promises");
const { Queue, Worker, QueueEvents, FlowProducer } = require("bullmq");
const connection = { host: "127.0.0.1", port: Number(process.argv[2]) };

async function until(condition) {
  while (!(await condition())) await sleep(10);
}

// Runs `use` with a queue, the listener of its events, and a worker of it; `work` is its function.
async function withQueue(name, work, options, use) {
  const queue = new Queue(name, { connection });
  const events = new QueueEvents(name, { connection });
  await events.waitUntilReady();
  const worker = new Worker(name, work, { connection, ...options });
  await worker.waitUntilReady();
  await use(queue, events, worker);
  await worker.close();
  await events.close();
  await queue.close();
}

async function jobs() {
  const heard = { completed: [], failed: [], delayed: [], progress: [] };
  const work = async (job) => {
    await job.updateProgress(50);
    if (job.data.fails >= job.attemptsMade + 1) throw new Error("not yet");
    await job.log("worked");
    return job.data.n * 2;
  };
  await withQueue("jobs", work, { concurrency: 2 }, async (queue, events) => {
    for (const name of Object.keys(heard)) events.on(name, ({ jobId }) => heard[name].push(jobId));
    const many = await queue.addBulk([1, 2, 3, 4, 5].map((n) => ({ name: "n", data: { n } })));
    assert.deepEqual(await Promise.all(many.map((job) => job.waitUntilFinished(events))), [2, 4, 6, 8, 10]);
    const delayed = await queue.add("late", { n: 6 }, { delay: 300 });
    assert.equal(await delayed.getState(), "delayed");
    const tried = await queue.add("again", { n: 7, fails: 2 }, { attempts: 3, backoff: { type: "fixed", delay: 50 } });
    const failing = await queue.add("fails", { n: 8, fails: 9 }, { attempts: 2 });
    const urgent = await queue.add("urgent", { n: 9 }, { priority: 1 });
    assert.equal(await delayed.waitUntilFinished(events), 12);
    assert.equal(await tried.waitUntilFinished(events), 14);
    assert.equal(await urgent.waitUntilFinished(events), 18);
    await assert.rejects(failing.waitUntilFinished(events), /not yet/);
    await until(() => heard.completed.length === 8 && heard.failed.length === 1);
    assert.deepEqual(heard.failed, [failing.id]);
    assert.ok(heard.delayed.includes(delayed.id) && heard.progress.includes(tried.id));
    const { completed, failed, waiting, active } = await queue.getJobCounts();
    assert.deepEqual({ completed, failed, waiting, active }, { completed: 8, failed: 1, waiting: 0, active: 0 });
    assert.deepEqual((await queue.getJobLogs(urgent.id)).logs, ["worked"]);
    const again = await queue.getJob(failing.id);
    assert.equal(again.failedReason, "not yet");
    await again.updateData({ n: 8, fails: 0 });
    await again.retry();
    await until(async () => (await again.getState()) === "completed");
    const once = await queue.add("once", { n: 1 }, { jobId: "own id", removeOnComplete: true });
    assert.equal((await queue.add("once", { n: 1 }, { jobId: "own id" })).id, once.id);
    await until(async () => !(await queue.getJob("own id")));
    await queue.pause();
    const paused = await queue.add("paused", { n: 3 });
    assert.equal((await queue.getJobCounts("paused", "waiting")).paused + (await queue.getWaitingCount()) > 0, true);
    await queue.resume();
    assert.equal(await paused.waitUntilFinished(events), 6);
    await queue.clean(0, 100, "completed");
    assert.equal(await queue.getCompletedCount(), 0);
    await queue.trimEvents(0);
    await queue.obliterate();
    assert.equal((await queue.getJobCounts()).completed, 0);
  });
}

async function repeated() {
  const ran = [];
  const work = async (job) => ran.push(job.name);
  await withQueue("repeated", work, {}, async (queue) => {
    await queue.upsertJobScheduler("often", { every: 100, limit: 3 }, { name: "tick" });
    await queue.upsertJobScheduler("seldom", { pattern: "0 0 1 1 *" }, { name: "new year" });
    await until(() => ran.length >= 3);
    const names = (await queue.getJobSchedulers()).map(({ key }) => key);
    assert.ok(names.includes("seldom"), names);
    assert.equal(await queue.removeJobScheduler("seldom"), true);
    await queue.removeJobScheduler("often");
    assert.deepEqual(await queue.getJobSchedulers(), []);
    assert.deepEqual([...new Set(ran)], ["tick"]);
  });
}

async function limited() {
  const ran = [];
  const work = async (job) => ran.push(job.data.n);
  const many = [1, 2, 3, 4, 5, 6].map((n) => ({ name: "n", data: { n } }));
  await withQueue("hourly", work, { limiter: { max: 2, duration: 3_600_000 } }, async (queue, _, worker) => {
    await queue.addBulk(many);
    await until(async () => (await queue.getCompletedCount()) === 2);
    await until(async () => (await queue.getRateLimitTtl(2)) > 0);
    assert.deepEqual(ran, [1, 2]);
    assert.deepEqual([await queue.getWaitingCount(), await queue.getActiveCount()], [4, 0]);
    await worker.close(true);
  });
  ran.length = 0;
  await withQueue("limited", work, { limiter: { max: 2, duration: 100 } }, async (queue, events) => {
    const added = await queue.addBulk(many);
    await Promise.all(added.map((job) => job.waitUntilFinished(events)));
    assert.deepEqual(ran, [1, 2, 3, 4, 5, 6]);
  });
}

async function flows() {
  const order = [];
  const work = async (job) => {
    order.push(job.name);
    if (job.name === "bad child") throw new Error("bad");
    const values = Object.values(await job.getChildrenValues());
    return values.reduce((sum, value) => sum + value, job.data.n);
  };
  await withQueue("flows", work, {}, async (queue, events) => {
    const flow = new FlowProducer({ connection });
    const child = (name, n, children) => ({ name, queueName: "flows", data: { n }, children });
    const tree = await flow.add(child("parent", 1, [child("one", 10), child("two", 100, [child("three", 1000)])]));
    assert.equal(await tree.job.waitUntilFinished(events), 1111);
    assert.ok(order.indexOf("three") < order.indexOf("two") && order.at(-1) === "parent", order.join());
    const bad = child("bad child", 1);
    bad.opts = { failParentOnFailure: true };
    const failed = await flow.add(child("unlucky", 1, [bad]));
    await assert.rejects(failed.job.waitUntilFinished(events), /failed/);
    await flow.close();
  });
}

async function main() {
  await jobs();
  await repeated();
  await limited();
  await flows();
  console.log("done");
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
