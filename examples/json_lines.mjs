// client.mjs, told as JSON lines for `conform client`:
//
//     python -m sansio_gradio_adapters conform client --can cancel,status,jobs
//         -- node examples/json_lines.mjs {url} {api} {data} {jobs}
import { Client, Cancelled } from "./client.mjs";

const [url, api, data, jobs = "[]"] = process.argv.slice(2);
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const calls = JSON.parse(jobs);
let client;

// All results: the one of a function is given as it is, several as a list.
// An update of a component is no value: it may have one (R-data-5).
function listed(job, value) {
  const items = job.fn.outputs.filter(Boolean).length === 1 ? [value] : value;
  const before = job.shown ?? [];
  const valueOf = (item, at) => ("value" in item ? item.value : before[at] ?? null);
  job.shown = items.map((item, at) => (item?.__type__ === "update" ? valueOf(item, at) : item));
  return job.shown;
}

async function follow(job) {
  let told = 0;
  const news = () => { while (told < job.updates.length) tell({ status: job.updates[told++] }); };
  for await (const output of job) {
    news();
    if (job.outputs.length) tell({ output: listed(job, output) });
  }
  news();
  tell({ result: listed(job, await job.result) });
}

try {
  client = await Client.connect(url);
  if (calls.length) {
    const started = calls.map(([name, args]) => client.submit(name, args));
    tell({ result: await Promise.all(started.map(async (job) => listed(job, await job.result))) });
  } else {
    const job = client.submit(api, JSON.parse(data));
    process.on("SIGINT", () => job.cancel());
    await follow(job);
  }
} catch (error) {
  tell(error instanceof Cancelled && !client.stopped ? { cancelled: true } : { error: `${error.name}: ${error.message}` });
} finally {
  client?.close();
}
