/**
 * Names of tools as every model's service takes them, whatever a server calls them.
 *
 * Source: the narrowest of the services, 1 to 64 letters, digits, `_` and `-`, a letter or `_` first; MCP 2025-11-25 allows `.` and `/` too.
 *
 * @module
 */

const maxChars = 64;
const hashChars = 7;

/** Reach a prototype where a table of tools is a plain object. */
const forbidden: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/**
 * A name for each, in order, all different. What fits stays as it is; other characters become `_`. Where two come to the same and where
 * one is too long, the end of those that had to change says which is meant: it depends on the name alone, not on the order of the list.
 */
export function toolNames(prefix: string, remotes: readonly string[]): string[] {
  const fitted = remotes.map((remote) => {
    const whole = prefix === "" ? remote : `${prefix}_${remote}`;
    return { whole, fit: fitting(whole) };
  });
  const uses = new Map<string, number>();
  for (const { fit } of fitted) uses.set(fit, (uses.get(fit) ?? 0) + 1);
  const taken = new Set(fitted.flatMap(({ whole, fit }) => (isKept(whole, fit) ? [fit] : [])));
  return fitted.map(({ whole, fit }) => {
    if (isKept(whole, fit)) return fit;
    const changed = fit.length <= maxChars && uses.get(fit) === 1 ? fit : `${fit.slice(0, maxChars - hashChars - 1)}_${hashOf(whole)}`;
    let name = changed;
    for (let count = 2; taken.has(name); count += 1) name = `${changed.slice(0, maxChars - 4)}_${count}`; // a hash that meets another
    taken.add(name);
    return name;
  });
}

function isKept(whole: string, fit: string): boolean {
  return fit === whole && fit.length <= maxChars;
}

function fitting(whole: string): string {
  const fit = whole.replace(/[^\w-]/g, "_");
  return /^[A-Za-z_]/.test(fit) && !forbidden.has(fit) ? fit : `_${fit}`;
}

/** FNV-1a, 32 bits, in base 36: the same on every machine. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(36).padStart(hashChars, "0");
}
