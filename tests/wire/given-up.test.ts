import { expect, test, vi } from "vitest";
import { fakeClock } from "../../src/testing/clock.ts";
import { type Calls, givenUpCalls } from "../../src/wire/given-up.ts";

const never = (): Promise<never> => new Promise(() => {});
const open = (closing = async (): Promise<void> => {}): { readonly calls: Calls; readonly clock: ReturnType<typeof fakeClock> } => {
  const clock = fakeClock();
  return { clock, calls: givenUpCalls({ service: "test", timeoutMs: 1_000, clock, closing }) };
};

test("gives what the work gives, and throws what it throws, leaving no timer and no listener", async () => {
  const { calls, clock } = open();
  const { signal } = new AbortController();
  const added = vi.spyOn(signal, "addEventListener");
  const removed = vi.spyOn(signal, "removeEventListener");
  expect(await calls.run("read", ({ request }) => request(async () => 7), signal)).toBe(7);
  const error = new Error("no");
  await expect(calls.run("read", ({ request }) => request(() => Promise.reject(error)), signal)).rejects.toBe(error);
  expect([clock.pending, removed.mock.calls.length]).toEqual([0, added.mock.calls.length]);
});

test("an abort rejects with its reason though the request never settles, and tells the work", async () => {
  const { calls, clock } = open();
  const abort = new AbortController();
  let told: unknown;
  const call = calls.run("read", ({ request, signal }) => {
    signal.addEventListener("abort", () => (told = signal.reason), { once: true });
    return request(never);
  }, abort.signal);
  abort.abort("enough");
  await expect(call).rejects.toBe("enough");
  expect([told, clock.pending]).toEqual(["enough", 0]);
});

test("a signal that has aborted begins nothing", async () => {
  const work = vi.fn(never);
  await expect(open().calls.run("read", work, AbortSignal.abort("no"))).rejects.toBe("no");
  expect(work).not.toHaveBeenCalled();
});

test("each request has its own time, and what is between them has none", async () => {
  const { calls, clock } = open();
  let answer: (value: number) => void = () => {};
  const call = calls.run("read", async ({ request }) => {
    for (let n = 0; n < 3; n += 1) await request(() => new Promise<number>((resolve) => (answer = resolve)));
    await clock.sleep(5_000);
    return request(never);
  }, undefined);
  const settled = call.catch((error: unknown) => error);
  for (let n = 0; n < 3; n += 1) {
    await clock.advance(900);
    answer(n);
  }
  await clock.advance(5_000);
  expect(clock.pending).toBe(1);
  await clock.advance(1_000);
  expect(await settled).toMatchObject({ code: "timeout", service: "test", message: "test: read: no answer in 1000 ms" });
});

test("after a request was given up no further one is sent", async () => {
  const { calls, clock } = open();
  const second = vi.fn(never);
  const call = calls.run("read", async ({ request }) => {
    await request(never).catch(() => {});
    return request(second);
  }, undefined);
  const settled = call.catch((error: unknown) => error);
  await clock.advance(1_000);
  expect(await settled).toMatchObject({ code: "timeout" });
  expect(second).not.toHaveBeenCalled();
});

test("close ends calls with closed, closes once, and refuses further ones", async () => {
  const closing = vi.fn(async () => {});
  const { calls } = open(closing);
  const settled = calls.run("read", ({ request }) => request(never), undefined).catch((error: unknown) => error);
  await Promise.all([calls.close(), calls.close()]);
  expect(await settled).toMatchObject({ code: "closed" });
  expect(closing).toHaveBeenCalledTimes(1);
  await expect(calls.run("read", async () => 1, undefined)).rejects.toMatchObject({ code: "closed" });
});
