import { describe, expect, test } from "vitest";
import { fakeClock } from "../../src/testing/index.ts";

describe("fakeClock", () => {
  test("fires what is due, in the order of time, and nothing else", async () => {
    const clock = fakeClock();
    const fired: string[] = [];
    clock.timeout(20, () => fired.push("20"));
    clock.timeout(10, () => fired.push("10"));
    clock.timeout(21, () => fired.push("21"));
    await clock.advance(20);
    expect(fired).toEqual(["10", "20"]);
    expect(clock.pending).toBe(1);
    expect(clock.now()).toBe(20);
  });

  test("lets what a timer woke set the next one, within the same advance", async () => {
    const clock = fakeClock();
    const fired: number[] = [];
    const work = (async () => {
      await clock.sleep(10);
      fired.push(clock.now());
      await clock.sleep(10);
      fired.push(clock.now());
    })();
    await clock.advance(20);
    await work;
    expect(fired).toEqual([10, 20]);
  });

  test("a cancelled timer does not fire", async () => {
    const clock = fakeClock();
    let fired = false;
    clock.timeout(1, () => {
      fired = true;
    })();
    await clock.advance(5);
    expect([fired, clock.pending]).toEqual([false, 0]);
  });

  test("an aborted sleep rejects with the reason at once and leaves no timer", async () => {
    const clock = fakeClock();
    const controller = new AbortController();
    const slept = clock.sleep(1_000, controller.signal);
    controller.abort("enough");
    await expect(slept).rejects.toBe("enough");
    expect(clock.pending).toBe(0);
  });

  test("a sleep on an aborted signal sets no timer", async () => {
    const clock = fakeClock();
    await expect(clock.sleep(1, AbortSignal.abort("before"))).rejects.toBe("before");
    expect(clock.pending).toBe(0);
  });

  test("a sleep that ended leaves no listener", async () => {
    const clock = fakeClock();
    const signal = new AbortController().signal;
    const counts = { added: 0, removed: 0 };
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      counts.added += 1;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      counts.removed += 1;
      removeEventListener.apply(signal, args);
    };
    const slept = clock.sleep(1, signal);
    await clock.advance(1);
    await slept;
    expect(counts).toEqual({ added: 1, removed: 1 });
  });
});
