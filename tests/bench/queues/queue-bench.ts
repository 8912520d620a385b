/**
 * What a queue's throughput is measured with: the same work by hand on the client, and by millrace, with the same guarantees.
 *
 * @module
 */

/** A queue on a running server. */
export interface QueueBench extends AsyncDisposable {
  /** Puts messages of 100 bytes, as `envelope()` writes them; what was there before is gone, but for 0 where a log may as well grow. */
  fill(count: number): Promise<void>;
  /** Receives so many by hand: each decoded, handed to an async function that resolves at once, then acknowledged. Gives how many. */
  receiveByHand(count: number): Promise<number>;
  /** As by hand, but all that came together acknowledged together, when the last is done; where one might write that. */
  receiveInBatches?(count: number): Promise<number>;
  /** The same by `consume(queue, passThrough, sink)`. */
  receive(count: number): Promise<number>;
  /** Sends so many by hand, each confirmed, so many of them on their way at once as `send` has. Gives how many were confirmed. */
  sendByHand(count: number): Promise<number>;
  /** The same by `publish(queue)`. */
  send(count: number): Promise<number>;
}

/** How a queue is measured. */
export interface QueueBenchOf {
  readonly name: string;
  /** In `tests/services/registry.ts`. */
  readonly service: string;
  open(url: string): Promise<QueueBench>;
}

/** In flight at once, for both sides: prefetch and unconfirmed sends. */
export const inFlight = 100;
