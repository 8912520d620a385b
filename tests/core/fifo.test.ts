import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Fifo } from "../../src/core/fifo.ts";

describe("Fifo", () => {
  test("does what an array does, in any order of calls", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant("push") }, { weight: 2, arbitrary: fc.constant("shift") }, { weight: 1, arbitrary: fc.constant("clear") }), { maxLength: 200 }), (calls) => {
        const fifo = new Fifo<number>();
        const array: number[] = [];
        for (const [i, call] of calls.entries()) {
          if (call === "push") {
            fifo.push(i);
            array.push(i);
          } else if (call === "shift") expect(fifo.shift()).toBe(array.shift());
          else {
            fifo.clear();
            array.length = 0;
          }
          expect(fifo.length).toBe(array.length);
        }
      }),
    );
  });

  test("keeps the order over many thousands", () => {
    const fifo = new Fifo<number>();
    let next = 0;
    for (let i = 0; i < 20_000; i += 1) {
      fifo.push(i);
      if (i % 3 === 0) expect(fifo.shift()).toBe(next++);
    }
    while (fifo.length > 0) expect(fifo.shift()).toBe(next++);
    expect(next).toBe(20_000);
    expect(fifo.shift()).toBe(undefined);
  });
});
