/**
 * What became of a batch that failed: the client throws what brokers said of it, with the answers inside.
 *
 * Source: kafka.apache.org/protocol#The_Messages_Produce, `ResponseError` and `Producer` of @platformatic/kafka 2.12.
 *
 * @module
 */
import { fieldOf } from "../../wire/error-fields.ts";

/** What became of the messages of a batch, by their partition. */
export interface Outcome {
  /** They are stored although others failed; with the offset of the first of them. */
  readonly stored: ReadonlyMap<number, bigint>;
  /** They are certainly not stored; with what the broker said. */
  readonly refused: ReadonlyMap<number, unknown>;
  /** They may be stored, though not as widely as was asked for; with what the broker said. */
  readonly unsure: ReadonlyMap<number, unknown>;
  /** What befell those that no broker has answered for; undefined where nothing is known of it. */
  readonly unanswered: unknown;
}

/** REQUEST_TIMED_OUT and NOT_ENOUGH_REPLICAS_AFTER_APPEND. */
const maybeStored: ReadonlySet<number> = new Set([7, 20]);

/** Tells apart what the error of a batch says of its partitions. */
export function outcomeOf(error: unknown): Outcome {
  const stored = new Map(producedIn(error));
  const [refused, unsure] = [new Map<number, unknown>(), new Map<number, unknown>()];
  for (const { partition, errorCode, offset, reason } of answersIn(error)) {
    if (errorCode === 0) stored.set(partition, offset);
    // with an offset it was appended: by a leader that is none any more before the others have it, for one
    else (offset >= 0n || maybeStored.has(errorCode) ? unsure : refused).set(partition, reason);
  }
  const silent = silentIn(error);
  return { stored, refused, unsure, unanswered: silent.length > 1 ? new AggregateError(silent) : silent[0] };
}

/** What brokers have stored of which all answers were good: those answers are not among the errors. */
function producedIn(error: unknown): readonly (readonly [number, bigint])[] {
  const offsets = fieldOf(fieldOf(error, "produced"), "offsets");
  if (!Array.isArray(offsets)) return [];
  return offsets.flatMap((each: unknown) => {
    const [partition, offset] = [fieldOf(each, "partition"), fieldOf(each, "offset")];
    return typeof partition === "number" && typeof offset === "bigint" ? [[partition, offset] as const] : [];
  });
}

interface Answer {
  readonly partition: number;
  readonly errorCode: number;
  readonly offset: bigint;
  /** The error of this answer alone. */
  readonly reason: unknown;
}

/** Answers of brokers of which one was not good, by partition. */
function answersIn(error: unknown, depth = 0): readonly Answer[] {
  const inner = innerOf(error);
  const topics = topicsIn(error);
  if (topics === undefined) return depth < 4 ? inner.flatMap((each) => answersIn(each, depth + 1)) : [];
  const partitions = topics.flatMap((each): unknown => fieldOf(each, "partitionResponses") ?? []);
  return partitions.flatMap((each) => {
    const [partition, errorCode, offset] = [fieldOf(each, "index"), fieldOf(each, "errorCode"), fieldOf(each, "baseOffset")];
    const reason = inner.find((one) => fieldOf(one, "apiCode") === errorCode) ?? error;
    return typeof partition === "number" && typeof errorCode === "number" && typeof offset === "bigint" ? [{ partition, errorCode, offset, reason }] : [];
  });
}

/** The errors that are no answers: of connections, of the client. */
function silentIn(error: unknown, depth = 0): readonly unknown[] {
  if (topicsIn(error) !== undefined) return [];
  const inner = innerOf(error);
  return inner.length === 0 || depth >= 4 ? [error] : inner.flatMap((each) => silentIn(each, depth + 1));
}

/** The topics of an answer to a batch; undefined in an error that holds none. */
function topicsIn(error: unknown): readonly unknown[] | undefined {
  const topics = fieldOf(fieldOf(error, "response"), "responses");
  return Array.isArray(topics) ? topics : undefined;
}

function innerOf(error: unknown): readonly unknown[] {
  const errors = fieldOf(error, "errors");
  return Array.isArray(errors) ? errors : [];
}

/** Did a broker answer, if only that it cannot? */
export function wasAnswered(error: unknown): boolean {
  if (fieldOf(error, "response") !== undefined) return true;
  const errors = fieldOf(error, "errors");
  return Array.isArray(errors) && errors.some(wasAnswered);
}

/** Did the client give the batch to brokers? */
export function wasProduced(error: unknown): boolean {
  return fieldOf(error, "produced") !== undefined;
}
