/**
 * A service on loopback that answers as it is told, faults included, and writes down what was asked of it.
 *
 * Real sockets, so that what a test sees is what a provider's outage would do; `node:http`, so that it is the same server under
 * Node, Bun and Deno.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { joinBytes } from "../core/join-bytes.ts";
import { type Split, splitBytes } from "./split-bytes.ts";

/** What goes wrong. `after` counts frames that are sent whole; `inside` sends half of the next one too. */
export type WireFault =
  /** The connection breaks. `"nothing"`: before the headers. */
  | { readonly kind: "cut"; readonly after: number | "nothing"; readonly inside?: boolean }
  /** The body ends as if it were whole. */
  | { readonly kind: "truncate"; readonly after: number; readonly inside?: boolean }
  /** `content-length` promises the whole body, and the connection ends before that. */
  | { readonly kind: "short"; readonly after: number }
  /** Nothing more comes, but for what the test sends with `send`. `"nothing"`: not even headers. */
  | { readonly kind: "stall"; readonly after: number | "nothing"; readonly inside?: boolean }
  /** What comes back is not HTTP. */
  | { readonly kind: "garbage" };

/** One answer. */
export interface WireAnswer {
  /** @default 200 */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The body, in the pieces that faults count: an event each, for streams. */
  readonly frames?: readonly (string | Uint8Array)[];
  /** How the bytes are cut into writes. @default one write a frame */
  readonly split?: Split;
  readonly fault?: WireFault;
}

/** An answer, or a function that gives one for a request. */
export type WireScript = WireAnswer | ((request: WireRequest) => WireAnswer | Promise<WireAnswer>);

/** What was asked. */
export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The body as JSON. */
  json(): unknown;
  /** The connection has closed, whoever did it. With keep-alive that may be long after the answer. */
  readonly closed: Promise<void>;
  readonly isClosed: boolean;
  /** The script has been followed to its end or to its stall. */
  readonly answered: Promise<void>;
  /** More of the body of a stalled answer. */
  send(bytes: string | Uint8Array): Promise<void>;
  /** Ends a stalled answer. */
  end(): void;
}

/** A running server. */
export interface WireServer extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly requests: readonly WireRequest[];
  /** Connections that were ever opened. */
  readonly connections: number;
  /** The answers to the next requests, one each; after them comes the server's own `answer`. */
  script(...scripts: readonly WireScript[]): void;
  /** The next request that comes, or the `count`-th from now. */
  nextRequest(count?: number): Promise<WireRequest>;
  close(): Promise<void>;
}

/**
 * Starts a server on 127.0.0.1, on a free port.
 *
 * Closes: `close()` breaks every connection; it is `Symbol.asyncDispose` too.
 *
 * @example
 * await using server = await wireServer({ answer: { headers: { "content-type": "text/plain" }, frames: ["hello"] } });
 * console.log(await (await fetch(server.url)).text()); // hello
 */
