/**
 * How far a log may be committed, when its messages are settled in any order.
 *
 * A log knows one place: all before it is done with. So that nothing is lost, the place is never put past a message that is not settled.
 * For queues whose `redelivery` is `seek`; one mark a partition.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";

/** Places behind the mark that may be kept before they are cut off. */
const slack = 256;

/** The place of one partition. Offsets that were never handed out (compacted away, markers of transactions) hold up nothing. */
export class Watermark {
  /** Handed out and not yet behind the mark, in their order, from `first` on; whether each is settled. */
  private offsets: bigint[] = [];
  private settled: boolean[] = [];
  private first = 0;
  private last: bigint | undefined;

  /** Messages beyond the mark: settled or not, they come again when the reader dies. At a limit the partition pauses. */
  get size(): number {
    return this.offsets.length - this.first;
  }

  /** The oldest message that is not settled: what holds up the mark. */
  get oldest(): bigint | undefined {
    return this.offsets[this.first];
  }

  /** Is it handed out, and not settled? */
  has(offset: bigint): boolean {
    const at = this.placeOf(offset);
    return at !== undefined && this.settled[at] === false;
  }

  /** A message is handed out. Throws `bad_response` for an offset that is not behind the last. */
  begin(offset: bigint): void {
    if (this.last !== undefined && offset <= this.last) throw new MillraceError("bad_response", `watermark: offset ${offset} comes after ${this.last}`);
    this.last = offset;
    this.offsets.push(offset);
    this.settled.push(false);
  }

  /** A message is settled. Gives the place to commit, the first that is to be read again, when it has moved. */
  settle(offset: bigint): bigint | undefined {
    const at = this.placeOf(offset);
    if (at === undefined) return undefined;
    this.settled[at] = true;
    let place: bigint | undefined;
    for (let next = this.offsets[this.first]; next !== undefined && this.settled[this.first] === true; next = this.offsets[this.first]) {
      place = next + 1n;
      this.first += 1;
    }
    if (this.first >= this.size + slack) this.cut();
    return place;
  }

  private placeOf(offset: bigint): number | undefined {
    let [from, to] = [this.first, this.offsets.length - 1];
    while (from <= to) {
      const middle = (from + to) >> 1;
      const found = this.offsets[middle] ?? offset;
      if (found === offset) return middle;
      if (found < offset) from = middle + 1;
      else to = middle - 1;
    }
    return undefined;
  }

  private cut(): void {
    this.offsets = this.offsets.slice(this.first);
    this.settled = this.settled.slice(this.first);
    this.first = 0;
  }
}
