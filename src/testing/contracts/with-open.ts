/**
 * `await using` for runtimes whose syntax has none yet, as Node 22's.
 *
 * @module
 */

/** Does something with what was opened, and closes it whatever comes of that. */
export async function withOpen<Resource extends AsyncDisposable>(resource: Resource, body: (resource: Resource) => Promise<void>): Promise<void> {
  try {
    await body(resource);
  } finally {
    await resource[Symbol.asyncDispose]();
  }
}
