/**
 * Where a broker is and how it is reached, and what its errors mean.
 *
 * @module
 */
import { invalidOption, isMillraceError, MillraceError, wholeNumber } from "../../core/errors.ts";
import { amqpFault } from "../../wire/amqp-errors.ts";
import { quotedError, redaction } from "../../wire/redact.ts";
import { lazyClient } from "../../wire/sdk.ts";
import type { AmqpConnection } from "./client.ts";

/** For messages. */
export const service = "rabbitmq";

/** How a broker is reached: by an address or by a function, never both. */
export interface RabbitmqConnectionOptions {
  /** `amqp://user:password@host:5672/vhost`, or `amqps:`. */
  readonly url?: string;
  /**
   * Makes a connection, each time one is needed; it is closed here. For what an address cannot say: certificates, several hosts. Given up
   * when the signal aborts.
   */
  readonly connect?: (signal: AbortSignal) => Promise<AmqpConnection>;
  /** Milliseconds for a new connection; not with `connect`. @default 10000 */
  readonly connectMs?: number;
  /** Milliseconds, in whole seconds, between signs of life; a connection is lost after two without any. Not with `connect`. @default 10000 */
  readonly heartbeatMs?: number;
}

/** Makes connections, and says what became of them. */
export interface Dialing {
  dial(signal: AbortSignal): Promise<AmqpConnection>;
  /** An error of client or broker as one of ours. */
  toError(what: string, error: unknown): MillraceError;
}

/** Checks the options; nothing is opened. */
export function dialing(options: RabbitmqConnectionOptions): Dialing {
  const { url, connect } = options;
  if ((url === undefined) === (connect === undefined)) throw new MillraceError("missing_config", `${service}: needs either url or connect`, { service });
  if (connect !== undefined && typeof connect !== "function") throw invalidOption(service, "connect", "a function", connect);
  const connectMs = wholeNumber(service, "connectMs", options.connectMs ?? 10_000, 1);
  const heartbeatMs = wholeNumber(service, "heartbeatMs", options.heartbeatMs ?? 10_000, 1_000);
  if (heartbeatMs % 1_000 !== 0) throw invalidOption(service, "heartbeatMs", "in whole seconds", heartbeatMs);
  const address = url === undefined ? undefined : addressOf(url);
  const redact = redaction({ secrets: address?.secrets ?? [] });
  // the package is loaded once; connections are made as they are needed
  const amqplib = lazyClient({ service, install: "amqplib@^2.3", open: () => import("amqplib") });
  return {
    async dial(signal) {
      if (connect !== undefined) return connect(signal);
      const client = await amqplib.get(signal);
      const socket = { timeout: connectMs, noDelay: true, keepAlive: true, signal };
      return client.connect({ ...address?.server, heartbeat: heartbeatMs / 1_000 }, socket);
    },
    toError(what, error) {
      if (isMillraceError(error)) return error;
      const { code, ...fault } = amqpFault(error) ?? { code: "unavailable" };
      const quoted = quotedError(error, redact);
      return new MillraceError(code, `${service}: ${what}: ${quoted.message}`, { ...fault, service, cause: quoted });
    },
  };
}

interface Address {
  /** As the client takes it. */
  readonly server: {
    readonly protocol: string;
    readonly hostname: string;
    readonly port?: number;
    readonly username: string;
    readonly password: string;
    readonly vhost: string;
  };
  /** The password as it stands in the address, and as it is meant. */
  readonly secrets: readonly string[];
}

function addressOf(text: string): Address {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isAmqp = url?.protocol === "amqp:" || url?.protocol === "amqps:";
  // no word of what was received: it may hold a password
  if (url === undefined || !isAmqp || url.hostname === "") throw new MillraceError("invalid_input", `${service}: url must be amqp://host or amqps://host`);
  if (url.search !== "" || url.hash !== "") throw new MillraceError("invalid_input", `${service}: url must have no query; see connectMs, heartbeatMs and connect`);
  const { username, password } = credentialsIn(url);
  return {
    server: {
      protocol: url.protocol.slice(0, -1),
      hostname: url.hostname.replace(/^\[|\]$/g, ""),
      ...(url.port === "" ? {} : { port: Number(url.port) }),
      username,
      password,
      vhost: url.pathname.slice(1), // the client decodes it
    },
    secrets: [url.password, password],
  };
}

function credentialsIn({ username, password }: URL): { readonly username: string; readonly password: string } {
  if (username === "" && password === "") return { username: "guest", password: "guest" };
  try {
    return { username: decodeURIComponent(username), password: decodeURIComponent(password) };
  } catch {
    throw new MillraceError("invalid_input", `${service}: user and password in url must be percent-encoded`);
  }
}
