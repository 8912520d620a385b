/**
 * Faults around any processor, as a plan of plain data: what a test writes down, and what fast-check makes up.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { derive } from "../core/derive.ts";
import { type ErrorCode, invalidOption, MillraceError, requireProcessors, wholeNumber } from "../core/errors.ts";
import { isReserved } from "../core/guards.ts";
import type { Part } from "../core/part.ts";
import type { Context, Processor } from "../core/processor.ts";
import { heard } from "../wire/heard.ts";
import { seeded, type Split, splitBytes } from "./split-bytes.ts";

/** Where a fault strikes. */
export interface FaultPlace {
  /** The number of a part that the processor gives, from 0, reserved ones not counted; their count is its end. @default every part */
  readonly at?: number;
  /** From 0 to 1: whether it strikes there. @default 1 */
  readonly chance?: number;
}

/** What goes wrong. */
export type Fault = FaultPlace &
  (
    | {
        /** Throws an error of this code: instead of the part, or after it was handed on. @default "unavailable", "before" */
        readonly kind: "error";
        readonly when?: "before" | "after";
        readonly code?: ErrorCode;
        readonly message?: string;
        readonly retryAfterMs?: number;
      }
    /** Gives nothing any more, until it is aborted. */
    | { readonly kind: "stall" }
    /** Ends before the part: with `truncated`, or as if it were complete, which no processor should ever do. */
    | { readonly kind: "truncate"; readonly silent?: boolean }
    /** Waits before the part. */
    | { readonly kind: "slow"; readonly ms: number }
    /** Gives the part twice. */
    | { readonly kind: "duplicate" }
    /** Swallows the part. */
    | { readonly kind: "drop" }
    /** Gives the part after the next one. */
    | { readonly kind: "swap" }
    /** Cuts a bytes part in pieces, which come in another order where `shuffle`, a seed, is given. Other parts stay whole. */
    | { readonly kind: "cut"; readonly split: Split; readonly shuffle?: number }
  );

/** Faults, and in which calls they strike. */
export interface FaultPlan {
  readonly faults: readonly Fault[];
  /** The first so many calls are faulty, later ones are not. @default all */
  readonly calls?: number;
  /** Decides every chance, the same way each time. @default 1 */
  readonly seed?: number;
}

const kinds: ReadonlySet<string> = new Set<Fault["kind"]>(["error", "stall", "truncate", "slow", "duplicate", "drop", "swap", "cut"]);

/**
 * A processor that goes wrong as planned.
 *
 * Yields: what the processor makes, but for the faults. Several faults at one part strike in the order of the plan.
 * Throws: `invalid_input` for a plan that is none; what the plan says; on abort the reason, also while it stalls or waits.
 * Closes: the processor, once.
 *
 * @example
 * const flaky = fault(each((part) => part), { calls: 1, faults: [{ kind: "error", at: 1, code: "unavailable" }] });
 * const outcome = (): Promise<string> => run(flaky, ["a", "b"]).text().catch((error: MillraceError) => error.code);
 * console.log(await outcome(), await outcome()); // unavailable ab
 */
export function fault(processor: Processor, plan: FaultPlan, options: { readonly clock?: Clock } = {}): Processor {
  requireProcessors("fault", [processor]);
  checkPlan(plan);
  const { clock = systemClock } = options;
  let calls = 0;
  return async function* fault(input, context) {
    calls += 1;
    const faults = calls <= (plan.calls ?? Infinity) ? plan.faults : [];
    yield* faulty(processor(input, context), faults, seeded((plan.seed ?? 1) * 1_000_003 + calls), clock, context);
  };
}

async function* faulty(parts: AsyncIterable<Part>, faults: readonly Fault[], random: () => number, clock: Clock, context: Context | undefined): AsyncGenerator<Part> {
  const iterator = parts[Symbol.asyncIterator]();
  const signal = context?.signal;
  let open = true;
  const next = async (): Promise<Part | undefined> => {
    try {
      const { done, value } = await iterator.next();
      if (done === true) open = false;
      return done === true ? undefined : value;
    } catch (error) {
      open = false; // what has thrown is over, and is not returned
      throw error;
    }
  };
  let swapped: readonly Part[] = [];
  try {
    for (let number = 0; ; number += 1) {
      const striking = faults.filter((fault) => (fault.at ?? number) === number && (fault.chance === undefined || random() < fault.chance));
      for (const fault of striking) {
        if (fault.kind === "slow") await clock.sleep(fault.ms, signal);
        else if (fault.kind === "stall") await heard(new Promise<never>(() => {}), signal);
        else if (fault.kind === "error" && fault.when !== "after") throw errorOf(fault, number);
        else if (fault.kind === "truncate") {
          if (fault.silent === true) return;
          throw new MillraceError("truncated", `fault: the stream was cut before part ${number}`);
        }
      }
      let part = await next();
      while (part !== undefined && isReserved(part)) {
        yield part;
        part = await next();
      }
      if (part === undefined) return yield* swapped;
      const made = striking.reduce((some, fault) => changed(some, fault), [part] as readonly Part[]);
      const swaps = striking.some(({ kind }) => kind === "swap");
      if (!swaps) yield* made;
      yield* swapped;
      swapped = swaps ? made : [];
      for (const fault of striking) if (fault.kind === "error" && fault.when === "after") throw errorOf(fault, number);
    }
  } finally {
    if (open) await iterator.return?.();
  }
}

/** What a part becomes. */
function changed(parts: readonly Part[], fault: Fault): readonly Part[] {
  switch (fault.kind) {
    case "duplicate":
      return parts.flatMap((part) => [part, part]);
    case "drop":
      return [];
    case "cut":
      return parts.flatMap((part): readonly Part[] => {
        if (part.kind !== "bytes") return [part];
        const pieces = [...splitBytes(part.bytes, fault.split)].map((piece) => derive(part, { bytes: piece }));
        return fault.shuffle === undefined ? pieces : shuffled(pieces, seeded(fault.shuffle));
      });
    default:
      return parts;
  }
}

/** In another order, every one as likely (Fisher and Yates). */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const all = [...items];
  for (let at = all.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    [all[at], all[other]] = [all[other] as T, all[at] as T]; // both are within the list
  }
  return all;
}

function errorOf(fault: Fault & { readonly kind: "error" }, number: number): MillraceError {
  const { code = "unavailable", message = `fault: ${code} at part ${number}`, retryAfterMs } = fault;
  return new MillraceError(code, message, retryAfterMs === undefined ? {} : { retryAfterMs });
}

function checkPlan(plan: FaultPlan): void {
  if (!Array.isArray(plan?.faults)) throw invalidOption("fault", "plan.faults", "a list of faults", plan?.faults);
  if (plan.calls !== undefined) wholeNumber("fault", "plan.calls", plan.calls, 0);
  for (const [index, fault] of plan.faults.entries() as IterableIterator<[number, Fault]>) {
    const where = `plan.faults[${index}]`;
    if (!kinds.has(fault?.kind)) throw invalidOption("fault", `${where}.kind`, [...kinds].join(", "), fault?.kind);
    if (fault.at !== undefined) wholeNumber("fault", `${where}.at`, fault.at, 0);
    if (fault.chance !== undefined && !(fault.chance >= 0 && fault.chance <= 1)) throw invalidOption("fault", `${where}.chance`, "a number from 0 to 1", fault.chance);
    if (fault.kind === "slow" && !(fault.ms >= 0)) throw invalidOption("fault", `${where}.ms`, "milliseconds", fault.ms);
  }
}
