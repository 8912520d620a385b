/**
 * What the queue on Kafka may be told, checked when it is built.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { envelope, type MessageFormat } from "../../kinds/envelope.ts";
import { type Redact, redaction } from "../../wire/redact.ts";
import type { Queue } from "../../kinds/queue.ts";

export const service = "kafka";

/** What a log cannot do. */
export const lacks: Queue["lacks"] = {
  delay: "a log is read in its order",
  attempts: "Kafka does not count deliveries; those after a crash begin at 1 again",
};

/** Text, or what gives it for each connection. */
export type KafkaSecret = string | (() => string | Promise<string>);

/** Who we are, to a broker that asks. */
export type KafkaSasl =
  | { readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512"; readonly username: string; readonly password: KafkaSecret }
  | { readonly mechanism: "OAUTHBEARER"; readonly token: KafkaSecret };

/** Certificates, as text in PEM. */
export interface KafkaTls {
  /** Whom to trust. @default the authorities that the runtime knows */
  readonly ca?: string;
  /** Our own certificate, where the broker asks for one. */
  readonly cert?: string;
  readonly key?: string;
}

/** Of a queue on Kafka. */
export interface KafkaOptions {
  /** `host:port` of some of the brokers; they name the others. */
  readonly brokers: string | readonly string[];
  /** It must be there: nothing is created. */
  readonly topic: string;
  /** The consumer group that reads. @default none: the queue only sends */
  readonly group?: string;
  /** TLS, with certificate and name of the broker verified. @default none */
  readonly tls?: boolean | KafkaTls;
  readonly sasl?: KafkaSasl;
  /** Where a group begins that has committed nothing yet. @default "earliest" */
  readonly startAt?: "earliest" | "latest";
  /**
   * When messages are gone before the group has read them (retention, a topic that was made again): `"earliest"` tells of the gap and goes on
   * at the earliest message there is; `"fail"` throws `not_found`. @default "earliest"
   */
  readonly whenGone?: "earliest" | "fail";
  /** Milliseconds without a sign of life after which the group gives our partitions to others. The broker has limits. @default 30_000 */
  readonly sessionMs?: number;
  /** Milliseconds between signs of life, a third of `sessionMs` at most: so soon a reader hears of others. @default a tenth of `sessionMs` */
  readonly heartbeatMs?: number;
  /** Milliseconds after which it is told that a message is not settled (event `stuck`): nothing behind it is committed. @default 300_000 */
  readonly maxStuckMs?: number;
  /** Milliseconds to connect to a broker. @default 5_000 */
  readonly connectMs?: number;
  /** Milliseconds for a request. @default 15_000 */
  readonly timeoutMs?: number;
  /**
   * Bytes that one request fetches of a partition, as they are on the wire; what is decoded of it is in memory. No more is fetched of a
   * partition while as many bytes of it, decoded, or 500 messages are not handed out: at most it holds that and what one request brings.
   * @default 1_048_576
   */
  readonly fetchBytes?: number;
  /** What bodies look like. @default `envelope()` */
  readonly format?: MessageFormat;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** The same, complete and checked. */
export interface Settings {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly group: string | undefined;
  readonly tls: KafkaTls | undefined;
  readonly sasl: KafkaSasl | undefined;
  readonly startAt: "earliest" | "latest";
  readonly whenGone: "earliest" | "fail";
  readonly sessionMs: number;
  readonly heartbeatMs: number;
  readonly maxStuckMs: number;
  readonly connectMs: number;
  readonly timeoutMs: number;
  readonly fetchBytes: number;
  readonly format: MessageFormat;
  readonly clock: Clock;
  readonly redact: Redact;
}

/** Refuses what is out of range; no message shows a secret. */
export function checked(options: KafkaOptions): Settings {
  if (typeof options !== "object" || options === null) throw invalidOption(service, "options", "an object", options);
  const { topic, group, tls, sasl, startAt = "earliest", whenGone = "earliest", format = envelope(), clock = systemClock } = options;
  if (!isName(topic, 249)) throw invalidOption(service, "topic", "1 to 249 letters, digits, '.', '_' and '-'", topic);
  if (group !== undefined && !isName(group, 255)) throw invalidOption(service, "group", "1 to 255 letters, digits, '.', '_' and '-'", group);
  if (startAt !== "earliest" && startAt !== "latest") throw invalidOption(service, "startAt", '"earliest" or "latest"', startAt);
  if (whenGone !== "earliest" && whenGone !== "fail") throw invalidOption(service, "whenGone", '"earliest" or "fail"', whenGone);
  const sessionMs = wholeNumber(service, "sessionMs", options.sessionMs ?? 30_000, 1_000);
  return {
    brokers: brokersOf(options.brokers),
    topic,
    group,
    tls: tls === true ? {} : tls === false ? undefined : tls,
    sasl: sasl === undefined ? undefined : checkedSasl(sasl),
    startAt,
    whenGone,
    sessionMs,
    heartbeatMs: wholeNumber(service, "heartbeatMs", options.heartbeatMs ?? Math.ceil(sessionMs / 10), 1, Math.floor(sessionMs / 3)),
    maxStuckMs: wholeNumber(service, "maxStuckMs", options.maxStuckMs ?? 300_000, 1),
    connectMs: wholeNumber(service, "connectMs", options.connectMs ?? 5_000, 1),
    timeoutMs: wholeNumber(service, "timeoutMs", options.timeoutMs ?? 15_000, 1),
    fetchBytes: wholeNumber(service, "fetchBytes", options.fetchBytes ?? 1_048_576, 1),
    format,
    clock,
    redact: redaction({ secrets: secretsOf(sasl) }),
  };
}

/** Topics and groups become parts of ids and of names of files at the broker. */
export function isName(value: unknown, most: number): value is string {
  return typeof value === "string" && value.length <= most && /^[\w.-]+$/.test(value) && value !== "." && value !== "..";
}

/** A user name or password in an address would end up in messages of the client, so it is no address. */
function brokersOf(brokers: unknown): readonly string[] {
  const list: readonly unknown[] = typeof brokers === "string" ? brokers.split(",").map((it) => it.trim()) : Array.isArray(brokers) ? brokers : [];
  const valid = list.filter((it): it is string => typeof it === "string" && /^(?:[\w.-]+|\[[\da-f:.]+\]):\d{1,5}$/i.test(it));
  if (list.length > 0 && valid.length === list.length) return valid;
  throw new MillraceError("invalid_input", `${service}: brokers must be one or several of host:port`);
}

function checkedSasl(sasl: KafkaSasl): KafkaSasl {
  const isSecret = (value: unknown): boolean => typeof value === "function" || (typeof value === "string" && value !== "");
  const named = sasl.mechanism === "PLAIN" || sasl.mechanism === "SCRAM-SHA-256" || sasl.mechanism === "SCRAM-SHA-512";
  if (named && typeof sasl.username === "string" && sasl.username !== "" && isSecret(sasl.password)) return sasl;
  if (sasl.mechanism === "OAUTHBEARER" && isSecret(sasl.token)) return sasl;
  throw new MillraceError("invalid_input", `${service}: sasl must have PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 with username and password, or OAUTHBEARER with token`);
}

function secretsOf(sasl: KafkaSasl | undefined): readonly string[] {
  if (sasl === undefined) return [];
  const secret = sasl.mechanism === "OAUTHBEARER" ? sasl.token : sasl.password;
  return typeof secret === "string" ? [secret] : [];
}
