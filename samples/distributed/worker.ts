/**
 * A worker: `worker.ts [PORT] [HOST]`. On Linux as many as you like may share a port. Ends at SIGTERM, after the steps in progress.
 *
 * @module
 */
import { orders } from "./pipeline.ts";

const [port = "9080", host = "127.0.0.1"] = process.argv.slice(2);
const worker = await orders().serve({ port: Number(port), host, reusePort: true });
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => void worker.close());
console.log(worker.url);
