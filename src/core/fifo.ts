/**
 * A queue whose both ends are cheap, however long it is: taking the first of a long array moves all the others.
 *
 * @module
 */

/** Entries that may be gone from the front before the array is cut. */
const slack = 1_024;

/** First in, first out. */
export class Fifo<T> {
  private items: (T | undefined)[] = [];
  private first = 0;

  get length(): number {
    return this.items.length - this.first;
  }

  push(item: T): void {
    this.items.push(item);
  }

  shift(): T | undefined {
    if (this.first === this.items.length) return undefined;
    const item = this.items[this.first];
    this.items[this.first] = undefined; // what was handed on is not kept
    this.first += 1;
    if (this.first === this.items.length) this.clear();
    else if (this.first > slack && this.first * 2 > this.items.length) {
      this.items = this.items.slice(this.first);
      this.first = 0;
    }
    return item;
  }

  clear(): void {
    this.items.length = 0;
    this.first = 0;
  }
}
