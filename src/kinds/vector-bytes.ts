/**
 * Vectors as bytes, and the names they are kept under.
 *
 * @module
 */

/** The key of a text's vector by this model. */
export async function vectorKey(model: string, dimensions: number | undefined, text: string): Promise<string> {
  // as JSON, which keeps apart what UTF-8 does not: halves of surrogate pairs
  const content = new TextEncoder().encode(JSON.stringify([model, dimensions ?? null, text]));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return `millrace:embed:${Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Single-precision numbers, the lowest byte first, on every machine. */
export function vectorBytes(vector: Float32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(vector.length * 4));
  for (const [at, number] of vector.entries()) view.setFloat32(at * 4, number, true);
  return new Uint8Array(view.buffer);
}

/** What was kept; nothing where it is no vector of these dimensions. */
export function vectorOf(bytes: Uint8Array, dimensions: number | undefined): Float32Array | undefined {
  const length = bytes.byteLength / 4;
  if (length === 0 || !Number.isInteger(length) || length !== (dimensions ?? length)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const vector = Float32Array.from({ length }, (_, at) => view.getFloat32(at * 4, true));
  return vector.every(Number.isFinite) ? vector : undefined;
}
