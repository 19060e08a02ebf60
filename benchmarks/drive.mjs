// One measurement of the JavaScript client, as drive.py makes them:
// node drive.mjs FOLDER ROW URL [NUMBER ...]; FOLDER has node_modules.
import { readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { pathToFileURL } from "node:url";

const [folder, row, url, ...texts] = process.argv.slice(2);
const numbers = texts.map(Number);
const NEVER = 1e9;
const now = () => performance.now() / 1e3;
const cpu = () => { const used = process.cpuUsage(); return (used.user + used.system) / 1e6; };
const memory = () => process.memoryUsage().rss;
const peak = () => process.resourceUsage().maxRSS * 1024;
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1e3));
const began = { s: now(), cpu: cpu(), memory: memory() };

const entry = `${folder}/node_modules/@gradio/client/dist/index.js`;
const { Client } = await import(pathToFileURL(entry).href);
const connect = () => Client.connect(url, { events: ["data", "status"] });

function watch() {
  const start = { s: now(), cpu: cpu() };
  return (count = 1) => ({ s: now() - start.s, cpu: (cpu() - start.cpu) / count });
}
function spread(took) {
  took.sort((one, other) => one - other);
  const at = (part) => took[Math.floor(took.length * part)];
  return { p50: at(0.5), p99: at(0.99) };
}
async function warm(name = "ident") {
  const client = await connect();
  await client.predict(`/${name}`, ["warm"]);
  return client;
}
async function iterate(client, name, values) {
  let count = 0, last;
  for await (const message of client.submit(`/${name}`, values)) {
    if (message.type === "data") { count++; last = message.data[0]; }
    if (message.type === "status" && message.stage === "complete") break;
  }
  return [count, last];
}
async function many(count, one) {
  await one();
  const took = [], read = watch();
  for (let n = 0; n < count; n++) { const start = now(); await one(n); took.push(now() - start); }
  return { ...read(count), ...spread(took) };
}
async function grow(count, name = "grow", size = 8 * count) {
  const client = await warm(), before = memory(), read = watch();
  await iterate(client, name, [count, size]);
  return { ...read(count), memory: memory() - before };
}
async function predict(count, name = "ident") {
  const client = await warm(name);
  return many(count, () => client.predict(`/${name}`, ["x"]));
}

const rows = {
  import: () => ({ s: now() - began.s, cpu: cpu() - began.cpu, memory: memory() - began.memory }),
  connect: (count) => many(count, connect),
  predict,
  real_predict: (count) => predict(count, "echo"),
  grow,
  plain: (count) => grow(count, "plain", 100),
  result: async (count) => {
    const client = await warm(), before = memory(), read = watch();
    await client.predict("/grow", [count, 8 * count]);
    return { ...read(count), memory: memory() - before };
  },
  big: async (megabytes) => {
    const size = megabytes * 1e6, client = await warm(), before = memory(), read = watch();
    const found = await client.predict("/big", [size]);
    if (found.data[0].length !== size) throw new Error("cut");
    return { ...read(), memory: (peak() - before) / size };
  },
  jobs: async (count, tenths) => {
    const client = await warm(), before = memory(), read = watch();
    await Promise.all(Array.from({ length: count }, () => client.predict("/slow", [tenths / 10])));
    return { ...read(count), memory: memory() - before };
  },
  sessions: async (count) => {
    await warm();
    const before = memory(), read = watch();
    const clients = await Promise.all(Array.from({ length: count }, connect));
    await Promise.all(clients.map((client) => client.predict("/ident", ["x"])));
    return { ...read(count), memory: memory() - before };
  },
  idle: async (count, seconds) => {
    const client = await warm(), before = memory();
    for (let n = 0; n < count; n++) iterate(client, "slow", [NEVER]);
    await sleep(3);
    const read = watch();
    await sleep(seconds);
    return { busy: read().cpu / seconds, memory: (memory() - before) / count };
  },
  cancel: async (count) => {
    const client = await warm(), took = [];
    for (let n = 0; n < count; n++) {
      const job = client.submit("/slow", [NEVER]);
      await sleep(0.1);
      const start = now();
      await job.cancel();
      took.push(now() - start);
    }
    return spread(took);
  },
  upload: async (megabytes) => {
    const size = megabytes * 2 ** 20, path = `${tmpdir()}/sansio_gradio_bench_${process.pid}.bin`;
    writeFileSync(path, Buffer.alloc(size));
    const client = await warm(), before = memory(), read = watch();
    await client.upload_files(url, [new Blob([readFileSync(path)])]);
    unlinkSync(path);
    const figures = read();
    return { ...figures, rate: size / figures.s, memory: peak() - before };
  },
  first: async (count) => {
    const client = await connect();
    const one = async () => {
      const start = now();
      let took;
      for await (const message of client.submit("/count", [2])) {
        if (message.type === "data") took ??= now() - start;
        if (message.type === "status" && message.stage === "complete") break;
      }
      return took;
    };
    for (let n = 0; n < 3; n++) await one();
    const took = [];
    for (let n = 0; n < count; n++) took.push(await one());
    return spread(took);
  },
};

console.log(JSON.stringify(await rows[row](...numbers)));
process.exit(0);
