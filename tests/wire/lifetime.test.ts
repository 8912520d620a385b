import { expect, test, vi } from "vitest";
import { lifetime } from "../../src/wire/lifetime.ts";

const open = (): ReturnType<typeof lifetime> => lifetime("test", () => Promise.resolve());

test("a call aborts with its caller's reason, with its own, and with the end of the adapter", async () => {
  const life = open();
  const caller = new AbortController();
  const [heard, own, ended] = [life.begin(caller.signal), life.begin(undefined), life.begin(new AbortController().signal)];
  caller.abort("enough");
  own.abort("late");
  expect([heard.signal.reason, own.signal.reason, ended.signal.aborted]).toEqual(["enough", "late", false]);
  await life.close();
  expect(ended.signal.reason).toMatchObject({ code: "closed", message: "test: was closed" });
  expect([heard.signal.reason, own.signal.reason]).toEqual(["enough", "late"]);
});

test("a call on a signal that has aborted is aborted from the start", () => {
  expect(open().begin(AbortSignal.abort("no")).signal.reason).toBe("no");
});

test("a call that is over hears of nothing any more", async () => {
  const life = open();
  const caller = new AbortController();
  const [left, closed] = [life.begin(caller.signal), life.begin(undefined)];
  left.leave();
  closed.leave();
  caller.abort("enough");
  await life.close();
  expect([left.signal.aborted, closed.signal.aborted]).toEqual([false, false]);
});

test("after the end no call begins, and none leaves a listener", async () => {
  const life = open();
  await life.close();
  const { signal } = new AbortController();
  const added = vi.spyOn(signal, "addEventListener");
  expect(() => life.begin(signal)).toThrow(/test: was closed/);
  expect(added).not.toHaveBeenCalled();
});
