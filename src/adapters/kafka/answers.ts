/**
 * What brokers said of a batch that failed: the client throws it, with the answer inside.
 *
 * Source: kafka.apache.org/protocol#The_Messages_Produce, `ResponseError` of @platformatic/kafka 2.12.
 *
 * @module
 */
import { fieldOf } from "../../wire/error-fields.ts";

/** Answers of brokers, by partition, within the error of a batch. */
function answersIn(error: unknown, depth = 0): readonly { readonly partition: number; readonly errorCode: number; readonly offset: bigint }[] {
  const response = fieldOf(error, "response");
  const errors = fieldOf(error, "errors");
  const inner = Array.isArray(errors) && depth < 4 ? errors.flatMap((each: unknown) => answersIn(each, depth + 1)) : [];
  const topics = fieldOf(response, "responses");
  if (!Array.isArray(topics)) return inner;
  const partitions = topics.flatMap((each: unknown): unknown => fieldOf(each, "partitionResponses") ?? []);
  const answers = partitions.flatMap((each) => {
    const [partition, errorCode, offset] = [fieldOf(each, "index"), fieldOf(each, "errorCode"), fieldOf(each, "baseOffset")];
    return typeof partition === "number" && typeof errorCode === "number" && typeof offset === "bigint" ? [{ partition, errorCode, offset }] : [];
  });
  return [...answers, ...inner];
}

/** Partitions that were stored although others failed, with the offset of the first of their messages. */
export function storedBy(error: unknown): ReadonlyMap<number, bigint> {
  return new Map(answersIn(error).flatMap(({ partition, errorCode, offset }) => (errorCode === 0 ? [[partition, offset] as const] : [])));
}

/** REQUEST_TIMED_OUT and NOT_ENOUGH_REPLICAS_AFTER_APPEND: it may be stored, though not as widely as was asked for. */
const maybeStored: ReadonlySet<number> = new Set([7, 20]);

/** Partitions of which a broker said that it did not take the batch. */
export function refusedBy(error: unknown): ReadonlySet<number> {
  return new Set(answersIn(error).flatMap(({ partition, errorCode }) => (errorCode === 0 || maybeStored.has(errorCode) ? [] : [partition])));
}

/** Did a broker answer, if only that it cannot? */
export function wasAnswered(error: unknown): boolean {
  if (fieldOf(error, "response") !== undefined) return true;
  const errors = fieldOf(error, "errors");
  return Array.isArray(errors) && errors.some(wasAnswered);
}
