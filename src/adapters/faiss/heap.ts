/**
 * A binary heap of numbers with a key each, smallest key first.
 *
 * @module
 */

/** Whole numbers, each with a key. */
export interface Heap {
  readonly size: number;
  /** The smallest key; `Infinity` when there is none. */
  readonly key: number;
  push(key: number, value: number): void;
  /** Takes out the value with the smallest key; -1 when there is none. */
  pop(): number;
}

/** An empty heap. A heap of the largest first takes negative keys. */
export function heap(): Heap {
  const keys: number[] = [];
  const values: number[] = [];
  const move = (from: number, to: number): void => {
    keys[to] = keys[from] ?? 0;
    values[to] = values[from] ?? 0;
  };
  const keyAt = (at: number): number => keys[at] ?? Number.POSITIVE_INFINITY;
  return {
    get size() {
      return keys.length;
    },
    get key() {
      return keyAt(0);
    },
    push(key, value) {
      let at = keys.push(key) - 1;
      values.push(value);
      for (let parent = (at - 1) >> 1; at > 0 && key < keyAt(parent); parent = (at - 1) >> 1) {
        move(parent, at);
        at = parent;
      }
      keys[at] = key;
      values[at] = value;
    },
    pop() {
      const first = values[0] ?? -1;
      const key = keys.pop();
      const value = values.pop();
      if (key === undefined || value === undefined || keys.length === 0) return first;
      let at = 0;
      for (;;) {
        const left = 2 * at + 1;
        const child = keyAt(left + 1) < keyAt(left) ? left + 1 : left;
        if (keyAt(child) >= key) break; // also where there is no child: its key is infinite
        move(child, at);
        at = child;
      }
      keys[at] = key;
      values[at] = value;
      return first;
    },
  };
}
