/**
 * Connections to Redis, whoever made the client: an address for the package `redis`, or a ready client of `redis` or `ioredis`, which is
 * duplicated and never used itself.
 *
 * Each connection is one socket that is never opened again: how often to come back is decided in one place, `link.ts`.
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { type Redact, redaction } from "../../wire/redact.ts";
import { lazyClient } from "../../wire/sdk.ts";

export const service = "redis";

/** What is used of a client of the package `redis`. */
export interface NodeRedisClient {
  readonly options?: { readonly socket?: object };
  duplicate(overrides?: object): NodeRedisClient;
  connect(): Promise<unknown>;
  on(event: "error", listener: (error: unknown) => void): unknown;
  sendCommand(args: readonly (string | Buffer)[], options?: object): Promise<unknown>;
  subscribe(channel: string, listener: (message: Buffer) => unknown, bufferMode: true): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  ping(): Promise<unknown>;
  destroy(): void;
}

/** What is used of a client of the package `ioredis`. */
export interface IoredisClient {
  duplicate(overrides?: object): IoredisClient;
  connect(): Promise<unknown>;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  callBuffer(command: string, args: (string | Buffer)[]): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  ping(): Promise<unknown>;
  disconnect(): void;
}

/** How the server is reached: by an address or by a client, never both. */
export interface RedisOptions {
  /** `redis://user:password@host:6379/0`, or `rediss://` for TLS with the server's certificate and name verified. */
  readonly url?: string;
  /** A client of `redis` or `ioredis`, connected or not: every connection is a duplicate of it. */
  readonly client?: NodeRedisClient | IoredisClient;
  /** Milliseconds to get a connection. @default 5000 */
  readonly connectMs?: number;
  /** Milliseconds without any answer, while one is due, after which a connection is given up. @default 10000 */
  readonly timeoutMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** One socket. */
export interface RedisConnection {
  /** One command; strings in its answer come as bytes. Rejects with the client's own error. */
  send(args: readonly (string | Uint8Array)[]): Promise<unknown>;
  /** Once for a channel. */
  subscribe(channel: string, listener: (body: Uint8Array) => void): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  /** Also while it is subscribed. */
  ping(): Promise<unknown>;
  destroy(): void;
}

/** What the adapters share: checked settings, and how a socket is opened. */
export interface RedisSettings {
  readonly clock: Clock;
  readonly connectMs: number;
  readonly timeoutMs: number;
  readonly redact: Redact;
  /** Opens a socket; `lost` hears once that it is gone. What it gives up is destroyed by `own`. */
  open(lost: (error: unknown) => void, own: (destroy: () => void) => void): Promise<RedisConnection>;
}

/** The byte that begins a bulk string: what the type mapping of `redis` calls it. */
const bulkString = 36;

/** Checks the options; loads and opens nothing. Throws `invalid_input` and `missing_config`. */
export function redisSettings(who: string, options: RedisOptions): RedisSettings {
  const { url, client, clock = systemClock } = options;
  if ((url === undefined) === (client === undefined)) throw new MillraceError("missing_config", `${who}: needs either url or client`, { service });
  const connectMs = wholeNumber(who, "connectMs", options.connectMs ?? 5_000, 1);
  const timeoutMs = wholeNumber(who, "timeoutMs", options.timeoutMs ?? 10_000, 1);
  const secrets = url === undefined ? [] : secretsOf(who, url);
  return {
    clock,
    connectMs,
    timeoutMs,
    redact: redaction({ secrets }),
    open: client === undefined ? connections(url ?? "", connectMs) : duplicates(who, client),
  };
}

/** Names of keys and channels: from options only, and such as need no quoting in any tool. */
export function checkedName(who: string, option: string, name: unknown): string {
  if (typeof name === "string" && /^[\w.:-]{1,128}$/.test(name)) return name;
  throw invalidOption(who, option, "1 to 128 letters, digits, '.', '_', ':' and '-'", name);
}

/** Messages show nothing of an address: it holds the password. */
function secretsOf(who: string, url: string): string[] {
  const parsed = typeof url === "string" && URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === "") {
    throw new MillraceError("invalid_input", `${who}: url must be redis://host:port/database, or rediss://`, { service });
  }
  if (!/^(?:\/\d{0,9})?$/.test(parsed.pathname)) throw new MillraceError("invalid_input", `${who}: the path of url must be the number of a database`, { service });
  try {
    return [parsed.password, decodeURIComponent(parsed.password)].filter((secret) => secret !== "");
  } catch {
    throw new MillraceError("invalid_input", `${who}: the password in url must be percent-encoded`, { service });
  }
}

