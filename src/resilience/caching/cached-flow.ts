/**
 * One call through a cache: the input is read to its end, then the answer comes from wherever it is.
 *
 * @module
 */
import { Branch } from "../../core/branches.ts";
import { allClosed, DONE, type Flow, ignore, isPart, type Pulled } from "../../core/flow.ts";
import type { Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import type { Scope } from "../../core/scope.ts";
import type { CacheEvent, Shelf } from "./cache-store.ts";
import { Flight, type FlightPlan } from "./flight.ts";
import { weightOf } from "../part-weight.ts";

/** What all calls of one cache share. */
export interface CacheDesk {
  readonly processor: Processor;
  readonly shelf: Shelf;
  readonly flights: Map<string, Flight>;
  readonly maxEntryBytes: number;
  readonly storeToolCalls: boolean;
  /** The key of a call; nothing when it has none. */
  keyOf(input: readonly Part[], scope: Scope): Promise<string | undefined>;
  tell(event: CacheEvent): void;
}

/** Reads its input, then follows a flight, or calls through. */
export class CachedFlow implements Flow {
  private readonly upstream: Flow;
  private readonly desk: CacheDesk;
  private readonly scope: Scope;
  private answer: Flow | undefined = undefined;
  private over = false;
  /** Of the first pull, which waits for an answer. */
  private reject: ((why: unknown) => void) | undefined = undefined;

  constructor(upstream: Flow, desk: CacheDesk, scope: Scope) {
    this.upstream = upstream;
    this.desk = desk;
    this.scope = scope;
  }

  pull(): Pulled {
    if (this.answer !== undefined) return this.answer.pull();
    if (this.over) return DONE;
    return new Promise((resolve, reject) => {
      this.reject = reject;
      this.open().then(
        () => resolve(this.answer === undefined ? DONE : this.answer.pull()),
        (error: unknown) => {
          this.over = true;
          const settle = (): void => reject(error);
          const closing = this.upstream.close(error);
          if (closing === undefined) settle();
          else closing.then(settle, settle);
        },
      );
    });
  }

  /** Finds where the answer comes from; nowhere when it was left meanwhile. What hears of it may leave, so `answer` is set before. */
  private async open(): Promise<void> {
    const { desk, scope } = this;
    const input: Part[] = [];
    const whole = await this.gather(input);
    if (this.over) return;
    const key = whole ? await desk.keyOf(input, scope) : undefined;
    if (this.over) return;
    if (key === undefined) {
      this.answer = new Branch(desk.processor, new Prefixed(input, this.upstream), scope);
      desk.tell({ kind: "bypass", reason: whole ? "no key" : "input too large" });
      return;
    }
    const known = desk.flights.get(key);
    if (known !== undefined) {
      this.answer = known.join(scope);
      desk.tell({ kind: "coalesced" });
      return;
    }
    const flight = new Flight(this.planFor(key, input), scope);
    desk.flights.set(key, flight);
    this.answer = flight.join(scope);
    void flight.depart(); // it tells its failures to its readers
  }

  private planFor(key: string, input: readonly Part[]): FlightPlan {
    const { processor, shelf, flights, maxEntryBytes, storeToolCalls, tell } = this.desk;
    let open = true;
    return {
      processor,
      input,
      maxEntryBytes,
      storeToolCalls,
      tell,
      async find(call) {
        const found = await shelf.find(key, call);
        if (found !== undefined) tell({ kind: "hit" });
        return found;
      },
      keep: (parts) => shelf.keep(key, parts),
      gone() {
        if (open) flights.delete(key); // once: another flight may have this key by now
        open = false;
      },
    };
  }

  /** Reads the input, as far as it may be held; tells whether that was all. */
  private async gather(input: Part[]): Promise<boolean> {
    let weight = 0;
    for (;;) {
      const pulled = this.upstream.pull();
      const part = isPart(pulled) || pulled === DONE ? pulled : await pulled;
      if (part === DONE) return true;
      input.push(part);
      weight += weightOf(part);
      if (weight > this.desk.maxEntryBytes) return false;
    }
  }

  close(why: unknown): Promise<void> | undefined {
    this.over = true;
    this.reject?.(why);
    const closing = allClosed([this.answer?.close(why), this.upstream.close(why)]);
    closing?.catch(ignore); // told to whoever waits for it
    return closing;
  }
}

/** What was read already, then what is still to come. */
class Prefixed implements Flow {
  private readonly parts: readonly Part[];
  private readonly rest: Flow;
  private at = 0;

  constructor(parts: readonly Part[], rest: Flow) {
    this.parts = parts;
    this.rest = rest;
  }

  pull(): Pulled {
    const part = this.parts[this.at];
    if (part === undefined) return this.rest.pull();
    this.at += 1;
    return part;
  }

  close(why: unknown): Promise<void> | undefined {
    this.at = this.parts.length;
    return this.rest.close(why);
  }
}
