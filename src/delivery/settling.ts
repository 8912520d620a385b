/**
 * Telling the queue what became of deliveries, and what it means when the queue does not confirm that.
 *
 * @module
 */
import { isMillraceError } from "../core/errors.ts";
import type { Pass } from "./door.ts";
import type { Held } from "./held.ts";
import type { Settings } from "./options.ts";
import { verdictOn } from "./verdict.ts";

/** Counts that only grow. */
export interface Tally {
  acked: number;
  nacked: number;
  deadLettered: number;
  lost: number;
}

/** Settles deliveries, each once. */
export class Settling {
  readonly tally: Tally = { acked: 0, nacked: 0, deadLettered: 0, lost: 0 };
  /** Deliveries that are done with, as soon as the queue has confirmed it. */
  acking = 0;
  private readonly settings: Pick<Settings, "queue" | "tell">;
  private readonly changed: () => void;
  private readonly pause: (error: unknown, pass: Pass | undefined) => void;

  /** `changed` hears when one is being acknowledged, `pause` when the queue is out of order. */
  constructor(settings: Pick<Settings, "queue" | "tell">, changed: () => void, pause: (error: unknown, pass: Pass | undefined) => void) {
    this.settings = settings;
    this.changed = changed;
    this.pause = pause;
  }

  /** Acknowledges. What the queue does not confirm comes again; there is no more to be done about it. */
  async confirmed(held: Held, pass: Pass): Promise<boolean> {
    held.settled = true;
    this.acking += 1;
    this.changed();
    try {
      await held.delivery.ack();
      return true;
    } catch (error) {
      this.unsettled(held, error, pass);
      return false;
    } finally {
      this.acking -= 1;
    }
  }

  /** Gives back. */
  async nack(held: Held, delayMs: number, counted: boolean): Promise<void> {
    held.settled = true;
    const { lacks } = this.settings.queue;
    try {
      await held.delivery.nack({ ...(lacks.nackDelay === undefined ? { delayMs } : {}), ...(lacks.uncounted === undefined ? { counted } : {}) });
      this.tally.nacked += 1;
    } catch (error) {
      this.unsettled(held, error);
    }
  }

  /** It is the worker's no more, or nobody will deliver it again. */
  lose(held: Held, error: unknown): void {
    held.settled = true;
    this.tally.lost += 1;
    this.settings.tell({ kind: "lost", id: held.delivery.id, error });
  }

  private unsettled(held: Held, error: unknown, pass?: Pass): void {
    if (held.lost || isMillraceError(error, "closed")) return this.lose(held, error);
    this.settings.tell({ kind: "unsettled", id: held.delivery.id, error });
    if (verdictOn(error) === "pause") this.pause(error, pass);
  }
}
