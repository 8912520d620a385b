/**
 * Waits that hear the signal.
 *
 * @module
 */
import { ignore } from "../core/flow.ts";
import { LinkedList, type ListNode } from "../core/linked-list.ts";

type Reject = (reason: unknown) => void;

/** The promise, or the signal's reason if that comes first; then what the promise does later is nobody's concern. */
export function heard<T>(promise: PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (signal === undefined) return void promise.then(resolve, reject);
    if (signal.aborted) {
      promise.then(ignore, ignore); // handled in any case: a promise that was given up must not reject unheard
      return reject(signal.reason as Error);
    }
    const waiting = Waiting.for(signal);
    const node = waiting.begin(reject);
    promise.then(
      (value) => {
        waiting.end(node);
        resolve(value);
      },
      (error: unknown) => {
        waiting.end(node);
        reject(error);
      },
    );
  });
}

/** Who waits with one signal, as all calls of a run do: one listener hears it for them, as long as there is one of them. */
class Waiting {
  private static readonly bySignal = new WeakMap<AbortSignal, Waiting>();
  private readonly signal: AbortSignal;
  private readonly all = new LinkedList<Reject>();

  static for(signal: AbortSignal): Waiting {
    let waiting = Waiting.bySignal.get(signal);
    if (waiting === undefined) Waiting.bySignal.set(signal, (waiting = new Waiting(signal)));
    return waiting;
  }

  private constructor(signal: AbortSignal) {
    this.signal = signal;
  }

  begin(reject: Reject): ListNode<Reject> {
    if (this.all.size === 0) this.signal.addEventListener("abort", this.abort, { once: true });
    return this.all.push(reject);
  }

  end(node: ListNode<Reject>): void {
    if (this.all.delete(node) && this.all.size === 0) this.signal.removeEventListener("abort", this.abort);
  }

  private readonly abort = (): void => {
    for (const reject of this.all) reject(this.signal.reason);
  };
}
