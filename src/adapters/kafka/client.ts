/**
 * The clients of a queue on Kafka: made of the package at first use, and ended for sure.
 *
 * @module
 */
import type * as platformatic from "@platformatic/kafka";
import type { Connection, Consumer, Producer } from "@platformatic/kafka";
import type { Clock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import { type LazyClient, lazyClient } from "../../wire/sdk.ts";
import { service, type Settings } from "./options.ts";

/** The package. */
export type KafkaPackage = typeof platformatic;

/** Milliseconds in which a client may say good-bye; then its sockets are cut. */
const goodByeMs = 250;

/** The package, loaded at first use; throws `missing_config` where it is not. */
export function kafkaPackage(): LazyClient<KafkaPackage> {
  return lazyClient<KafkaPackage>({ service, install: "@platformatic/kafka@^2.12", open: () => import("@platformatic/kafka") });
}

/**
 * Of a producer. `retries` is no number, as with one below 2 the client would repeat for ever. Nor does it repeat when a leader has changed:
 * it would send all partitions of a request to the new leader of the first, and answers of that one hide what the others have stored.
 */
const once = { idempotent: true, acks: -1, retries: false, repeatOnStaleMetadata: false } as const;

/** A client that makes sure that each message is stored once, in order, by all replicas in sync. */
export function openProducer({ Producer }: KafkaPackage, settings: Settings): Producer {
  return watched(new Producer({ ...common(settings, settings.timeoutMs), ...once }));
}

/** The same for transactions of one name: of several the last one that has begun is heard. One that takes longer is aborted by the broker. */
export function openTransactional({ Producer }: KafkaPackage, settings: Settings, transactionalId: string, transactionMs: number): Producer {
  return watched(new Producer({ ...common(settings, settings.timeoutMs), ...once, transactionalId, timeout: transactionMs }));
}

/** A member of the group, once it has joined: it keeps partitions and commits, and fetches nothing. */
export function openMember({ Consumer }: KafkaPackage, settings: Settings, beforeJoin: () => Promise<Buffer>): Consumer {
  const { sessionMs, heartbeatMs, topic, timeoutMs } = settings;
  const consumer = new Consumer({
    // joining takes as long as the slowest of the others, on the same connection
    ...common(settings, Math.max(timeoutMs, 2 * sessionMs)),
    groupId: groupOf(settings),
    autocommit: false,
    retries: false,
    sessionTimeout: sessionMs,
    rebalanceTimeout: sessionMs,
    heartbeatInterval: heartbeatMs,
    // only what goes to another reader is taken away, by the name under which Kafka's own client does it
    protocols: [{ name: "cooperative-sticky", version: 3 }],
    protocolsMetadata: beforeJoin,
  });
  consumer.topics.track(topic);
  return watched(consumer);
}

/** A client that fetches, and is no member: a fetch that waits for messages would hold up signs of life on one connection. */
export function openFetcher({ Consumer }: KafkaPackage, settings: Settings): Consumer {
  const consumer = new Consumer({ ...common(settings, settings.timeoutMs), groupId: groupOf(settings), autocommit: false, retries: false });
  consumer.topics.track(settings.topic);
  return watched(consumer);
}

/** Ends a client, and its connections also when the other side is silent. Never rejects. */
export async function closeClient(client: Consumer | Producer, clock: Clock): Promise<void> {
  // left first: a member that is closed while it joins would go on sending signs of life
  if ("leaveGroup" in client) await briefly(Promise.resolve(client.leaveGroup(true)), clock);
  await briefly(client.close(true), clock);
  for (const { socket } of opened.get(client) ?? []) socket?.destroy();
}

async function briefly(ending: Promise<unknown>, clock: Clock): Promise<void> {
  const patience = new AbortController();
  const ended = ending.catch(() => {}).finally(() => patience.abort());
  await Promise.race([ended, clock.sleep(goodByeMs, patience.signal).catch(() => {})]);
  patience.abort();
}

function groupOf({ group }: Settings): string {
  if (group === undefined) throw new MillraceError("missing_config", `${service}: open needs a group, which this queue was built without`, { service });
  return group;
}

/** The same for all clients; every request is made once, repeating is ours. */
function common({ brokers, tls, sasl, connectMs }: Settings, requestTimeout: number) {
  return {
    clientId: "millrace",
    bootstrapBrokers: [...brokers],
    autocreateTopics: false,
    connectTimeout: connectMs,
    requestTimeout,
    ...(tls === undefined ? {} : { tls: { ...tls }, tlsServerName: true }),
    ...(sasl === undefined ? {} : { sasl: { ...sasl } }),
  };
}

/**
 * The connections that a client has opened. It forgets one too early: where the last one to a broker ends with an error, and the next one
 * is opened before its socket has closed, that takes the next one out of the list.
 */
const opened = new WeakMap<Consumer | Producer, readonly Connection[]>();

/** Its errors are told by calls that fail; an event that nobody hears would end the process. */
function watched<C extends Consumer | Producer>(client: C): C {
  client.on("error", () => {});
  client.connections.on("connecting", ({ connection }) => {
    const open = opened.get(client)?.filter(({ socket }) => !socket?.destroyed) ?? [];
    opened.set(client, [...open, connection]);
  });
  return client;
}
