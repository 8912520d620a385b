/**
 * How much a computation takes, on a machine on which others compute too.
 *
 * @module
 */

/** Milliseconds of processor time that this process has taken so far. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
