/**
 * Scripts that the server runs in one atomic step.
 *
 * @module
 */

/** A script; it is sent whole only to a server that does not know it yet. */
export interface Script {
  /** For messages. */
  readonly name: string;
  readonly text: string;
  /** What the server knows it by: SHA-1 of the text, in hexadecimal. */
  sha(): Promise<string>;
}

/** Takes a script as it stands. */
export function script(name: string, text: string): Script {
  let sha: Promise<string> | undefined;
  return { name, text, sha: () => (sha ??= shaOf(text)) };
}

async function shaOf(text: string): Promise<string> {
  const { createHash } = await import("node:crypto");
  return createHash("sha1").update(text).digest("hex");
}
