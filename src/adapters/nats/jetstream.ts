/**
 * What is asked of JetStream by its own client: to store a message, to look at a consumer, to make it and its stream.
 *
 * @module
 */
import type { headers as makeHeaders, NatsConnection } from "@nats-io/nats-core";
import type { JetStreamManager } from "@nats-io/jetstream";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import { utf8Length } from "../../core/part-size.ts";
import { fieldOf, numberOf, textOf } from "../../wire/error-fields.ts";
import { heard } from "../../wire/heard.ts";
import { type LazyClient, lazyClient } from "../../wire/sdk.ts";
import { type NatsClient, packages } from "./client.ts";
import type { Connection } from "./connection.ts";
import { configsOf, type ConsumerState, consumerState, type NatsNames, type NatsSetupOptions, requireSame } from "./consumer.ts";

/** What the client's packages make for a connection. */
interface Interfaces {
  readonly manager: JetStreamManager;
  readonly headers: typeof makeHeaders;
}

/** Of a queue. */
export interface JetStreamSettings extends NatsNames {
  readonly service: string;
  readonly connection: Connection;
  readonly leaseMs: number;
  readonly timeoutMs: number;
}

/** JetStream, as a queue needs it. */
export interface JetStream {
  /** Stores a message; gives its place in the stream, which is the first one's for an id that the stream has had. */
  store(body: Uint8Array, messageId: string, signal: AbortSignal | undefined): Promise<number>;
  /** Throws `not_found` where there is no consumer, `conflict` for one that a queue cannot live on. */
  look(signal: AbortSignal | undefined): Promise<ConsumerState>;
  setup(options: NatsSetupOptions): Promise<void>;
}

/** Asks by a connection. */
export function jetStreamOf(settings: JetStreamSettings): JetStream {
  const { service, connection, stream, subject, consumer, leaseMs, timeoutMs } = settings;
  const kept = new WeakMap<NatsClient, LazyClient<Interfaces>>();
  const interfaces = (client: NatsClient): Promise<Interfaces> => {
    const known = kept.get(client) ?? lazyClient({ service, install: packages, open: () => loaded(client, timeoutMs) });
    kept.set(client, known);
    return known.get();
  };
  const notFound = (message: string, cause?: unknown): MillraceError =>
    new MillraceError("not_found", `${service}: ${message}; setup() makes it`, { service, scope: "dependency", cause });
  /** Why nobody heard what was sent. While a stream of a cluster has no leader nobody does, though it is there. */
  const unheard = async (signal: AbortSignal | undefined): Promise<MillraceError> => {
    let cause: unknown;
    try {
      await connection.request("look for the stream", "read", async (it) => (await interfaces(it)).manager.streams.find(subject), signal);
    } catch (error) {
      if (isMillraceError(error, "not_found")) return notFound(`no stream takes ${subject}`, error.cause);
      if (signal?.aborted === true) throw error;
      cause = error;
    }
    return new MillraceError("unavailable", `${service}: send: nobody hears ${subject} now; nothing was stored`, { service, cause });
  };

  return {
    async store(body, messageId, signal) {
      const client = await connection.ready(signal);
      const { headers } = await interfaces(client);
      const told = headers();
      told.set("Nats-Msg-Id", messageId);
      told.set("Nats-Expected-Stream", stream); // the subject may be another stream's
      const most = client.info?.max_payload ?? Infinity;
      const headerBytes = 60 + stream.length + utf8Length(messageId); // of both lines and what is around them
      if (body.byteLength + headerBytes > most) {
        throw new MillraceError("too_large", `${service}: the server takes ${most} bytes, ${headerBytes} of them headers, got ${body.byteLength}; see offload`, { service });
      }
      try {
        return placeOf((await heard(connection.ask("send", subject, body, signal, told), signal)).data);
      } catch (error) {
        if (signal?.aborted === true && error === signal.reason) throw error;
        if (isMillraceError(error, "not_found")) throw await unheard(signal);
        throw connection.toError("send", error);
      }
    },
    async look(signal) {
      try {
        const info: unknown = await connection.request("look at the consumer", "read", async (it) => (await interfaces(it)).manager.consumers.info(stream, consumer), signal);
        return consumerState(service, consumer, leaseMs, info);
      } catch (error) {
        throw isMillraceError(error, "not_found") ? notFound(`there is no consumer ${consumer} on a stream ${stream}`, error.cause) : error;
      }
    },
    async setup(options) {
      const wanted = configsOf(`${service}: setup`, settings, leaseMs, options);
      const { signal } = options;
      const make = async (what: string, find: (manager: JetStreamManager) => Promise<unknown>, add: (manager: JetStreamManager) => Promise<unknown>): Promise<unknown> => {
        try {
          return await connection.request("setup", "read", async (it) => find((await interfaces(it)).manager), signal);
        } catch (error) {
          if (!isMillraceError(error, "not_found")) throw error;
        }
        return connection.request(`make ${what}`, "write", async (it) => add((await interfaces(it)).manager), signal);
      };
      // what somebody else made in between is either the same, or refused by the server
      const streamInfo = await make("the stream", (it) => it.streams.info(stream), (it) => it.streams.add({ ...wanted.stream, name: stream }));
      requireSame(service, `stream ${stream}`, wanted.stream, fieldOf(streamInfo, "config"));
      const consumerInfo = await make("the consumer", (it) => it.consumers.info(stream, consumer), (it) => it.consumers.add(stream, { ...wanted.consumer }));
      requireSame(service, `consumer ${consumer}`, wanted.consumer, fieldOf(consumerInfo, "config"));
    },
  };
}

async function loaded(client: NatsClient, timeoutMs: number): Promise<Interfaces> {
  const [{ jetstreamManager }, { headers }] = await Promise.all([import("@nats-io/jetstream"), import("@nats-io/nats-core")]);
  const connection = client as NatsConnection; // a ready connection is one; by structure it is told what we call ourselves
  return { manager: await jetstreamManager(connection, { checkAPI: false, timeout: timeoutMs }), headers };
}

// --- shapes: only the fields we read ---

/** The place of a message in its stream, out of the server's answer; throws what the server has refused, as the client would. */
function placeOf(data: Uint8Array): number {
  const answer = jsonIn(data);
  const error = fieldOf(answer, "error");
  if (error !== undefined) throw Object.assign(new Error(textOf(error, "description") ?? "refused"), { name: "JetStreamApiError", code: numberOf(error, "err_code") });
  const place = numberOf(answer, "seq");
  if (place === undefined) throw Object.assign(new Error("an answer without a place"), { name: "ProtocolError" });
  return place;
}

function jsonIn(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined;
  }
}
