/**
 * Who may run: so many at once, and while something that all need is out of order one alone, now and then, to see.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { Fifo } from "../core/fifo.ts";

/** The first pause ends within this; each further one may be twice as long. */
const basePauseMs = 1_000;
/** No pause is longer, unless a service asked for it. */
const maxPauseMs = 60_000;
/** Where a service named a time, up to this share is added: those who were told the same do not come at the same time. */
const hintJitter = 0.1;

/** Leave to run once. */
export interface Pass {
  /** Given during a pause: what becomes of it decides whether the pause is over. */
  readonly probe: boolean;
}

const free: Pass = { probe: false };

interface Waiter {
  readonly resolve: (pass: Pass) => void;
  readonly reject: (reason: unknown) => void;
}

/** What a door is told. */
export interface DoorOptions {
  readonly concurrency: number;
  readonly clock: Clock;
  readonly random: () => number;
  /** Something has changed for those who look at `mayPull`. */
  readonly changed: () => void;
}

/** Lets in what may run, in the order in which it came. */
export class Door {
  private readonly options: DoorOptions;
  private readonly waiting = new Fifo<Waiter>();
  private running = 0;
  private state: "open" | "paused" | "due" | "probed" = "open";
  private pauses = 0;
  private sinceMs = 0;
  private untilMs = 0;
  private cancel: () => void = () => {};
  private shutFor: { readonly reason: unknown } | undefined;

  constructor(options: DoorOptions) {
    this.options = options;
  }

  get paused(): boolean {
    return this.state !== "open";
  }

  /** For how long it has been paused. */
  get pausedMs(): number {
    return this.paused ? this.options.clock.now() - this.sinceMs : 0;
  }

  /** How long it is still paused. */
  get leftMs(): number {
    return this.state === "paused" ? Math.max(0, this.untilMs - this.options.clock.now()) : 0;
  }

  /** May another message be fetched: to run it, or, after a pause, to see whether it runs? */
  get mayPull(): boolean {
    return this.state === "open" || (this.state === "due" && this.waiting.length === 0);
  }

  /** Leave to run, where nobody has to wait for it. */
  step(): Pass | undefined {
    if (this.shutFor !== undefined || this.state !== "open" || this.waiting.length > 0 || this.running >= this.options.concurrency) return undefined;
    this.running += 1;
    return free;
  }

  /** Waits for leave to run. Rejects with the reason when the door is shut. */
  enter(): Promise<Pass> {
    if (this.shutFor !== undefined) return Promise.reject(this.shutFor.reason);
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.admit();
    });
  }

  /** The run is over. A probe that decided nothing leaves it to the next. */
  leave({ probe }: Pass): void {
    this.running -= 1;
    if (probe && this.state === "probed") this.state = "due";
    this.admit();
    this.options.changed();
  }

  /**
   * Nothing more runs for a while: as long as a service asked for, else longer each time. Gives the milliseconds that are left.
   * Those that were already running when the pause began, and fail too, do not prolong it. `doubt`: it is not known that anything is out of
   * order, so one is let in soon again, as often as it takes.
   */
  pause(askedMs: number | undefined, pass?: Pass, doubt = false): number {
    const { clock, random } = this.options;
    if (this.state === "open") this.sinceMs = clock.now();
    if (this.state === "open" || pass?.probe === true) this.pauses += 1;
    else if (askedMs === undefined || clock.now() + askedMs <= this.untilMs) return Math.max(0, this.untilMs - clock.now());
    const mostMs = doubt ? basePauseMs : Math.min(maxPauseMs, basePauseMs * 2 ** Math.min(this.pauses - 1, 16));
    const ms = askedMs === undefined ? random() * mostMs : askedMs * (1 + random() * hintJitter);
    this.state = "paused";
    this.untilMs = clock.now() + ms;
    this.cancel();
    if (this.shutFor !== undefined) return ms; // nobody is let in after it
    this.cancel = clock.timeout(ms, () => {
      this.state = "due";
      this.admit();
      this.options.changed();
    });
    return ms;
  }

  /** What was out of order is well again. */
  resume(): void {
    this.cancel();
    this.state = "open";
    this.pauses = 0;
    this.admit();
    this.options.changed();
  }

  /** Nobody is let in any more, and no timer is set; those who wait hear the reason. */
  shut(reason: unknown): void {
    this.shutFor = { reason };
    this.cancel();
    for (let waiter = this.waiting.shift(); waiter !== undefined; waiter = this.waiting.shift()) waiter.reject(reason);
  }

  private admit(): void {
    while (this.running < this.options.concurrency && (this.state === "open" || this.state === "due")) {
      const waiter = this.waiting.shift();
      if (waiter === undefined) return;
      const probe = this.state === "due";
      if (probe) this.state = "probed";
      this.running += 1;
      waiter.resolve({ probe });
    }
  }
}
