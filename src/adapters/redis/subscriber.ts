/**
 * One listener on a channel: keeps what it may, counts what it must drop, comes back when its connection is lost, and tells of both.
 *
 * @module
 */
import { Fifo } from "../../core/fifo.ts";
import { ignore } from "../../core/flow.ts";
import { MillraceError } from "../../core/errors.ts";
import type { QueueEvent } from "../../kinds/queue.ts";
import { type RedisSettings, service } from "./client.ts";
import { isPassing } from "./errors.ts";
import { Link } from "./link.ts";

/** Milliseconds until what was dropped is told, also to a reader that does not read. */
const tellMs = 1_000;
/** Milliseconds before another attempt, the first time and at most; half of it at random. */
const baseRetryMs = 300;
const maxRetryMs = 2_000;

/** How a subscriber is made. */
export interface SubscriberOptions {
  readonly settings: RedisSettings;
  readonly name: string;
  readonly maxBuffered: number;
  readonly maxBytes: number;
  readonly drop: "oldest" | "newest";
  readonly pingMs: number;
  readonly maxInFlight: number;
  readonly tell: (event: QueueEvent) => void;
}

/** A message that is out. */
export interface OutOnce {
  readonly signal: AbortSignal;
  /** False when it is not out any more. */
  settle(): boolean;
}

/** Listens for one `open`. */
export class Subscriber {
  readonly id: string = crypto.randomUUID();
  private readonly options: SubscriberOptions;
  private readonly link: Link;
  private readonly buffered = new Fifo<Uint8Array>();
  private readonly outs = new Set<AbortController>();
  private bytes = 0;
  private dropped = 0;
  private cancelTelling: (() => void) | undefined;
  private over: { readonly error: unknown } | undefined;
  private drained = false;
  private readonly stop = new AbortController();
  private listening: Promise<void> | undefined;
  private wake: () => void = ignore;

  constructor(options: SubscriberOptions) {
    this.options = options;
    this.link = new Link(options.settings);
  }

  /** The next message; `undefined` once it is drained. Throws why it was left, or what cannot be helped by listening again. */
  async next(): Promise<Uint8Array | undefined> {
    this.listening ??= this.listen().catch((error: unknown) => this.end({ error }));
    for (;;) {
      if (this.over !== undefined) throw this.over.error;
      if (this.drained) return undefined;
      this.tellDropped();
      const body = this.outs.size < this.options.maxInFlight ? this.buffered.shift() : undefined;
      if (body !== undefined) {
        this.bytes -= body.byteLength;
        return body;
      }
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  /** One more is out. */
  out(): OutOnce {
    const controller = new AbortController();
    this.outs.add(controller);
    return {
      signal: controller.signal,
      settle: () => {
        if (!this.outs.delete(controller)) return false;
        this.wake();
        return true;
      },
    };
  }

  /** Listens no more, and hands out no more; what was kept is gone, and told. */
  drain(): void {
    this.drained = true;
    this.unsubscribe();
    this.wake();
  }

  /** Ends it: a waiting `next` rejects with the reason, what is out is nobody's. */
  leave(reason: unknown): void {
    this.end({ error: reason });
    for (const out of this.outs) out.abort(new MillraceError("closed", `${service}: the reader of ${this.options.name} has left`, { service }));
    this.outs.clear();
  }

  private end(over: { readonly error: unknown }): void {
    this.over ??= over;
    this.unsubscribe();
    this.wake();
  }

  private unsubscribe(): void {
    this.stop.abort();
    this.link.close();
    this.dropped += this.buffered.length;
    while (this.buffered.shift() !== undefined);
    this.bytes = 0;
    this.tellDropped();
  }

  /** Listens until it is stopped. Throws what fails before the first message could have come, and what no waiting helps. */
  private async listen(): Promise<void> {
    const { settings: { clock }, pingMs } = this.options;
    const { signal } = this.stop;
    let failures = 0;
    for (let heardBefore = false; !signal.aborted; failures += 1) {
      try {
        const line = await this.link.get(signal);
        await this.link.within(line, "subscribe", (connection) => connection.subscribe(this.options.name, (body) => this.take(body)));
        heardBefore = true;
        failures = 0;
        for (;;) {
          await clock.sleep(pingMs, line.down.signal);
          await this.link.within(line, "listen", (connection) => connection.ping());
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!isPassing(error) || !heardBefore) throw error;
        if (failures === 0) this.options.tell({ kind: "gap", queue: this.options.name, reason: "the connection was lost: what was sent until it is back is missed" });
        await clock.sleep(Math.min(maxRetryMs, baseRetryMs * 2 ** Math.min(failures, 8)) * (0.5 + Math.random() / 2), signal).catch(ignore);
      }
    }
  }

  private take(body: Uint8Array): void {
    if (this.over !== undefined || this.drained) return;
    const { maxBuffered, maxBytes, drop } = this.options;
    const full = (): boolean => this.buffered.length >= maxBuffered || (this.bytes + body.byteLength > maxBytes && this.buffered.length > 0);
    if (full() && drop === "newest") return this.count();
    while (full()) {
      this.bytes -= this.buffered.shift()?.byteLength ?? 0;
      this.count();
    }
    this.buffered.push(body);
    this.bytes += body.byteLength;
    this.wake();
  }

  private count(): void {
    this.dropped += 1;
    this.cancelTelling ??= this.options.settings.clock.timeout(tellMs, () => this.tellDropped());
  }

  private tellDropped(): void {
    this.cancelTelling?.();
    this.cancelTelling = undefined;
    if (this.dropped === 0) return;
    const { name, tell } = this.options;
    tell({ kind: "gap", queue: name, count: this.dropped, reason: "the reader was too far behind, or has left" });
    this.dropped = 0;
  }
}
