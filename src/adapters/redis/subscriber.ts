/**
 * One listener on a channel: keeps what it may, counts what it must drop, and tells of that, and of what it missed.
 *
 * @module
 */
import { Fifo } from "../../core/fifo.ts";
import { ignore } from "../../core/flow.ts";
import { MillraceError } from "../../core/errors.ts";
import type { QueueEvent } from "../../kinds/queue.ts";
import type { Channels, Listener } from "./channels.ts";
import { type RedisSettings, service } from "./client.ts";

/** Milliseconds until what was dropped is told, also to a reader that does not read. */
const tellMs = 1_000;

/** How a subscriber is made. */
export interface SubscriberOptions {
  readonly settings: RedisSettings;
  readonly channels: Channels;
  readonly name: string;
  readonly maxBuffered: number;
  readonly maxBytes: number;
  readonly drop: "oldest" | "newest";
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
export class Subscriber implements Listener {
  readonly id: string = crypto.randomUUID();
  private readonly options: SubscriberOptions;
  private readonly buffered = new Fifo<Uint8Array>();
  private readonly outs = new Set<AbortController>();
  private bytes = 0;
  private dropped = 0;
  private cancelTelling: (() => void) | undefined;
  private over: { readonly error: unknown } | undefined;
  private drained = false;
  private isListening = false;
  private unlisten: () => void = ignore;
  private wake: () => void = ignore;

  constructor(options: SubscriberOptions) {
    this.options = options;
  }

  /** The next message; `undefined` once it is drained. Throws why it was left, or what cannot be helped by listening again. */
  async next(): Promise<Uint8Array | undefined> {
    if (!this.isListening && this.over === undefined && !this.drained) {
      this.isListening = true;
      this.unlisten = this.options.channels.listen(this.options.name, this);
    }
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
    this.unlisten();
    this.dropped += this.buffered.length;
    while (this.buffered.shift() !== undefined);
    this.bytes = 0;
    this.tellDropped();
  }

  missed(): void {
    this.say({ kind: "gap", queue: this.options.name, reason: "the connection was lost: what was sent until it is back is missed" });
  }

  back(awayMs: number): void {
    this.say({ kind: "reconnected", queue: this.options.name, awayMs });
  }

  /** Who listens may throw: that ends the reading, and nobody else's. */
  private say(event: QueueEvent): void {
    try {
      this.options.tell(event);
    } catch (error) {
      this.end({ error });
    }
  }

  failed(error: unknown): void {
    this.end({ error });
  }

  take(body: Uint8Array): void {
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
