/**
 * What is used of a client of NATS, and how one is made of an address.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";

/** A subscription. */
export interface NatsSubscription {
  /** No more is sent to it; resolves when what was on its way has come. */
  drain(): Promise<void>;
  unsubscribe(): void;
}

/** A message, as the client has it. */
export interface NatsMessage {
  readonly data: Uint8Array;
  /** The subject for the answer; of a message of JetStream the one that acknowledges. */
  readonly reply?: string;
  readonly subject: string;
  readonly headers?: { readonly code: number; readonly description: string; get(name: string): string };
}

/** Headers of a message, made by the client's package. */
export interface NatsHeaders {
  set(name: string, value: string): void;
}

/** What a client tells of its connection, until it is closed or stopped. */
export interface NatsStates extends AsyncIterable<{ readonly type: string }> {
  /** A client keeps what is not stopped for as long as it lives. Its iterators have it, their declared type does not. */
  stop?(): void;
}

/** The calls used; a ready connection needs no more than these. */
export interface NatsClient {
  readonly info?: { readonly max_payload: number };
  publish(subject: string, payload?: Uint8Array | string, options?: { readonly reply?: string; readonly headers?: NatsHeaders }): void;
  subscribe(subject: string, options: { readonly callback: (error: Error | null, message: NatsMessage) => void }): NatsSubscription;
  flush(): Promise<void>;
  status(): NatsStates;
  closed(): Promise<void | Error>;
  isClosed(): boolean;
  close(): Promise<void>;
}

/** What is to be installed. */
export const packages = "@nats-io/transport-node@^3 @nats-io/jetstream@^3 @nats-io/nats-core@^3";

/** Milliseconds between signs of life that are asked of the server; the third without an answer is the end of the connection. */
const pingMs = 2_000;
const pingsWithoutAnswer = 2;
/** Milliseconds before another try to connect: half as long as the connection has been gone, within these, less up to a half by chance. */
const minDelayMs = 500;
const maxDelayMs = 4_000;

/** Certificates in PEM, in place of those that the runtime knows, and the client's own. */
export interface NatsTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Where servers are, and who asks. */
export interface NatsAddress {
  readonly servers: readonly string[];
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  readonly tls: boolean;
}

/** Reads addresses; who asks must be the same in all. Never quotes one. */
export function natsAddress(who: string, url: string | readonly string[]): NatsAddress {
  const urls = typeof url === "string" ? [url] : url;
  const refused = (why: string): MillraceError => new MillraceError("invalid_input", `${who}: url must be ${why}`);
  if (!Array.isArray(urls) || urls.length === 0) throw refused("an address, or a list of them");
  const read = urls.map((each: unknown) => {
    const form = "nats://host:port or tls://host:port, with a user before the host if there is one";
    if (typeof each !== "string" || !URL.canParse(each)) throw refused(form);
    // the parts of an address of a scheme that it does not know URL leaves as they are
    const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(each);
    if ((protocol !== "nats:" && protocol !== "tls:") || hostname === "" || (pathname !== "" && pathname !== "/") || search !== "" || hash !== "") throw refused(form);
    return { server: `${hostname}:${port === "" ? 4222 : port}`, user: decoded(username), pass: decoded(password), tls: protocol === "tls:" };
  });
  const [first] = read;
  if (first === undefined || read.some(({ user, pass, tls }) => user !== first.user || pass !== first.pass || tls !== first.tls)) {
    throw refused("addresses of one cluster: the same scheme and user in all");
  }
  const { user, pass, tls } = first;
  const credentials = user === undefined ? {} : pass === undefined ? { token: user } : { user, pass };
  return { servers: read.map(({ server }) => server), ...credentials, tls };
}

/** What of an address must not be told. */
export function secretsOf({ pass, token }: NatsAddress): readonly string[] {
  return [pass, token].filter((secret) => secret !== undefined);
}

/** Connects, with a client that comes back by itself for as long as it takes. */
export async function connectNats(address: NatsAddress, options: { readonly connectMs: number; readonly inboxPrefix: string; readonly tls?: NatsTls | undefined }): Promise<NatsClient> {
  const { connect } = await import("@nats-io/transport-node");
  const { servers, user, pass, token } = address;
  let goneMs = 0;
  let askedMs = Number.NEGATIVE_INFINITY;
  return connect({
    servers: [...servers],
    name: "millrace",
    ...(user === undefined ? {} : { user, pass: pass ?? "" }),
    ...(token === undefined ? {} : { token }),
    ...(address.tls || options.tls !== undefined ? { tls: { ...options.tls } } : {}),
    inboxPrefix: options.inboxPrefix,
    timeout: options.connectMs,
    maxReconnectAttempts: -1,
    reconnectDelayHandler() {
      // the client asks some times before every try, also before those that failed for `connectMs`
      const now = performance.now();
      if (now - askedMs > 2 * (maxDelayMs + options.connectMs)) goneMs = now; // there was a connection meanwhile
      askedMs = now;
      return Math.min(maxDelayMs, Math.max(minDelayMs, (now - goneMs) / 2)) * (1 - Math.random() / 2);
    },
    pingInterval: pingMs,
    maxPingOut: pingsWithoutAnswer,
    noAsyncTraces: true,
  });
}

function decoded(text: string): string | undefined {
  if (text === "") return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a percent sign that is meant
  }
}
