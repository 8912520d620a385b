/**
 * Limits in units per time, and calls that take some, as steps of marks: a unit is worth the time in which it comes back.
 *
 * @module
 */
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { MarkStep, MarkSteps } from "../../kinds/marks.ts";
import { pause } from "./limiter.ts";

/** What may be limited. */
export type RateDimension = "requests" | "inputTokens" | "outputTokens";

/** How much a call takes. */
export type Cost = Readonly<Record<RateDimension, number>>;

/** One limit. */
export interface Rate {
  readonly dimension: RateDimension;
  readonly burst: number;
  readonly msPerUnit: number;
}

const dimensions: readonly RateDimension[] = ["requests", "inputTokens", "outputTokens"];

/** Limits as options say them. */
export interface RateOptions extends Readonly<Partial<Record<RateDimension, number>>> {
  readonly perMs: number;
  readonly burst?: number | Readonly<Partial<Record<RateDimension, number>>>;
}

/** Reads limits; refuses those that are none. */
export function ratesOf(who: string, options: RateOptions): readonly Rate[] {
  const limited = dimensions.filter((dimension) => options[dimension] !== undefined);
  if (limited.length === 0) throw new MillraceError("invalid_input", `${who}: needs requests, inputTokens or outputTokens`);
  const perMs = wholeNumber(who, "perMs", options.perMs, 1);
  const { burst } = options;
  if (typeof burst === "number" && limited.length > 1) {
    throw invalidOption(who, "burst", `an object of ${limited.join(", ")}, as several are limited`, burst);
  }
  for (const name of typeof burst === "object" ? Object.keys(burst) : []) {
    if (!limited.some((dimension) => dimension === name)) throw invalidOption(who, "burst", `of what is limited (${limited.join(", ")})`, name);
  }
  return limited.map((dimension) => {
    const limit = wholeNumber(who, dimension, options[dimension], 1);
    const most = typeof burst === "object" ? burst[dimension] : burst;
    return { dimension, burst: wholeNumber(who, "burst", most ?? limit, 1), msPerUnit: perMs / limit };
  });
}

/** A call above the burst would wait for ever. */
export function checkCost(who: string, rates: readonly Rate[], cost: Cost): void {
  for (const { dimension, burst } of rates) {
    if (cost[dimension] <= burst) continue;
    throw new MillraceError("too_large", `${who}: a call of ${Math.ceil(cost[dimension])} ${dimension}, no more than ${burst} are let through at once (burst)`);
  }
}

/** What a call takes: of every limit, and only when nobody has asked to keep away. */
export function stepsOf(rates: readonly Rate[], cost: Cost): MarkSteps {
  return eachRate(rates, ({ dimension, burst, msPerUnit }) => ({ byMs: cost[dimension] * msPerUnit, withinMs: burst * msPerUnit }), { withinMs: 0 });
}

/** What is set right once it is known: the difference, in either direction. */
export function correctionOf(rates: readonly Rate[], cost: Cost, real: Cost): MarkSteps {
  return eachRate(rates, ({ dimension, msPerUnit }) => ({ byMs: (real[dimension] - cost[dimension]) * msPerUnit }));
}

/** A service that asks to keep away has room for one such call when that time is over, and no more. */
export function emptied(rates: readonly Rate[], cost: Cost, forMs: number): MarkSteps {
  const full = ({ dimension, burst, msPerUnit }: Rate): MarkStep => ({ atLeastMs: Math.max(0, burst - cost[dimension]) * msPerUnit + forMs });
  return eachRate(rates, full, { atLeastMs: forMs });
}

function eachRate(rates: readonly Rate[], step: (rate: Rate) => MarkStep, paused?: MarkStep): MarkSteps {
  const steps = rates.map((rate) => [rate.dimension, step(rate)] as const);
  return Object.fromEntries(paused === undefined ? steps : [...steps, [pause, paused]]);
}
