/**
 * Sends messages on two lanes: while the broker stores a batch of the one, that of the other is made.
 *
 * Messages of one key are in one lane, and so in order; those of a topic of one partition, which has an order of its own, all in the
 * first. The two share nothing, neither their connections nor their numbers of messages: a batch that fails leaves the other as it is.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { heard } from "../../wire/heard.ts";
import type { KafkaPackage } from "./client.ts";
import { Lane, Waiting } from "./lane.ts";
import { service, type Settings } from "./options.ts";
import type { Outgoing, Place } from "./outgoing.ts";

/** Messages in a lane above which those without a key take the other: below, a second batch costs more than it hides (measured: 32 to 50). */
const fewest = 32;

/** Opens nothing yet: the first message does. */
export class Sender {
  private readonly first: Lane;
  private readonly second: Lane;
  private isSpread = false;
  private closing: Promise<unknown> | undefined;

  constructor(settings: Settings, load: () => Promise<KafkaPackage>) {
    this.first = new Lane(settings, load);
    this.second = new Lane(settings, load);
  }

  async send(message: Outgoing, signal: AbortSignal | undefined): Promise<Place> {
    if (this.closing !== undefined) throw closedError();
    const { promise, resolve, reject } = Promise.withResolvers<Place>();
    const waiting = new Waiting(message, resolve, reject);
    this.laneOf(message).push(waiting);
    try {
      return await heard(promise, signal);
    } finally {
      waiting.gone = true;
    }
  }

  /** Whoever waits gets `closed`. */
  async close(): Promise<void> {
    this.closing ??= Promise.all([this.first.close(closedError()), this.second.close(closedError())]);
    await this.closing;
  }

  private laneOf({ key }: Outgoing): Lane {
    const { first, second } = this;
    if (!this.isSpread) {
      // not before the first is empty: a message of the same key may be in it
      if (first.size > 0 || first.partitions < 2) return first;
      this.isSpread = true;
    }
    if (key !== undefined) return isOdd(key) ? second : first;
    return first.size < fewest || first.size <= second.size ? first : second;
  }
}

function closedError(): MillraceError {
  return new MillraceError("closed", `${service}: was closed`, { service });
}

/** The same answer for the same key, and either for half of the keys. */
function isOdd(key: string): boolean {
  let bits = 0;
  for (let at = 0; at < key.length; at += 1) bits ^= key.charCodeAt(at);
  return (bits & 1) === 1;
}
