// @gradio/client, told as JSON lines for `conform client`, in a folder where one release is installed:
//
//     node json_lines.mjs {url} {api} {data} {jobs}
import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [url, api, data, jobs = "[]"] = process.argv.slice(2);
const require = createRequire(`${process.cwd()}/package.json`);
if (!globalThis.WebSocket) globalThis.WebSocket = require("ws").WebSocket;
const { Client } = await import(
  pathToFileURL(`${process.cwd()}/node_modules/@gradio/client/dist/index.js`)
);
function tell(line) { // all of it, before the process ends
  let rest = Buffer.from(`${JSON.stringify(line)}\n`);
  while (rest.length) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}
console.log = console.warn = console.error = () => {}; // its own news

// All that a job says; resolves with its result.
function follow(job, say) {
  return new Promise((resolve, reject) => {
    let isYield = false;
    let result = null;
    const take = (event) => {
      if (event.type === "status") {
        say({ status: event });
        isYield = event.stage === "generating";
        if (event.stage === "error") reject(new Error(event.message ?? ""));
        if (event.stage === "complete") resolve(result);
      } else if (event.type === "log") say({ status: event });
      else if (event.type === "data" && isYield) {
        isYield = false;
        say({ output: event.data });
      } else if (event.type === "data") result = event.data;
    };
    (async () => {
      for await (const event of job) take(event);
      reject(new Error("the job's events ended without its end"));
    })().catch(reject);
  });
}

try {
  const client = await Client.connect(url, { events: ["data", "status", "log"] });
  const calls = JSON.parse(jobs);
  if (calls.length) {
    const started = calls.map(([name, args]) => client.submit(name, args));
    tell({ result: await Promise.all(started.map((job) => follow(job, () => {}))) });
  } else {
    const job = client.submit(api, JSON.parse(data));
    let cancelled = false;
    process.on("SIGINT", async () => {
      cancelled = true;
      await job.cancel();
      tell({ cancelled: true });
      process.exit(0);
    });
    const result = await follow(job, tell);
    if (!cancelled) tell({ result });
  }
} catch (error) {
  tell({ error: String(error?.message ?? error) });
}
process.exit(0);
