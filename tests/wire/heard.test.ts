import { expect, test, vi } from "vitest";
import { heard } from "../../src/wire/heard.ts";
import { gate, turns } from "../streams/support.ts";

test("gives what the promise gives, with a signal or without", async () => {
  const { signal } = new AbortController();
  const failure = new Error("down");
  for (const some of [signal, undefined]) {
    expect(await heard(Promise.resolve(1), some)).toBe(1);
    await expect(heard(Promise.reject(failure), some)).rejects.toBe(failure);
  }
});

test("all who wait with one signal hear its reason, and what their promises do later is nobody's concern", async () => {
  const controller = new AbortController();
  const gates = [gate(), gate(), gate()];
  const waits = gates.map(({ promise }) => heard(promise, controller.signal).catch((error: unknown) => error));
  gates[0]?.open("early");
  await turns();
  controller.abort("enough");
  gates[1]?.fail(new Error("late"));
  gates[2]?.open("late");
  expect(await Promise.all(waits)).toEqual(["early", "enough", "enough"]);
  await expect(heard(Promise.reject(new Error("late")), controller.signal)).rejects.toBe("enough");
  await expect(heard(Promise.resolve(1), controller.signal)).rejects.toBe("enough");
  await turns(); // a rejection that nobody heard would end the test
});

test("a failure that comes with the abort is the abort's reason", async () => {
  const controller = new AbortController();
  const { promise, fail } = gate();
  const wait = heard(promise, controller.signal);
  controller.signal.addEventListener("abort", () => fail(new Error("aborted by the client")));
  controller.abort("enough");
  await expect(wait).rejects.toBe("enough");
});

test("one listener hears a signal for all who wait with it, from the first to the last", async () => {
  const { signal } = new AbortController();
  const [added, removed] = [vi.spyOn(signal, "addEventListener"), vi.spyOn(signal, "removeEventListener")];
  const gates = Array.from({ length: 50 }, gate);
  const waits = gates.map(({ promise }) => heard(promise, signal));
  for (const { open } of gates.slice(1)) open();
  await Promise.all(waits.slice(1));
  expect([added.mock.calls.length, removed.mock.calls.length]).toEqual([1, 0]);
  gates[0]?.open();
  await waits[0];
  expect([added.mock.calls.length, removed.mock.calls.length]).toEqual([1, 1]);
  await heard(Promise.resolve(), signal);
  expect([added.mock.calls.length, removed.mock.calls.length]).toEqual([2, 2]);
});
