/**
 * Where a message of JetStream stands: what its reply subject says, and what is missing before it.
 *
 * Source: https://docs.nats.io/reference/reference-protocols/nats_api_reference, ADR-15 of nats-architecture-and-design
 *
 * @module
 */
import type { ConsumerState } from "./consumer.ts";

/** Of one message, given out once more or for the first time. */
export interface Place {
  /** From 1: how often the consumer has given it out. */
  readonly attempt: number;
  /** Its place in the stream. */
  readonly streamSeq: number;
  /** Its number among all that the consumer gave out. */
  readonly consumerSeq: number;
}

/** Reads `$JS.ACK.<stream>.<consumer>.<attempt>.<place>.<number>.<time>.<pending>`; newer servers may put domain and account before it. */
export function placeIn(reply: string): Place | undefined {
  const tokens = reply.split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK" || tokens.length < 9 || tokens.length === 10) return undefined;
  const at = tokens.length === 9 ? 4 : 6;
  const [attempt, streamSeq, consumerSeq] = [Number(tokens[at]), Number(tokens[at + 1]), Number(tokens[at + 2])];
  return attempt >= 1 && streamSeq >= 1 && consumerSeq >= 1 ? { attempt, streamSeq, consumerSeq } : undefined;
}

/**
 * Counts messages that are not in the stream any more, though nobody got them: between two that a consumer gave out one after the other,
 * both to this reader, there are none in between. Whatever another reader got meanwhile breaks that chain, and a new one begins.
 */
export class Gaps {
  private silent = true;
  private number: number | undefined;
  private highest: number | undefined;

  /** Begins at what the consumer has given out. One that has given out nothing, or sees a part of its stream, tells nothing. */
  begin({ delivered, filtered }: ConsumerState): void {
    this.silent = filtered;
    this.number = delivered.consumerSeq;
    this.highest = delivered.consumerSeq === 0 ? undefined : delivered.streamSeq;
  }

  /** How many are missing before this one. */
  before({ attempt, streamSeq, consumerSeq }: Place): number {
    const highest = this.number !== undefined && consumerSeq === this.number + 1 ? this.highest : undefined;
    this.number = consumerSeq;
    this.highest = attempt === 1 ? streamSeq : highest; // what is given out again says nothing of what is new
    if (this.silent || attempt > 1 || highest === undefined) return 0;
    return Math.max(0, streamSeq - highest - 1);
  }
}
