/**
 * How far a log may be committed, when its messages are settled in any order.
 *
 * A log knows one place: all before it is done with. So that nothing is lost, the place is never put past a message that is not settled.
 * For queues whose `redelivery` is `seek`; one mark a partition.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";

/** The place of one partition. Offsets that were never handed out (compacted away, markers of transactions) hold up nothing. */
export class Watermark {
  /** Handed out and not yet behind the mark, in their order; whether each is settled. */
  private readonly out = new Map<bigint, boolean>();
  private last: bigint | undefined;

  /** Messages beyond the mark: settled or not, they come again when the reader dies. At a limit the partition pauses. */
  get size(): number {
    return this.out.size;
  }

  /** The oldest message that is not settled: what holds up the mark. */
  get oldest(): bigint | undefined {
    for (const offset of this.out.keys()) return offset;
    return undefined;
  }

  /** A message is handed out. Throws `bad_response` for an offset that is not behind the last. */
  begin(offset: bigint): void {
    if (this.last !== undefined && offset <= this.last) throw new MillraceError("bad_response", `watermark: offset ${offset} comes after ${this.last}`);
    this.last = offset;
    this.out.set(offset, false);
  }

  /** A message is settled. Gives the place to commit, the first that is to be read again, when it has moved. */
  settle(offset: bigint): bigint | undefined {
    if (!this.out.has(offset)) return undefined;
    this.out.set(offset, true);
    let place: bigint | undefined;
    for (const [next, settled] of this.out) {
      if (!settled) break;
      this.out.delete(next);
      place = next + 1n;
    }
    return place;
  }
}