/** Duplicates of one client that is never connected, and so needs no closing: to make one takes long, with all the commands it knows. */
function connections(url: string, connectMs: number): RedisSettings["open"] {
  const made = lazyClient<NodeRedisClient>({
    service,
    install: "redis@^6.3",
    async open() {
      const { createClient } = await import("redis");
      return createClient({ ...own({ connectTimeout: connectMs }), url });
    },
  });
  return async (lost, destroyed) => openNode((await made.get()).duplicate(), lost, destroyed);
}

/** No second try within the client, and nothing kept while there is no connection. Version 2 of the protocol: answers are lists. */
function own(socket: object) {
  return {
    RESP: 2,
    maintNotifications: "disabled", // only with version 3
    disableClientInfo: true,
    disableOfflineQueue: true,
    socket: { ...socket, reconnectStrategy: false },
  } as const;
}

function duplicates(who: string, client: NodeRedisClient | IoredisClient): RedisSettings["open"] {
  if (typeof client !== "object" || client === null || typeof client.duplicate !== "function") throw invalidOption(who, "client", "a client of redis or ioredis", client);
  if ("callBuffer" in client) {
    const overrides = { protocol: 2, lazyConnect: true, enableOfflineQueue: false, retryStrategy: () => null, maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false };
    return (lost, own) => openIoredis(client.duplicate(overrides), lost, own);
  }
  return (lost, destroyed) => openNode(client.duplicate(own(client.options?.socket ?? {})), lost, destroyed);
}

async function openNode(client: NodeRedisClient, lost: (error: unknown) => void, own: (destroy: () => void) => void): Promise<RedisConnection> {
  const { Buffer } = await import("node:buffer");
  client.on("error", lost); // before it connects: an error that nobody hears ends the process
  let destroyed = false;
  own(() => {
    destroyed = true;
    client.destroy();
  });
  await client.connect();
  if (destroyed) client.destroy(); // the socket that was being opened then is open now all the same
  // no timer of the client's for each command: one clock of ours watches them all (link.ts)
  const options = { typeMapping: { [bulkString]: Buffer }, timeout: undefined };
  return {
    send: (args) => client.sendCommand(asBuffers(args, Buffer), options),
    async subscribe(channel, listener) {
      await client.subscribe(channel, listener, true);
    },
    async unsubscribe(channel) {
      await client.unsubscribe(channel);
    },
    ping: () => client.ping(),
    destroy: () => client.destroy(),
  };
}

async function openIoredis(client: IoredisClient, lost: (error: unknown) => void, own: (destroy: () => void) => void): Promise<RedisConnection> {
  const { Buffer } = await import("node:buffer");
  client.on("error", lost);
  client.on("end", () => lost(new Error("Connection is closed."))); // also where the server ends it without an error
  let destroyed = false;
  own(() => {
    destroyed = true;
    client.disconnect();
  });
  const listeners = new Map<string, (body: Uint8Array) => void>();
  client.on("messageBuffer", (channel, body) => {
    if (body instanceof Uint8Array) listeners.get(String(channel))?.(body);
  });
  await client.connect();
  if (destroyed) client.disconnect(); // as above
  return {
    send: ([command, ...args]) => client.callBuffer(String(command), asBuffers(args, Buffer)),
    async subscribe(channel, listener) {
      listeners.set(channel, listener);
      await client.subscribe(channel);
    },
    async unsubscribe(channel) {
      listeners.delete(channel);
      await client.unsubscribe(channel);
    },
    ping: () => client.ping(),
    destroy: () => client.disconnect(),
  };
}

/** The clients take no other bytes than buffers; these share the memory. */
function asBuffers(args: readonly (string | Uint8Array)[], { from }: Pick<BufferConstructor, "from">): (string | Buffer)[] {
  return args.map((arg) => (typeof arg === "string" ? arg : from(arg.buffer, arg.byteOffset, arg.byteLength)));
}
