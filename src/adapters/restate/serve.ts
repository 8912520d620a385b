/**
 * A worker: the HTTP/2 server that the engine calls.
 *
 * HTTP/2 without TLS on all three runtimes; the engine opens several connections, so workers that share a port share the work.
 *
 * @module
 */
import type { Http2Server, ServerHttp2Session } from "node:http2";
import { MillraceError } from "../../core/errors.ts";
import { pipelineObject, type PipelineSettings, type RestateSdk } from "./handlers.ts";

/** Where a worker listens. */
export interface ServeOptions {
  /** @default a free one */
  readonly port?: number;
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** Lets workers share the port, as Linux does for Node from 23.1 on: the engine then spreads batches over them. @default false */
  readonly reusePort?: boolean;
  /** Public keys of the engine (`publickeyv1_…`): requests that none of them signed are refused. @default every request is taken */
  readonly identityKeys?: readonly string[];
  /** Milliseconds that steps in progress have when the worker is closed. @default 10,000 */
  readonly graceMs?: number;
}

/** A worker that listens. */
export interface DurableWorker extends AsyncDisposable {
  readonly port: number;
  /** Where it is on this machine; the engine may know it by another name. */
  readonly url: string;
  /** Takes nothing new, lets steps in progress end for `graceMs`, then cuts them; the engine gives their batches to another worker. */
  close(): Promise<void>;
}

/** Listens. Throws `unavailable` when it cannot. */
export async function serveWorker(sdk: RestateSdk, settings: PipelineSettings, options: ServeOptions): Promise<DurableWorker> {
  const { port = 0, host = "127.0.0.1", reusePort = false, identityKeys = [], graceMs = 10_000 } = options;
  const { who } = settings;
  const { createServer } = await import("node:http2");
  const handler = sdk.createEndpointHandler({
    services: [pipelineObject(sdk, settings)],
    logger: () => {}, // it would write failures to the console; `onFailure` hears of them
    ...(identityKeys.length === 0 ? {} : { identityKeys: [...identityKeys] }),
  });
  const server = createServer(handler);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {}); // the engine was cut off; it comes again
    session.once("close", () => sessions.delete(session));
  });
  await listening(who, server, { port, host, reusePort });
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= ended(server, sessions, graceMs));
  return { port: bound, url: `http://${host.includes(":") ? `[${host}]` : host}:${bound}`, close, [Symbol.asyncDispose]: close };
}

function listening(who: string, server: Http2Server, where: { port: number; host: string; reusePort: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    const refused = (cause: Error): void => reject(new MillraceError("unavailable", `${who}: cannot listen on ${where.host}:${where.port}`, { service: who, retryable: false, cause }));
    server.once("error", refused);
    server.listen(where, () => {
      server.off("error", refused);
      resolve();
    });
  });
}

async function ended(server: Http2Server, sessions: ReadonlySet<ServerHttp2Session>, graceMs: number): Promise<void> {
  const over = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const session of sessions) session.close();
  const cut = setTimeout(() => {
    for (const session of sessions) session.destroy();
  }, graceMs);
  await over;
  clearTimeout(cut);
}
