/**
 * Neighbouring stages that work on several parts at once.
 *
 * Each part goes on alone: while part 1 is still in the first stage, part 2 may be in the third. What is kept is the place
 * of each part in the order of the output, as a list of tokens, and how many calls each stage may have in progress. The
 * earliest part is never kept out, so nothing can wait in a circle.
 *
 * @module
 */
import { notAResult, toPart } from "./content.ts";
import { Fifo } from "./fifo.ts";
import { allClosed, DONE, type Flow, ignore, isPart, isPromise, PASS, type Pulled, returnOf } from "./flow.ts";
import { isReserved } from "./guards.ts";
import type { Part } from "./part.ts";
import { Scope } from "./scope.ts";
import { keepShape } from "./shapes.ts";
import type { Operation, OperationStage } from "./stage.ts";
import { calling, failed, reading, ready, Token, TokenList, type TokenOwner, waiting } from "./token.ts";

/** Parts that the result stream of one call may be read ahead of the output. */
const readAhead = 64;

/** Several calls in progress at each stage, in the order of the input or as they come. */
export class Concurrent implements Flow, TokenOwner {
  private readonly upstream: Flow;
  private readonly operations: readonly Operation[];
  private readonly limits: readonly number[];
  private readonly active: number[];
  private readonly ordered: boolean;
  /** Source parts under way at most: one more a stage than its calls, so that the next part is at hand. */
  private readonly most: number;
  private readonly scope: Scope;
  private readonly list = new TokenList();
  private readonly spare: Token[] = [];
  /** Unordered: what is ready, as it came. */
  private readonly out = new Fifo<Part>();
  private failure: { readonly error: unknown } | null = null;
  private waitingTokens = 0;
  private ordinal = 0;
  private pulling = false;
  private sourceOver = false;
  private over = false;
  private busy = false;
  private again = false;
  private closing: Promise<void> | undefined = undefined;
  private resolve: ((part: Part | typeof DONE) => void) | null = null;
  private reject: ((why: unknown) => void) | null = null;

  constructor(upstream: Flow, stages: readonly OperationStage[], scope: Scope) {
    this.upstream = upstream;
    this.scope = scope.child(); // so that calls in progress hear when only this segment is left
    this.operations = stages.map((stage) => stage.open(this.scope));
    this.limits = stages.map((stage) => stage.concurrency);
    this.active = stages.map(() => 0);
    this.ordered = stages.every((stage) => stage.ordered);
    this.most = this.limits.reduce((sum, limit) => sum + limit + 1, 0);
  }

