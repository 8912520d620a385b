/**
 * Makes a delivery of a message: what stood in it, what the broker says of it, and how it is settled, once.
 *
 * @module
 */
import { MillraceError, wholeNumber } from "../core/errors.ts";
import { type Metadata, noMetadata, type Part } from "../core/part.ts";
import { keepShape } from "../core/shapes.ts";
import type { ReadMessage } from "./envelope.ts";
import { checkNack, type Delivery, type NackOptions, type Queue } from "./queue.ts";

/** How one reader settles what it has handed out; `T` is what it knows of a message. What throws may be tried again. */
export interface Hands<T> extends Pick<Queue, "service" | "lacks"> {
  ack(out: T): void | Promise<void>;
  nack(out: T, options: Required<NackOptions>): void | Promise<void>;
  /** Absent where leases cannot be prolonged. */
  extend?(out: T, ms: number): void | Promise<void>;
}

/** What the broker says of a message. */
export interface HandedOut extends Pick<Delivery, "id" | "attempt" | "signal"> {
  readonly key?: string | undefined;
  /** @default the id that stands in the message */
  readonly messageId?: string | undefined;
}

/** A delivery that settles once, by the reader's hands. Throws from its methods: `closed` for the second time, `invalid_input`. */
export function handOut<T>(hands: Hands<T>, out: T, message: ReadMessage, about: HandedOut): Delivery {
  return new OutDelivery(hands, out, message, about);
}

/**
 * A class, as what is made once a message and holds it (see `WayOut` of core/runner.ts); its functions are its own, so that a copy
 * (`{ ...delivery, ack }`) has them too.
 */
class OutDelivery<T> implements Delivery {
  readonly id: string;
  readonly attempt: number;
  declare readonly key?: string;
  declare readonly messageId?: string;
  readonly parts: readonly Part[];
  declare readonly unreadable?: MillraceError;
  declare readonly correlationId?: string;
  declare readonly traceparent?: string;
  readonly headers: Metadata;
  declare readonly sentAtMs?: number;
  readonly signal: AbortSignal;
  declare readonly extend?: (ms: number) => Promise<void>;
  readonly #hands: Hands<T>;
  readonly #out: T;
  #settled = false;

  constructor(hands: Hands<T>, out: T, message: ReadMessage, about: HandedOut) {
    const { key, messageId = message.id } = about;
    const { unreadable, correlationId, traceparent, sentAtMs } = message;
    this.#hands = hands;
    this.#out = out;
    this.id = about.id;
    this.attempt = about.attempt;
    if (key !== undefined) this.key = key;
    if (messageId !== undefined) this.messageId = messageId;
    this.parts = message.parts;
    if (unreadable !== undefined) this.unreadable = unreadable;
    if (correlationId !== undefined) this.correlationId = correlationId;
    if (traceparent !== undefined) this.traceparent = traceparent;
    this.headers = message.headers ?? noMetadata;
    if (sentAtMs !== undefined) this.sentAtMs = sentAtMs;
    this.signal = about.signal;
    if (hands.extend !== undefined) this.extend = (ms) => this.#prolong(ms);
  }

  readonly ack = async (): Promise<void> => {
    this.#begin();
    try {
      await this.#hands.ack(this.#out);
    } catch (error) {
      this.#settled = false;
      throw error;
    }
  };

  readonly nack = async ({ delayMs = 0, counted = true }: NackOptions = {}): Promise<void> => {
    checkNack(this.#hands, { delayMs });
    this.#begin();
    try {
      await this.#hands.nack(this.#out, { delayMs, counted });
    } catch (error) {
      this.#settled = false;
      throw error;
    }
  };

  async #prolong(ms: number): Promise<void> {
    wholeNumber(`${this.#hands.service}: extend`, "ms", ms, 1);
    await this.#hands.extend?.(this.#out, ms);
  }

  #begin(): void {
    const { service } = this.#hands;
    if (this.#settled) throw new MillraceError("closed", `${service}: delivery ${this.id} is settled already`, { service });
    this.#settled = true;
  }
}

/** As those of our own form are, with a lease. */
export const sampleDelivery: Delivery = handOut(
  { service: "sample", lacks: {}, ack() {}, nack() {}, extend() {} },
  undefined,
  { parts: [], id: "1", correlationId: "1", headers: noMetadata, sentAtMs: 0 },
  { id: "sample/1", attempt: 1, signal: new AbortController().signal },
);
keepShape(sampleDelivery);