export async function wireServer(options: { readonly answer?: WireScript } = {}): Promise<WireServer> {
  const { createServer } = await import("node:http");
  const requests: WireRequest[] = [];
  const scripts: WireScript[] = [];
  const sockets = new Set<Socket>();
  const waiting: { readonly at: number; readonly resolve: (request: WireRequest) => void }[] = [];
  let connections = 0;

  const unscripted: WireAnswer = { status: 500, headers: { "content-type": "application/json" }, frames: ['{"error":{"message":"no answer was scripted"}}'] };
  const handle = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body: Uint8Array[] = [];
    for await (const chunk of incoming as AsyncIterable<Uint8Array>) body.push(chunk);
    let answered = (): void => {};
    const request = requestOf(incoming, response, new TextDecoder().decode(joinBytes(body)), new Promise<void>((resolve) => (answered = resolve)));
    requests.push(request);
    for (const waiter of waiting.filter(({ at }) => at === requests.length)) waiter.resolve(request);
    try {
      const script = scripts.shift() ?? options.answer ?? unscripted;
      await follow(response, typeof script === "function" ? await script(request) : script);
    } catch {
      response.socket?.destroy(); // the client has gone; what a test needs to know of it is in `closed`
    } finally {
      answered();
    }
  };
  const server = createServer((incoming, response) => void handle(incoming, response));
  server.keepAliveTimeout = 60_000; // a test that ends closes it; nothing else should
  server.on("connection", (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;

  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections?.();
    await closed;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    get connections() {
      return connections;
    },
    script(...added) {
      scripts.push(...added);
    },
    nextRequest(count = 1) {
      return new Promise((resolve) => waiting.push({ at: requests.length + count, resolve }));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** When a connection closes, and whether it has; one listener a connection, which may carry many requests. */
interface Closing {
  isClosed: boolean;
  readonly closed: Promise<void>;
}

const closings = new WeakMap<Socket, Closing>();

function closingOf(socket: Socket): Closing {
  const known = closings.get(socket);
  if (known !== undefined) return known;
  const { promise, resolve } = Promise.withResolvers<void>();
  const closing: Closing = { isClosed: false, closed: promise };
  socket.once("close", () => {
    closing.isClosed = true;
    resolve();
  });
  closings.set(socket, closing);
  return closing;
}

function requestOf(incoming: IncomingMessage, response: ServerResponse, body: string, answered: Promise<void>): WireRequest {
  const closing = closingOf(incoming.socket);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) headers[name] = Array.isArray(value) ? value.join(", ") : (value ?? "");
  return {
    method: incoming.method ?? "",
    path: incoming.url ?? "",
    headers,
    body,
    json: () => JSON.parse(body) as unknown,
    closed: closing.closed,
    get isClosed() {
      return closing.isClosed;
    },
    answered,
    send: (bytes) => write(response, bytes),
    end: () => void response.end(),
  };
}

async function follow(response: ServerResponse, answer: WireAnswer): Promise<void> {
  const { status = 200, headers = {}, split, fault } = answer;
  const frames = (answer.frames ?? []).map((frame) => (typeof frame === "string" ? new TextEncoder().encode(frame) : frame));
  if (fault?.kind === "garbage") return void response.socket?.end("this is not HTTP\r\n\r\n");
  if (fault !== undefined && "after" in fault && fault.after === "nothing") return fault.kind === "cut" ? void response.socket?.destroy() : undefined;
  const total = frames.reduce((sum, frame) => sum + frame.byteLength, 0);
  response.writeHead(status, fault?.kind === "short" ? { ...headers, "content-length": String(total) } : headers);
  response.flushHeaders();
  const sent = faultless(frames, fault);
  for (const bytes of split === undefined ? sent : splitBytes(joinBytes(sent), split)) await write(response, bytes);
  if (fault === undefined || fault.kind === "truncate") return void response.end();
  if (fault.kind !== "cut" && fault.kind !== "short") return;
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  response.socket?.destroy();
}

/** A client that hears of the break in the same breath may drop what came before it, as Bun's does: it is given a moment. */
const settleMs = 20;

/** What is sent before the fault. */
function faultless(frames: readonly Uint8Array[], fault: WireFault | undefined): readonly Uint8Array[] {
  if (fault === undefined || !("after" in fault) || typeof fault.after !== "number") return frames;
  const next = "inside" in fault && fault.inside === true ? frames[fault.after] : undefined;
  return [...frames.slice(0, fault.after), ...(next === undefined ? [] : [next.subarray(0, Math.ceil(next.byteLength / 2))])];
}

/** Each write in a packet of its own, as far as a turn of the loop can see to that. */
async function write(response: ServerResponse, bytes: string | Uint8Array): Promise<void> {
  if (bytes.length === 0) return;
  await new Promise<void>((resolve, reject) => {
    const gone = (): void => reject(new Error("the client has gone"));
    response.once("close", gone);
    response.write(bytes, (error) => {
      response.off("close", gone);
      if (error) reject(error);
      else resolve();
    });
  });
  await new Promise<void>((resolve) => setImmediate(resolve));
}
