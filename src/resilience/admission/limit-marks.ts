/**
 * The marks of a rate limit: here, or in a store that several processes share, and here again while that store is down.
 *
 * While it is down each process goes on with its share, the limit divided by how many were last seen, from where the marks
 * stood: so all of them together stay near the limit. When the store is back it hears where they stand now.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import { ignore } from "../../core/flow.ts";
import { guarded } from "../../core/guarded.ts";
import type { MarkStore } from "../../kinds/key-value.ts";
import { type Advanced, advanceMarks, type MarkSteps } from "../../kinds/marks.ts";

/** A question for room. */
export interface Asked {
  readonly answer: Promise<Advanced>;
  /** Gives it up: what it takes all the same is given back. */
  leave(): void;
}

/** Where the marks stand. */
export interface LimitMarks {
  /** Moves them, all or none: at once, or when the store answers. */
  ask(steps: MarkSteps): Advanced | Asked;
  /** Moves them, come what may. */
  move(steps: MarkSteps): void;
  /** How many processes share them, as far as is known. */
  readonly processes: number;
  /** Is there anybody else who may take room or give it back? */
  readonly shared: boolean;
}

/** Marks of this process alone. */
export class OwnMarks implements LimitMarks {
  readonly processes = 1;
  readonly shared = false;
  private readonly clock: Clock;
  private readonly marks = new Map<string, number>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  ask(steps: MarkSteps): Advanced {
    return advanceMarks(this.marks, steps, this.clock.now());
  }

  move(steps: MarkSteps): void {
    advanceMarks(this.marks, steps, this.clock.now());
  }
}

/** What happens to a store. */
export type StoreEvent = { readonly kind: "down"; readonly error: unknown } | { readonly kind: "up" };

/** Of marks in a store. */
export interface StoreMarksOptions {
  readonly store: MarkStore;
  /** What is limited. */
  readonly key: readonly string[];
  readonly clock: Clock;
  readonly onStoreError: "local" | "fail";
  readonly storeTimeoutMs: number;
  /** How many processes there are until the store has said so. */
  readonly processes: number;
  readonly onStoreChange: ((event: StoreEvent) => void) | undefined;
}

/** A process that has taken nothing for so long is not counted any more. */
const presenceMs = 60_000;
/** How often a store that is down is tried again. */
const retryMs = 1_000;
const presence = "here.";

/** Marks in a store. */
export class StoreMarks implements LimitMarks {
  readonly shared = true;
  private readonly options: StoreMarksOptions;
  private readonly me = `${presence}${crypto.randomUUID()}`;
  /** Where the marks stand as far as is known, on the clock here: what goes on while the store is down. */
  private readonly known = new Map<string, number>();
  private key: Promise<string> | undefined = undefined;
  private seen: number;
  private down: { readonly error: unknown } | undefined = undefined;
  private triedMs = 0;
  private trying: AbortController | undefined = undefined;

  constructor(options: StoreMarksOptions) {
    this.options = options;
    this.seen = options.processes;
  }

  get processes(): number {
    return this.seen;
  }

  ask(steps: MarkSteps): Advanced | Asked {
    if (this.down !== undefined) {
      try {
        return this.askHere(steps);
      } finally {
        this.tryAgain(); // after it: the store is to hear of this call too
      }
    }
    const { clock, storeTimeoutMs } = this.options;
    const controller = new AbortController();
    const { promise, resolve, reject } = Promise.withResolvers<Advanced>();
    let open = true;
    const giveUp = (): void => {
      open = false;
      cancel();
      controller.abort(new MillraceError("timeout", `rateLimit: the store has not answered in time`));
    };
    const fail = (error: unknown): void => {
      this.fail(error);
      try {
        resolve(this.askHere(steps));
      } catch (refusal) {
        reject(refusal);
      }
    };
    const cancel = clock.timeout(storeTimeoutMs, () => {
      giveUp();
      fail(controller.signal.reason);
    });
    this.send({ ...steps, [this.me]: { atLeastMs: presenceMs } }, controller.signal).then(
      (advanced) => {
        if (!open) {
          // to the store, down or not: it has answered, and what goes on here has nothing of this
          if (advanced.taken) this.send(back(steps)).catch(ignore);
          return;
        }
        cancel();
        resolve(advanced);
      },
      (error: unknown) => {
        if (!open) return;
        cancel();
        fail(error);
      },
    );
    return { answer: promise, leave: giveUp };
  }

