/**
 * A worker: `worker.ts [PORT] [HOST]`. On Linux as many as you like may share a port that is given. Ends at SIGTERM, after the steps in
 * progress.
 *
 * @module
 */
import { orders } from "./pipeline.ts";

const [port, host = "127.0.0.1"] = process.argv.slice(2);
// other systems refuse to listen so
const reusePort = port !== undefined && process.platform === "linux";
const worker = await orders().serve({ port: Number(port ?? "9080"), host, reusePort });
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => void worker.close());
console.log(worker.url);