  pull(): Pulled {
    if (this.over) return DONE;
    let next = this.take();
    this.schedule(); // what was taken made room
    next ??= this.take();
    if (next !== undefined) return next;
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.serve();
    });
  }

  close(why: unknown): Promise<void> | undefined {
    const closing = this.shut(why);
    this.reject?.(why);
    this.resolve = this.reject = null;
    return closing;
  }

  // --- the output ---

  /** What is next in the output, if it is there. */
  private take(): Part | typeof DONE | undefined {
    if (!this.ordered) {
      const part = this.out.shift();
      if (part !== undefined) return part;
    } else {
      const { head } = this.list;
      if (head?.state === ready && head.part !== null) {
        const { part } = head;
        this.drop(head);
        return part;
      }
    }
    if (this.failure !== null || this.list.head !== null || !this.sourceOver) return undefined;
    this.over = true;
    this.scope.release();
    return DONE;
  }

  /** Gives the waiting reader what has become ready. */
  private serve(): void {
    const { resolve, reject } = this;
    if (resolve === null || reject === null) return;
    const next = this.take();
    if (next !== undefined) {
      this.resolve = this.reject = null;
      resolve(next);
      if (next !== DONE) this.schedule();
      return;
    }
    const { head } = this.list;
    const failure = this.ordered ? (head?.state === failed ? { error: head.error } : null) : this.failure;
    if (failure === null) return;
    const fail = (): void => {
      if (this.reject !== reject) return;
      this.resolve = this.reject = null;
      reject(failure.error);
    };
    const closing = this.shut(failure.error);
    if (closing === undefined) fail();
    else closing.then(fail, fail);
  }

  // --- the input ---

  /** Starts all that may be started. Not re-entered: calls that end at once are seen by the loop that made them. */
  private schedule(): void {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    do {
      this.again = false;
      this.readResults();
      if (this.waitingTokens > 0) this.enterWaiting();
      this.pullSource();
    } while (this.again && !this.over);
    this.busy = false;
  }

  private pullSource(): void {
    const limit = this.limits[0] ?? 1;
    while (
      !this.over &&
      !this.pulling &&
      !this.sourceOver &&
      this.failure === null &&
      (this.active[0] ?? 0) < limit &&
      this.list.ordinals + this.out.length < this.most
    ) {
      const pulled = this.upstream.pull();
      if (isPart(pulled)) this.accept(pulled);
      else if (pulled === DONE) this.sourceOver = true;
      else {
        this.pulling = true;
        pulled.then(this.onPulled, this.onPullFailed);
      }
    }
  }

  private readonly onPulled = (pulled: Part | typeof DONE): void => {
    this.pulling = false;
    if (this.over) return;
    if (pulled === DONE) this.sourceOver = true;
    else this.accept(pulled);
    this.schedule();
    this.serve();
  };

  private readonly onPullFailed = (error: unknown): void => {
    this.pulling = false;
    if (this.over) return;
    this.sourceOver = true;
    const token = this.token(this.ordinal);
    this.list.append(token);
    this.failAt(token, error);
    this.serve();
  };

  private accept(part: Part): void {
    const token = this.token(this.ordinal);
    this.ordinal += 1;
    token.part = part;
    this.list.append(token);
    this.enter(token);
  }

  // --- the stages ---

  private enter(token: Token): void {
    const { part, stage } = token;
    const operation = this.operations[stage];
    if (part === null || operation === undefined) return;
    token.state = calling;
    this.active[stage] = (this.active[stage] ?? 0) + 1;
    let result: unknown;
    try {
      result = operation(part, this.scope);
    } catch (error) {
      this.leave(token);
      return this.failAt(token, error);
    }
    if (isPromise(result)) result.then(token.onCalled, token.onThrown);
    else this.interpret(token, result);
  }

  called(token: Token, result: unknown): void {
    if (this.over) return;
    this.interpret(token, result);
    this.schedule();
    this.serve();
  }

  /** What a call gave. */
  private interpret(token: Token, result: unknown): void {
    try {
      const origin = token.part;
      if (origin === null) return;
      if (isPart(result)) this.moveOn(token, result);
      else if (result === undefined) this.moveOn(token, undefined);
      else if (result === PASS) this.moveOn(token, origin);
      else if (typeof result === "string") this.moveOn(token, toPart(result, origin));
      else if (Array.isArray(result) && result.length < 2) {
        this.moveOn(token, result.length === 0 ? undefined : toPart(result[0], origin));
      } else this.startReading(token, result);
    } catch (error) {
      this.leave(token);
      this.failAt(token, error);
    }
  }

  /** The call of a token is over, and this is what came of it. */
  private moveOn(token: Token, part: Part | undefined): void {
    if (part !== undefined && typeof part.substream !== "string") throw notAResult(part);
    this.leave(token);
    if (part === undefined) this.drop(token);
    else if (isReserved(part)) {
      this.scope.emit(part);
      this.drop(token);
    } else this.forward(token, part, token.stage + 1);
  }

  private forward(token: Token, part: Part, stage: number): void {
    token.part = part;
    token.stage = stage;
    if (stage < this.operations.length) {
      token.state = waiting;
      this.waitingTokens += 1;
      this.again = true;
    } else if (this.ordered) {
      token.state = ready;
    } else {
      this.drop(token);
      this.out.push(part);
    }
  }

  /** Lets waiting tokens in, from the earliest on. */
  private enterWaiting(): void {
    for (let entered = true; entered && !this.over; ) {
      entered = false;
      for (let token = this.list.head; token !== null && token.state !== failed; token = token.after) {
        if (token.state !== waiting || !this.mayEnter(token)) continue;
        this.waitingTokens -= 1;
        this.enter(token);
        entered = this.again = true; // result streams may be read on
        break; // the list may look different now
      }
    }
  }

  /**
   * A part enters a stage when fewer than the stage's limit of earlier parts have yet to finish it. One place is kept for the
   * earliest of those while it is not in yet: it may become many parts, and must find the door open.
   */
  private mayEnter(candidate: Token): boolean {
    const { stage } = candidate;
    const limit = this.limits[stage] ?? 1;
    const active = this.active[stage] ?? 0;
    if (active >= limit) return false;
    if (!this.ordered) return true;
    let earlier = 0;
    let earliestIsIn = true;
    for (let token = this.list.head; token !== null && token !== candidate; token = token.after) {
      if (token.state > reading || token.stage > stage) continue;
      if (earlier === 0) earliestIsIn = token.stage === stage && token.state !== waiting;
      earlier += 1;
    }
    return earlier < limit && (earliestIsIn || active < limit - 1);
  }

  // --- results of many parts ---

  private startReading(token: Token, result: unknown): void {
    if (typeof result !== "object" || result === null) throw notAResult(result);
    if (Array.isArray(result)) token.items = result;
    else if (Symbol.asyncIterator in result) token.async = (result as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    else if (Symbol.iterator in result) token.sync = (result as Iterable<unknown>)[Symbol.iterator]();
    else throw notAResult(result);
    token.state = reading;
    this.again = true;
  }

  /** Reads every result stream as far as it may be read. */
  private readResults(): void {
    let token = this.list.head;
    while (token !== null && token.state !== failed && !this.over) {
      const { after } = token;
      if (token.state === reading) this.readOn(token);
      token = after;
    }
  }

  private mayRead(token: Token): boolean {
    if (token.pending || token.state !== reading || this.over) return false;
    if (token.held + (this.ordered ? 0 : this.out.length) >= readAhead) return false;
    return token.stage + 1 === this.operations.length || this.waitingTokens === 0 || token === this.list.head;
  }

  private readOn(token: Token): void {
    try {
      while (this.mayRead(token)) {
        if (token.async !== null) {
          token.pending = true;
          Promise.resolve(token.async.next()).then(token.onRead, token.onThrown);
          return;
        }
        if (token.items !== null) {
          if (token.at >= token.items.length) return this.endReading(token);
          this.spawn(token, token.items[token.at]);
          token.at += 1;
        } else {
          const result = token.sync?.next();
          if (result === undefined || result.done === true) return this.endReading(token);
          this.spawn(token, result.value);
        }
      }
    } catch (error) {
      token.sync = token.async = null; // it has thrown: it is over and must not be returned
      token.pending = false;
      this.leave(token);
      this.failAt(token, error);
    }
  }

  read(token: Token, result: IteratorResult<unknown>): void {
    if (this.over) return;
    token.pending = false;
    try {
      if (result.done === true) this.endReading(token);
      else this.spawn(token, result.value);
    } catch (error) {
      this.leave(token);
      this.failAt(token, error);
    }
    this.schedule();
    this.serve();
  }

  /** One part of a result stream takes its own way, in front of those that follow it. */
  private spawn(parent: Token, item: unknown): void {
    const part = toPart(item, parent.part ?? undefined);
    if (part === undefined) return;
    if (isReserved(part)) return this.scope.emit(part);
    const token = this.token(parent.ordinal);
    token.parent = parent;
    parent.held += 1;
    this.list.insertBefore(token, parent);
    this.forward(token, part, parent.stage + 1);
  }

  private endReading(token: Token): void {
    token.items = token.sync = token.async = null;
    this.leave(token);
    this.list.remove(token); // not used again: the parts it gave still know it
    token.part = null;
  }

  // --- ends ---

  threw(token: Token, error: unknown): void {
    if (this.over) return;
    token.pending = false;
    token.async = null;
    this.leave(token);
    this.failAt(token, error);
    this.schedule();
    this.serve();
  }

  /** The place where the stream ends: what is before it is still handed on, nothing is begun for what comes after it. */
  private failAt(token: Token, error: unknown): void {
    this.failure ??= { error };
    if (token.sync !== null || token.async !== null) {
      returnOf(token.sync ?? token.async ?? {})?.catch(ignore);
      token.sync = token.async = null;
    }
    token.state = failed;
    token.error = error;
    this.sourceOver = true;
  }

  private leave(token: Token): void {
    if (token.state !== calling && token.state !== reading) return;
    this.active[token.stage] = (this.active[token.stage] ?? 1) - 1;
    token.state = ready;
  }

  private token(ordinal: number): Token {
    const token = this.spare.pop() ?? new Token(this);
    token.ordinal = ordinal;
    return token;
  }

  private drop(token: Token): void {
    if (token.parent !== null) token.parent.held -= 1;
    this.list.remove(token);
    token.clear();
    this.spare.push(token);
  }

  private shut(why: unknown): Promise<void> | undefined {
    if (this.over) return this.closing;
    this.over = true;
    const closings: (Promise<unknown> | undefined)[] = [];
    for (let token = this.list.tail; token !== null; token = token.before) {
      const iterator = token.sync ?? token.async;
      if (iterator === null) continue;
      const closing = returnOf(iterator);
      if (token.pending) closing?.catch(ignore);
      else closings.push(closing);
    }
    closings.push(this.scope.end(why), this.upstream.close(why));
    this.closing = allClosed(closings);
    return this.closing;
  }
}

const sample = new Concurrent({ pull: () => DONE, close: () => undefined }, [], new Scope({}, { emit: ignore }));
keepShape(sample);
keepShape(new Token(sample));
