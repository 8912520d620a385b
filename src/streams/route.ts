/**
 * @module
 */
import { Arrivals } from "../core/arrivals.ts";
import { openBranch, operationsOf, paceOf } from "../core/branch.ts";
import { Branch } from "../core/branches.ts";
import { invalidOption, MillraceError, received, requireProcessors } from "../core/errors.ts";
import { allClosed, DONE, type Flow, ignore, isPart, isPromise, type Pulled } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Context, Processor } from "../core/processor.ts";
import type { Scope } from "../core/scope.ts";
import type { Operation, OperationStage, Stage } from "../core/stage.ts";

/** Names a part's branch. */
export type Select = (part: Part, context: Context) => string | Promise<string>;

/** Where parts may go. */
export interface Routes {
  /** Branches by name; only own keys count. */
  readonly routes: Readonly<Record<string, Processor>>;
  /** For a name that is not among them. @default an error `no_route` */
  readonly otherwise?: Processor;
}

/**
 * Each part to one branch.
 *
 * Reads:  every part; `select` names its branch, and may be async.
 * Yields: what the branches make: in the order of the input if all are part functions, else as they come, in order within a
 *         branch. A branch starts with its first part.
 * Throws: `no_route` for a name without a branch, after the parts before it; what `select` and the branches throw.
 * Closes: every branch it started.
 *
 * @example
 * const byKind = route((part) => part.kind, { routes: { text: each(() => "a text") }, otherwise: pipe() });
 * console.log(await run(byKind, "x").text()); // a text
 */
export function route(select: Select, { routes, otherwise }: Routes): Processor {
  if (typeof select !== "function") throw invalidOption("route", "select", "a function", select);
  if (typeof routes !== "object" || routes === null) throw invalidOption("route", "routes", "an object of processors", routes);
  const names = Object.keys(routes);
  const branches = names.map((name) => routes[name] as Processor); // own keys
  requireProcessors("route", otherwise === undefined ? branches : [...branches, otherwise]);
  const all = otherwise === undefined ? branches : [...branches, otherwise];
  const places = new Map(names.map((name, index) => [name, index]));
  const placeOf = (name: unknown): number => {
    const place = typeof name === "string" ? places.get(name) : undefined;
    if (place !== undefined) return place;
    if (otherwise !== undefined) return branches.length;
    throw new MillraceError("no_route", `route: no route ${received(name)}; known are ${names.join(", ") || "none"}`);
  };
  const operations = all.map(operationsOf);
  if (operations.every((stages) => stages !== undefined)) return processorOf([perPart(select, placeOf, operations)]);
  return processorOf([{ kind: "flow", name: "route", open: (upstream, scope) => new Routed(select, placeOf, all, upstream, scope) }]);
}

type PlaceOf = (name: unknown) => number;

function perPart(select: Select, placeOf: PlaceOf, branches: readonly (readonly OperationStage[])[]): Stage {
  const pace = paceOf(branches);
  return {
    kind: "operation",
    name: "route",
    ...pace,
    open: (scope) => {
      const open: (Operation | undefined)[] = [];
      const take = (part: Part, name: unknown): unknown => {
        const place = placeOf(name);
        const branch = (open[place] ??= openBranch(branches[place] ?? [], pace.concurrency, scope));
        return branch(part, scope);
      };
      return (part) => {
        const name = select(part, scope);
        return isPromise(name) ? name.then((settled) => take(part, settled)) : take(part, name);
      };
    },
  };
}

/** Branches that can't be seen into: each has an input of its own, and at most one part waits between. */
class Routed implements Flow {
  private readonly select: Select;
  private readonly placeOf: PlaceOf;
  private readonly processors: readonly Processor[];
  private readonly upstream: Flow;
  private readonly scope: Scope;
  private readonly inputs = new Map<number, RouteInput>();
  private readonly branches: Branch[] = [];
  private readonly outputs = new Arrivals([], { expecting: true });
  private reading = false;
  private sourceOver = false;

  constructor(select: Select, placeOf: PlaceOf, processors: readonly Processor[], upstream: Flow, scope: Scope) {
    this.select = select;
    this.placeOf = placeOf;
    this.processors = processors;
    this.upstream = upstream;
    this.scope = scope;
  }

  pull(): Pulled {
    const pulled = this.outputs.pull();
    if (isPart(pulled) || pulled === DONE) return pulled;
    this.readOn();
    return pulled.then(undefined, this.onOutputFailed);
  }

