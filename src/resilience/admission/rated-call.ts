/**
 * One call under a rate limit: what it is thought to take, what it took, and the difference.
 *
 * @module
 */
import { isMillraceError } from "../../core/errors.ts";
import type { Flow } from "../../core/flow.ts";
import type { Part } from "../../core/part.ts";
import { left } from "../../core/scope.ts";
import { outputTokensOf } from "../../kinds/token-estimate.ts";
import type { Door, Ending, Permit, Waiting } from "./door.ts";
import { Gathered } from "./gathered.ts";
import { back } from "./limit-marks.ts";
import type { Turn } from "./limiter.ts";
import type { Limits } from "./limits.ts";
import { checkCost, correctionOf, type Cost, emptied, stepsOf } from "./rates.ts";
import { addCounts, type Counted, countsOf, limitedFor } from "./token-count.ts";

const nothingKnown: Counted = { inputTokens: undefined, outputTokens: undefined };

/** Its own door and its own permit. */
export class RatedCall implements Door, Permit {
  /** What the processor reads. */
  readonly input: Flow;
  /** Sees what is used, where that is limited. */
  readonly see?: (part: Part) => void;
  private readonly limits: Limits;
  private readonly gathered: Gathered | undefined;
  private cost: Cost = { requests: 1, inputTokens: 0, outputTokens: 0 };
  private left = false;
  private turn: Turn | undefined = undefined;
  private counted = nothingKnown;
  /** Tokens of what came out since the service last counted, as far as can be told without it. */
  private seen = 0;

  constructor(limits: Limits, upstream: Flow) {
    this.limits = limits;
    this.gathered = limits.limits("inputTokens") ? new Gathered(upstream, (part) => this.countInput(part)) : undefined;
    this.input = this.gathered ?? upstream;
    if (limits.limits("inputTokens") || limits.limits("outputTokens")) this.see = (part) => this.countOutput(part);
  }

  enter(): Permit | Waiting {
    const { gathered } = this;
    if (gathered === undefined) return this.takeRoom();
    const leave = (): void => {
      this.left = true;
      this.turn?.leave();
    };
    return { permit: this.readFirst(gathered), leave };
  }

  /** Leaving in the middle of it ends the reading: the input is closed. */
  private async readFirst(gathered: Gathered): Promise<Permit> {
    await gathered.read();
    if (this.left) throw left(); // nobody hears of it
    const room = this.takeRoom();
    return "permit" in room ? room.permit : room;
  }

  private takeRoom(): Permit | Waiting {
    const { limits } = this;
    this.cost = { ...this.cost, outputTokens: limits.expectedOutput };
    checkCost("rateLimit", limits.rates, this.cost);
    const turn = limits.queue.take(stepsOf(limits.rates, this.cost));
    if (turn === undefined) return this;
    this.turn = turn;
    return { permit: turn.taken.then(() => this), leave: turn.leave };
  }

  private countInput(part: Part): void {
    const { limits, cost } = this;
    this.cost = { ...cost, inputTokens: cost.inputTokens + limits.inputTokensOf(part) };
    checkCost("rateLimit", limits.rates, this.cost); // so an endless input is not read for ever
  }

  private countOutput(part: Part): void {
    if (part.kind === "finish") this.count(part.usage);
    else this.seen += outputTokensOf(part);
  }

  /** The service knows better than the letters. */
  private count(usage: unknown): void {
    const told = countsOf(usage);
    if (told.outputTokens !== undefined) this.seen = 0;
    this.counted = addCounts(this.counted, told);
  }

  release(ending: Ending): void {
    const { limits, cost } = this;
    if (ending.kind === "unused") return limits.correct(back(stepsOf(limits.rates, cost)));
    const error = ending.kind === "failed" ? ending.error : undefined;
    if (isMillraceError(error) && this.counted === nothingKnown) this.count(error.partial?.usage);
    const { inputTokens = cost.inputTokens, outputTokens: counted = 0 } = this.counted;
    const outputTokens = counted + this.seen;
    if (ending.kind === "complete") limits.learn(outputTokens);
    const correction = correctionOf(limits.rates, cost, { requests: 1, inputTokens, outputTokens });
    const forMs = limitedFor(error);
    if (forMs === undefined) limits.correct(correction);
    else limits.correct(correction, emptied(limits.rates, cost, forMs));
  }
}
