/**
 * Calls that wait while another is on its way, and then go together.
 *
 * @module
 */

/** Work on single items that is done for many at once. */
export interface Together<T, R> {
  /** Items that are not done. */
  readonly size: number;
  /** Does an item with the next ones; rejects with what failed them all. */
  add(item: T): Promise<R>;
}

/** How items are done. */
export interface TogetherOptions<T, R> {
  /** Does these; gives a result for each, in their order. */
  readonly work: (items: readonly T[]) => Promise<readonly R[]>;
  /** Items at once, at most. */
  readonly most: number;
  /** Of an item, and of all that are done at once; one that is heavier is done alone. @default nothing weighs */
  readonly weigh?: (item: T) => number;
  readonly heaviest?: number;
}

interface Waiting<T, R> {
  readonly item: T;
  readonly resolve: (result: R) => void;
  readonly reject: (error: unknown) => void;
}

/** One work is on its way at a time, in the order in which items came: nobody waits for company, and whoever waits has it. */
export function together<T, R>({ work, most, weigh = () => 0, heaviest = Infinity }: TogetherOptions<T, R>): Together<T, R> {
  let waiting: Waiting<T, R>[] = [];
  let working = false;
  let onTheirWay = 0;

  const group = (): Waiting<T, R>[] => {
    let weight = 0;
    let count = 0;
    for (const { item } of waiting) {
      weight += weigh(item);
      if (count === most || (count > 0 && weight > heaviest)) break;
      count += 1;
    }
    const taken = waiting.slice(0, count);
    waiting = waiting.slice(count);
    return taken;
  };
  const run = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve)); // what is asked for in one turn of the loop goes together
    while (waiting.length > 0) {
      const taken = group();
      onTheirWay = taken.length;
      try {
        const results = await work(taken.map(({ item }) => item));
        taken.forEach(({ resolve }, at) => resolve(results[at] as R)); // one each, by contract
      } catch (error) {
        for (const { reject } of taken) reject(error);
      }
      onTheirWay = 0;
    }
    working = false;
  };
  return {
    get size() {
      return waiting.length + onTheirWay;
    },
    add(item) {
      return new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject });
        if (working) return;
        working = true;
        void run();
      });
    },
  };
}