  private readonly onOutputFailed = async (error: unknown): Promise<never> => {
    this.fail(error);
    await this.upstream.close(error)?.catch(ignore);
    throw error;
  };

  /** Hands parts out while the reader waits and every branch has taken its last one. */
  private readOn(): void {
    while (!this.reading && !this.sourceOver && this.outputs.waiting && [...this.inputs.values()].every((input) => input.free)) {
      const pulled = this.upstream.pull();
      if (isPart(pulled)) this.dispatch(pulled);
      else if (pulled === DONE) this.endInputs();
      else {
        this.reading = true;
        pulled.then(this.onPulled, this.onFailed);
      }
    }
  }

  private readonly onPulled = (pulled: Part | typeof DONE): void => {
    this.reading = false;
    if (pulled === DONE) this.endInputs();
    else this.dispatch(pulled);
    this.readOn();
  };

  private readonly onFailed = (error: unknown): void => {
    this.reading = false;
    this.fail(error);
  };

  private dispatch(part: Part): void {
    try {
      const name = this.select(part, this.scope);
      if (!isPromise(name)) return this.give(part, name);
      this.reading = true;
      name.then((settled) => {
        this.reading = false;
        if (this.sourceOver) return;
        try {
          this.give(part, settled);
        } catch (error) {
          return this.fail(error);
        }
        this.readOn();
      }, this.onFailed);
    } catch (error) {
      this.fail(error);
    }
  }

  private give(part: Part, name: unknown): void {
    const place = this.placeOf(name);
    let input = this.inputs.get(place);
    if (input === undefined) {
      input = new RouteInput(() => this.readOn());
      this.inputs.set(place, input);
      const branch = new Branch(this.processors[place] as Processor, input, this.scope, () => this.readOn());
      this.branches.push(branch);
      input.give(part);
      this.outputs.add(branch);
    } else {
      input.give(part);
    }
  }

  private endInputs(): void {
    this.sourceOver = true;
    for (const input of this.inputs.values()) input.end();
    this.outputs.complete();
  }

  /** Branches finish what they have, then their input rejects. */
  private fail(error: unknown): void {
    if (this.sourceOver) return;
    this.sourceOver = true;
    for (const input of this.inputs.values()) input.fail(error);
    const closing = this.upstream.close(error);
    const tell = (): void => this.outputs.fail(error);
    if (closing === undefined) tell();
    else closing.then(tell, tell);
  }

  close(why: unknown): Promise<void> | undefined {
    this.sourceOver = true;
    return allClosed([this.outputs.close(why), ...this.branches.map((branch) => branch.close(why)), this.upstream.close(why)]);
  }
}

/** What one branch reads: at most one part that it has not taken yet. */
class RouteInput implements Flow {
  private part: Part | undefined = undefined;
  private over = false;
  private failure: { readonly error: unknown } | undefined = undefined;
  private resolve: ((part: Part | typeof DONE) => void) | undefined = undefined;
  private reject: ((why: unknown) => void) | undefined = undefined;
  private readonly taken: () => void;

  constructor(taken: () => void) {
    this.taken = taken;
  }

  /** It can be given a part. */
  get free(): boolean {
    return this.part === undefined || this.over;
  }

  give(part: Part): void {
    if (this.over) return; // the branch has ended by itself: it takes no more
    this.part = part;
    this.serve();
  }

  end(): void {
    this.over = true;
    this.serve();
  }

  fail(error: unknown): void {
    this.failure = { error };
    this.end();
  }

  pull(): Pulled {
    const { part, failure } = this;
    if (part !== undefined) {
      this.part = undefined;
      queueMicrotask(this.taken); // not at once: the branch is being pulled
      return part;
    }
    if (this.over && failure === undefined) return DONE;
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.serve();
    });
  }

  private serve(): void {
    const { resolve, reject, part, failure } = this;
    if (resolve === undefined || reject === undefined || (part === undefined && !this.over)) return;
    this.resolve = this.reject = undefined;
    if (part !== undefined) {
      this.part = undefined;
      resolve(part);
      queueMicrotask(this.taken);
    } else if (failure !== undefined) {
      this.failure = undefined;
      reject(failure.error);
    } else {
      resolve(DONE);
    }
  }

  close(why: unknown): undefined {
    this.over = true;
    this.part = undefined;
    this.failure = undefined;
    this.reject?.(why);
    this.resolve = this.reject = undefined;
    this.taken();
  }
}
