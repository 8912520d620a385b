/**
 * What a worker tells.
 *
 * @module
 */
import { guarded } from "../core/guarded.ts";
import type { Part } from "../core/part.ts";
import type { QueueEvent } from "../kinds/queue.ts";

/** Something happened. Errors are the very objects; the messages of foreign ones may quote anything. */
export type WorkerEvent =
  /** Done with: everything was confirmed. */
  | { readonly kind: "acked"; readonly id: string; readonly attempt: number; readonly outputs: number }
  /** Failed, and will be tried again; `counted` is false where it was not its fault. */
  | { readonly kind: "retried"; readonly id: string; readonly attempt: number; readonly delayMs: number; readonly counted: boolean; readonly error: unknown }
  /** Set aside, confirmed. `reference`: its parts were too large for the dead letters, which have its id alone. */
  | { readonly kind: "dead_letter"; readonly id: string; readonly attempt: number; readonly reference: boolean; readonly error: unknown }
  /** It is this worker's no more, or nobody will deliver it again. */
  | { readonly kind: "lost"; readonly id: string; readonly error: unknown }
  /** The queue did not confirm that it was settled; it will come again. */
  | { readonly kind: "unsettled"; readonly id: string; readonly error: unknown }
  /** A run of several deliveries failed: they are tried in two halves. */
  | { readonly kind: "split"; readonly ids: readonly string[]; readonly error: unknown }
  | { readonly kind: "paused"; readonly delayMs: number; readonly error: unknown }
  | { readonly kind: "resumed" }
  /** The queue could not be read; it is opened again after so long. `Infinity`: a queue of cancellations, which will not be. */
  | { readonly kind: "source_failed"; readonly delayMs: number; readonly error: unknown }
  /** A part of the substreams `status` and `debug`. */
  | { readonly kind: "status"; readonly id: string; readonly part: Part }
  | QueueEvent
  | { readonly kind: "stopped"; readonly error?: unknown };

/** Since the worker began. */
export interface WorkerCounters {
  /** Deliveries that came. */
  readonly received: number;
  readonly acked: number;
  /** Given back, counted or not. */
  readonly nacked: number;
  readonly deadLettered: number;
  /** This worker's no more before they were settled. */
  readonly lost: number;
  /** Deliveries that are out now. */
  readonly inFlight: number;
  readonly paused: boolean;
}

/** Listens without being able to break anything. */
export type Tell = (event: WorkerEvent) => void;

/** Tells a listener, if there is one. */
export function telling(listener: ((event: WorkerEvent) => unknown) | undefined): Tell {
  return (event) => guarded(() => listener?.(event));
}