  move(steps: MarkSteps): void {
    if (this.down !== undefined) this.moveHere(steps);
    else {
      this.send(steps).catch((error: unknown) => {
        this.fail(error);
        this.moveHere(steps);
      });
    }
  }

  private async send(steps: MarkSteps, signal?: AbortSignal): Promise<Advanced> {
    const { store } = this.options;
    const key = await (this.key ??= keyOf(this.options.key));
    const advanced = await store.advance(key, steps, signal === undefined ? {} : { signal });
    if (this.down === undefined) this.note(advanced); // else what went on here meanwhile would be forgotten
    return advanced;
  }

  /** This is how the marks stand in the store. */
  private note({ aheadMs }: Advanced): void {
    const nowMs = this.options.clock.now();
    this.known.clear();
    let seen = 0;
    for (const [name, ms] of Object.entries(aheadMs)) {
      if (name.startsWith(presence)) seen += 1;
      else this.known.set(name, nowMs + ms);
    }
    if (seen > 0) this.seen = seen;
  }

  // --- while the store is down ---

  private askHere(steps: MarkSteps): Advanced {
    const { onStoreError, clock } = this.options;
    if (onStoreError === "local") return advanceMarks(this.known, shareOf(steps, this.seen), clock.now());
    throw new MillraceError("unavailable", 'rateLimit: the store is down (onStoreError "fail")', { cause: this.down?.error });
  }

  private moveHere(steps: MarkSteps): void {
    advanceMarks(this.known, shareOf(steps, this.seen), this.options.clock.now());
  }

  private fail(error: unknown): void {
    this.triedMs = this.options.clock.now();
    if (this.down !== undefined) return;
    this.down = { error };
    this.tell({ kind: "down", error });
  }

  /** Asks the store beside the calls, so that none of them waits for it. */
  private tryAgain(): void {
    const { clock } = this.options;
    if (clock.now() - this.triedMs < retryMs) return;
    this.triedMs = clock.now();
    this.trying?.abort();
    this.trying = new AbortController();
    this.send({ ...this.stand(), [this.me]: { atLeastMs: presenceMs } }, this.trying.signal).then(() => {
      if (this.down === undefined) return; // an earlier try, given up, has been answered all the same
      this.down = undefined;
      this.move(this.stand()); // with the calls that were let in since it was asked
      this.tell({ kind: "up" });
    }, ignore); // still down
  }

  /** Where the marks stand here, as steps for the store. */
  private stand(): MarkSteps {
    const nowMs = this.options.clock.now();
    return Object.fromEntries([...this.known].map(([name, atMs]) => [name, { atLeastMs: Math.max(0, atMs - nowMs) }]));
  }

  private tell(event: StoreEvent): void {
    guarded(() => this.options.onStoreChange?.(event));
  }
}

/** One length for any names, and nothing of an account in the store. */
async function keyOf(names: readonly string[]): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(names)));
  return `millrace:rate:${Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The same steps where this process has but a share of the limit: they cost so much more. */
function shareOf(steps: MarkSteps, processes: number): MarkSteps {
  return Object.fromEntries(
    Object.entries(steps).map(([name, { byMs = 0, withinMs = Infinity, ...rest }]) => {
      const costMs = byMs * processes;
      return [name, { ...rest, byMs: costMs, withinMs: Math.max(withinMs, costMs) }]; // one call must fit in
    }),
  );
}

/** Steps that give back what was taken. */
export function back(steps: MarkSteps): MarkSteps {
  return Object.fromEntries(Object.entries(steps).map(([name, { byMs = 0 }]) => [name, { byMs: -byMs }]));
}
