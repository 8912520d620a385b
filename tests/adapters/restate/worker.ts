/**
 * A worker in a process of its own: `worker.ts PORT TOLD`, with what it is told as JSON. Prints its address, and serves until it is killed.
 *
 * @module
 */
import { pipelineOf } from "./pipelines.ts";

const [port = "0", told = ""] = process.argv.slice(2);
const worker = await pipelineOf(JSON.parse(told)).serve({ port: Number(port), reusePort: port !== "0" });
console.log(worker.url);
