/**
 * Single flight: one call, many readers.
 *
 * A flight looks for a kept answer and, where there is none, makes the call, in a scope of its own: whoever asked first may
 * leave, the call goes on as long as anybody reads. It is pulled at the pace of its fastest reader. Later readers get what came
 * before them, then follow live.
 *
 * @module
 */
import { Branch } from "../../core/branches.ts";
import { MillraceError } from "../../core/errors.ts";
import { allClosed, DONE, ignore, isPart } from "../../core/flow.ts";
import { Fused } from "../../core/fused.ts";
import type { FinishPart, Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import { Scope } from "../../core/scope.ts";
import { notStorable, unpaid } from "./cache-entry.ts";
import type { CacheEvent } from "./cache-store.ts";
import { type FlightEnd, FlightReader, type ReadFlight } from "./flight-reader.ts";
import { weightOf } from "../part-weight.ts";

/** How far a reader may be behind the fastest: what the slowest has yet to take is held in memory. */
const maxLagBytes = 8 * 1024 * 1024;

/** What all have taken is let go in lots of so many bytes at least. */
const leastTrimBytes = 64 * 1024;

/** What a flight is given. */
export interface FlightPlan {
  readonly processor: Processor;
  readonly input: readonly Part[];
  readonly maxEntryBytes: number;
  readonly storeToolCalls: boolean;
  find(call: Pick<Scope, "signal">): Promise<readonly Part[] | undefined>;
  keep(parts: readonly Part[]): Promise<void>;
  tell(event: CacheEvent): void;
  /** No newcomer may join any more. */
  gone(): void;
}

/** One call and its record. */
export class Flight implements ReadFlight {
  private readonly plan: FlightPlan;
  private readonly scope: Scope;
  private call: Branch | undefined = undefined;
  /** The record, from part number `first` on. */
  private readonly parts: Part[] = [];
  /** Bytes recorded before each of them. */
  private readonly offsets: number[] = [];
  private first = 0;
  /** Bytes ever recorded. */
  private weight = 0;
  /** The record is whole so far, and small enough to be kept. */
  private keeping = true;
  private isHit = false;
  private pulling = false;
  private end: FlightEnd | undefined = undefined;
  private kept: Promise<void> | undefined = undefined;
  private readonly readers = new Set<FlightReader>();
  waiting = 0;
  private leader: FlightReader | undefined = undefined;
  /** Finish parts below this number were handed to somebody, with the usage. */
  private paid = 0;
  /** Bytes recorded at which those that all have taken are let go next. */
  private trimAt = 0;
  /** A reader that may not pull by itself asks for more. */
  private wanted = false;
  private rouse: () => void = ignore;

  constructor(plan: FlightPlan, from: Scope) {
    this.plan = plan;
    const { observe, correlationId, limits } = from;
    const emit = (part: Part): void => {
      for (const reader of this.readers) reader.scope.emit(part);
    };
    // The flight may outlive the one who asked first: his deadline is not its own.
    const { leftMs: _, ...own } = limits;
    this.scope = new Scope(observe === undefined ? { correlationId } : { correlationId, observe }, { emit }, undefined, { limits: own });
  }

  /** A reader, from the first part on. */
  join(scope: Scope): FlightReader {
    const reader = new FlightReader(this, scope);
    this.readers.add(reader);
    this.leader ??= reader;
    return reader;
  }

  /**
   * Looks, calls, and from then on pulls for readers other than the leader: the stages of the call see the async context of
   * the run that they were first pulled in, and this function was called there.
   */
  async depart(): Promise<void> {
    const found = await this.plan.find(this.scope);
    if (this.readers.size === 0) return; // all have left meanwhile
    if (found !== undefined) {
      this.isHit = true;
      for (const part of found) this.record(part);
      this.conclude({ failed: false });
      return;
    }
    this.plan.tell({ kind: "miss" });
    try {
      this.call = new Branch(this.plan.processor, new Fused({ items: this.plan.input }, [], this.scope), this.scope);
    } catch (error) {
      return this.onFailed(error);
    }
    this.wake();
    while (this.end === undefined && this.readers.size > 0) {
      if (!this.wanted) await new Promise<void>((resolve) => (this.rouse = resolve));
      this.wanted = false;
      if (this.end === undefined && !this.pulling && this.readers.size > 0) this.pull();
    }
  }

  at(cursor: number, reader: FlightReader): Part | FlightEnd | undefined {
    const index = cursor - this.first;
    if (index < this.parts.length) return this.parts[index];
    if (this.end !== undefined) return this.end;
    if (this.pulling || this.call === undefined) return undefined;
    if (reader === this.leader) return this.pull();
    this.wanted = true;
    this.rouse();
    return undefined;
  }

  finishFor(cursor: number, part: FinishPart): FinishPart {
    if (this.isHit) return unpaid(part, "hit");
    if (cursor < this.paid) return unpaid(part, "coalesced");
    this.paid = cursor + 1;
    return part;
  }

  get keepsUntil(): Promise<void> | undefined {
    return this.kept;
  }

  leave(reader: FlightReader, why: unknown): Promise<void> | undefined {
    this.readers.delete(reader);
    if (this.readers.size > 0 || this.end !== undefined) return undefined;
    this.plan.gone();
    this.rouse();
    return allClosed([this.call?.close(why), this.scope.end(why)]);
  }

  /** What comes next, if it is ready. */
  private pull(): Part | FlightEnd | undefined {
    const pulled = this.call?.pull();
    if (isPart(pulled)) {
      this.record(pulled);
      this.wake();
      return pulled;
    }
    if (pulled === DONE) {
      this.onDone();
      return this.end;
    }
    this.pulling = true;
    pulled?.then(this.onPulled, this.onFailed);
    return undefined;
  }

  private readonly onPulled = (pulled: Part | typeof DONE): void => {
    this.pulling = false;
    if (this.readers.size === 0) return;
    if (pulled === DONE) return this.onDone();
    this.record(pulled);
    this.wake();
  };

  private readonly onFailed = (error: unknown): void => {
    this.pulling = true; // for ever
    this.plan.gone();
    const conclude = (): void => this.conclude({ failed: true, error });
    const closing = this.call?.close(error); // tells calls that are still in flight
    if (closing === undefined) conclude();
    else closing.then(conclude, conclude);
  };

  /** The natural end, once all that stages asked to wait for has settled. */
  private onDone(): void {
    if (this.scope.working) {
      this.pulling = true;
      this.scope.settled().then(() => this.complete(), this.onFailed);
    } else {
      this.complete();
    }
  }

  private complete(): void {
    if (this.readers.size === 0) return; // all have left: what a stage asked to wait for may have been given up
    const why = this.keeping ? notStorable(this.parts, this.plan.storeToolCalls) : "too large";
    if (why !== undefined) {
      this.plan.tell({ kind: "skipped", reason: why });
      this.plan.gone();
    } else {
      // whoever comes before it is kept reads this record
      this.kept = this.plan.keep(this.parts).finally(() => this.plan.gone());
    }
    this.conclude({ failed: false });
  }

  private conclude(end: FlightEnd): void {
    this.end = end;
    if (this.isHit) this.plan.gone();
    this.rouse();
    this.wake();
  }

  private record(part: Part): void {
    this.parts.push(part);
    this.offsets.push(this.weight);
    this.weight += weightOf(part);
    if (this.isHit) return;
    if (this.keeping && this.weight > this.plan.maxEntryBytes) {
      this.keeping = false; // newcomers would need the part that is let go from now on
      this.plan.gone();
    }
    if (this.weight > maxLagBytes) for (const reader of this.readers) if (this.lagOf(reader) > maxLagBytes) reader.detach(tooSlow());
    if (!this.keeping && this.weight >= this.trimAt) this.trim();
  }

  /** Bytes that a reader has yet to take of what the fastest has taken: all but the newest part, which was pulled for that one now. */
  private lagOf(reader: FlightReader): number {
    return (this.offsets.at(-1) ?? 0) - (this.offsets[reader.cursor - this.first] ?? 0);
  }

  /** Lets go of what all have taken. */
  private trim(): void {
    let slowest = Infinity;
    for (const reader of this.readers) slowest = Math.min(slowest, reader.cursor);
    const count = Math.min(slowest - this.first, this.parts.length);
    this.parts.splice(0, count);
    this.offsets.splice(0, count);
    this.first += count;
    const held = this.weight - (this.offsets[0] ?? this.weight);
    this.trimAt = this.weight + Math.max(leastTrimBytes, held); // seldom, so that it costs each part little
  }

  private wake(): void {
    if (this.waiting > 0) for (const reader of this.readers) reader.wake();
  }
}

function tooSlow(): MillraceError {
  return new MillraceError("too_large", `cache: this reader of a shared call is more than ${maxLagBytes} bytes behind the fastest; read faster, or without sharing`);
}
