/**
 * Waiting for what shows at a server, without a clock.
 *
 * @module
 */

/** Asks until it is so; each question is a round trip. */
export async function seen(isSo: () => Promise<boolean>): Promise<void> {
  for (let asked = 0; asked < 5_000; asked += 1) if (await isSo()) return;
  throw new Error("it has not come about");
}
