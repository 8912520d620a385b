/**
 * Fetches deliveries as fast as they may be worked on, alone or in batches, and knows which are out.
 *
 * @module
 */
import { ignore } from "../core/flow.ts";
import { LinkedList } from "../core/linked-list.ts";
import { sizeOf } from "../core/part-size.ts";
import type { Delivery } from "../kinds/queue.ts";
import { Handling } from "./handling.ts";
import { Held, Leases } from "./held.ts";
import type { Settings } from "./options.ts";
import { reopening } from "./reopening.ts";

/** How long a source may take to close. */
const closeMs = 100;

/** Reads one queue. */
export class Pulling {
  readonly handling: Handling;
  received = 0;
  private readonly settings: Settings;
  private readonly failed: (error: unknown) => void;
  private readonly leases: Leases | undefined;
  private out = 0;
  private readonly work = new LinkedList<Promise<void>>();
  private readonly source = new AbortController();
  /** No more is wanted. */
  private readonly leaving = new AbortController();
  private iterator: AsyncIterator<Delivery> | undefined;
  private wake: () => void = ignore;
  private gathered: Held[] = [];
  private gatheredBytes = 0;
  private cancelGathering: () => void = ignore;

  constructor(settings: Settings, failed: (error: unknown) => void) {
    const { queue: { leaseMs, lacks }, clock } = settings;
    this.settings = settings;
    this.failed = failed;
    this.leases = leaseMs === undefined || lacks.extend !== undefined ? undefined : new Leases(leaseMs, clock);
    this.handling = new Handling(settings, () => this.wake());
  }

  /** Deliveries that are out. */
  get inFlight(): number {
    return this.out;
  }

  /** Reads until the queue ends, or `stop`. Rejects with what cannot be helped by opening it again. */
  run(): Promise<void> {
    const { clock, random, tell } = this.settings;
    return reopening(() => this.read(), { signal: this.leaving.signal, received: () => this.received, tell, clock, random });
  }

  /** Fetches no more. What is not being worked on is given back. */
  stop(): void {
    this.leaving.abort();
    this.handling.shut();
    this.cancelGathering();
    const rest = this.gathered;
    this.gathered = [];
    this.track(rest, this.handling.giveBack(rest));
    this.wake();
  }

  /** Resolves when nothing is out any more, after so many milliseconds, or when the signal aborts. */
  async idle(ms: number = Infinity, signal?: AbortSignal): Promise<void> {
    const { clock } = this.settings;
    const done = (async () => {
      while (this.work.size > 0) await Promise.allSettled(this.work);
    })();
    if (this.work.size === 0 || signal?.aborted === true) return;
    if (ms === Infinity) return done;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const cancel = clock.timeout(ms, end);
      signal?.addEventListener("abort", end, { once: true });
      void done.then(end);
    });
  }

  /** Leaves the source: what is still out goes back to the queue. */
  async close(): Promise<void> {
    const { clock } = this.settings;
    this.leaving.abort();
    this.source.abort(new DOMException("the worker is being stopped", "AbortError"));
    this.leases?.close();
    this.handling.close();
    const returned = this.iterator?.return?.();
    if (returned === undefined) return;
    await new Promise<void>((resolve) => {
      const cancel = clock.timeout(closeMs, resolve);
      returned.then(ignore, ignore).finally(() => {
        cancel();
        resolve();
      });
    });
  }

  private get stopping(): boolean {
    return this.leaving.signal.aborted;
  }

  private async read(): Promise<void> {
    const { queue, maxInFlight, tell } = this.settings;
    const iterator = queue.open({ signal: this.source.signal, drain: this.leaving.signal, maxInFlight, tell })[Symbol.asyncIterator]();
    this.iterator = iterator;
    for (;;) {
      if (this.full) await this.room();
      if (this.stopping) return;
      const { done, value } = await iterator.next();
      if (done === true) return this.flush();
      this.received += 1;
      this.out += 1;
      const held = new Held(value, this.leases);
      if (this.stopping) return this.track([held], this.handling.giveBack([held])); // it came too late
      this.take(held);
    }
  }

  /** May no other delivery be out now? */
  private get full(): boolean {
    // what is being acknowledged is in the way of nothing here; the queue itself may wait until it has confirmed it
    return this.out - this.handling.settling.acking >= this.settings.maxInFlight || !this.handling.door.mayPull;
  }

  /** Waits until another delivery may be out. */
  private async room(): Promise<void> {
    while (!this.stopping && this.full) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  private take(held: Held): void {
    const { batch, clock } = this.settings;
    if (batch === undefined) return this.begin(Array.of(held)); // no literal: see `WayOut` of core/runner.ts
    const bytes = batch.bytes === Infinity ? 0 : held.delivery.parts.reduce((sum, part) => sum + sizeOf(part), 0);
    if (this.gathered.length > 0 && this.gatheredBytes + bytes > batch.bytes) this.flush();
    if (this.gathered.length === 0) this.cancelGathering = clock.timeout(batch.maxWaitMs, () => this.flush());
    this.gathered.push(held);
    this.gatheredBytes += bytes;
    if (this.gathered.length >= batch.count || this.gatheredBytes >= batch.bytes) this.flush();
  }

  private flush(): void {
    this.cancelGathering();
    const group = this.gathered;
    this.gathered = [];
    this.gatheredBytes = 0;
    this.begin(group);
  }

  private begin(group: readonly Held[]): void {
    if (group.length > 0) this.track(group, this.handling.handle(group));
  }

  /** Work whose end makes room. */
  private track(group: readonly Held[], handled: Promise<void>): void {
    const over = (): void => {
      this.work.delete(node);
      for (const held of group) held.release();
      this.out -= group.length;
      this.wake();
    };
    const work = handled.then(over, (error: unknown) => {
      this.failed(error);
      over();
    });
    const node = this.work.push(work);
  }
}
