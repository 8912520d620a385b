/**
 * Several flows as one, as they come.
 *
 * One read a flow is outstanding; what arrives puts itself in a queue and wakes the one reader. There is no race among
 * promises: on a flow that is silent for ever, each round of a race would leave something behind.
 *
 * @module
 */
import { Fifo } from "./fifo.ts";
import { allClosed, DONE, type Flow, isPart, type Pulled } from "./flow.ts";
import type { Part } from "./part.ts";

/** Merges flows; more may be added while it is read. */
export class Arrivals implements Flow {
  private readonly flows = new Set<Flow>();
  /** Flows whose next part may be asked for: their last one was taken. */
  private readonly due: Flow[] = [];
  private readonly ready = new Fifo<{ readonly flow: Flow; readonly part: Part }>();
  private failure: { readonly error: unknown } | undefined = undefined;
  private over = false;
  private resolve: ((part: Part | typeof DONE) => void) | undefined = undefined;
  private reject: ((why: unknown) => void) | undefined = undefined;
  /** More flows may come: running dry is not the end. */
  private expecting = false;

  constructor(flows: Iterable<Flow>, options: { readonly expecting?: boolean } = {}) {
    this.expecting = options.expecting ?? false;
    for (const flow of flows) this.add(flow);
  }

  /** Does a reader wait? */
  get waiting(): boolean {
    return this.resolve !== undefined;
  }

  /** Another flow, read from the next pull on, or at once if a reader waits. */
  add(flow: Flow): void {
    this.flows.add(flow);
    this.due.push(flow);
    if (this.resolve !== undefined) this.serve();
  }

  /** No more flows will come. */
  complete(): void {
    this.expecting = false;
    this.serve();
  }

  /** Fails once all that is ready has been taken. */
  fail(error: unknown): void {
    this.failure ??= { error };
    this.serve();
  }

  pull(): Pulled {
    if (this.over) return DONE;
    this.ask();
    const next = this.next();
    if (next !== undefined) return next;
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.serve();
    });
  }

  /** Asks every flow whose last part was taken; those that are ready answer at once, behind the others. */
  private ask(): void {
    for (let flow = this.due.shift(); flow !== undefined; flow = this.due.shift()) {
      const pulled = flow.pull();
      if (isPart(pulled)) this.ready.push({ flow, part: pulled });
      else if (pulled === DONE) this.flows.delete(flow);
      else this.wait(flow, pulled);
    }
  }

  private wait(flow: Flow, pulled: Promise<Part | typeof DONE>): void {
    pulled.then(
      (part) => {
        if (this.over) return; // it came while the others were being closed
        if (part === DONE) this.flows.delete(flow);
        else this.ready.push({ flow, part });
        this.serve();
      },
      (error: unknown) => {
        if (this.over) return;
        this.flows.delete(flow);
        this.fail(error);
      },
    );
  }

  private next(): Part | typeof DONE | undefined {
    const first = this.ready.shift();
    if (first !== undefined) {
      this.due.push(first.flow);
      return first.part;
    }
    if (this.failure !== undefined || this.expecting || this.flows.size > 0) return undefined;
    this.over = true;
    return DONE;
  }

  private serve(): void {
    const { resolve, reject, failure } = this;
    if (resolve === undefined || reject === undefined) return;
    this.ask();
    const next = this.next();
    if (next !== undefined) {
      this.resolve = this.reject = undefined;
      resolve(next);
    } else if (failure !== undefined && !this.over) {
      const fail = (): void => {
        if (this.reject !== reject) return;
        this.resolve = this.reject = undefined;
        reject(failure.error);
      };
      const closing = this.closeAll(failure.error);
      if (closing === undefined) fail();
      else closing.then(fail, fail);
    }
  }

  close(why: unknown): Promise<void> | undefined {
    const closing = this.closeAll(why);
    this.reject?.(why);
    this.resolve = this.reject = undefined;
    return closing;
  }

  private closeAll(why: unknown): Promise<void> | undefined {
    this.over = true;
    this.ready.clear();
    const closing = allClosed([...this.flows].map((flow) => flow.close(why)));
    this.flows.clear();
    return closing;
  }
}
