// The worker of bullmq_jobs.py, or with the argument "queue" its queue: a number asks for that job, "settled" whether
// all are done, each answered by a line.

const { appendFileSync } = require("node:fs");
const { createInterface } = require("node:readline");
const { setTimeout: sleep } = require("node:timers/promises");
const { Queue, Worker } = require("bullmq");
const connection = { host: "127.0.0.1", port: Number(process.env.KEYP_PORT), maxRetriesPerRequest: null };
const WORK_MS = 5;

async function work({ data }) {
  await sleep(WORK_MS);
  appendFileSync(process.env.KEYP_LEDGER, `${data.number}\n`);
}

async function serve() {
  const queue = new Queue("jobs", { connection });
  queue.on("error", () => {});
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "settled") {
      const { completed, failed, ...left } = await queue.getJobCounts();
      console.log(Object.values(left).every((count) => count === 0) && failed === 0 ? "yes" : "no");
    } else {
      await queue.add("job", { number: Number(line) });
      console.log("accepted");
    }
  }
  process.exit(0);
}

if (process.argv[2] === "queue") {
  serve();
} else {
  const options = { connection, lockDuration: 1000, stalledInterval: 500, maxStalledCount: 1000 };
  new Worker("jobs", work, options).on("error", () => {});
}
