/**
 * IP addresses: reading them, and telling public ones from all others.
 *
 * Source: the IANA special-purpose address registries (RFC 6890 and its successors).
 *
 * @module
 */

/** The 4 or 16 bytes of an address in its usual form; `undefined` for anything else, zones and leading zeros included. */
export function parseAddress(text: string): readonly number[] | undefined {
  return text.includes(":") ? parse6(text) : parse4(text);
}

function parse4(text: string): number[] | undefined {
  const fields = text.split(".");
  // a leading zero is octal to some and decimal to others, so it is no address here
  if (fields.length !== 4 || !fields.every((field) => /^(?:0|[1-9]\d{0,2})$/.test(field) && Number(field) <= 255)) return undefined;
  return fields.map(Number);
}

function parse6(text: string): number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => (half === "" ? [] : groups(half)));
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const missing = 16 - head.length - (tail?.length ?? 0);
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  return [...head, ...Array<number>(missing).fill(0), ...(tail ?? [])];
}

function groups(half: string): number[] | undefined {
  const fields = half.split(":");
  const bytes: number[] = [];
  for (const [at, field] of fields.entries()) {
    if (field.includes(".") && at === fields.length - 1) {
      const last = parse4(field);
      if (last === undefined) return undefined;
      bytes.push(...last);
    } else if (/^[0-9a-f]{1,4}$/i.test(field)) bytes.push(Number.parseInt(field, 16) >> 8, Number.parseInt(field, 16) & 255);
    else return undefined;
  }
  return bytes;
}

/** A block of addresses. */
export type Network = (address: readonly number[]) => boolean;

/** A block as `10.0.0.0/8` or `fd00::/8`, or one address; `undefined` for anything else. */
export function parseNetwork(text: string): Network | undefined {
  const [base = "", length, more] = text.split("/");
  const prefix = parseAddress(base);
  const bits = length === undefined ? (prefix?.length ?? 0) * 8 : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  if (prefix === undefined || more !== undefined || !(bits <= prefix.length * 8)) return undefined;
  return (address) =>
    address.length === prefix.length &&
    address.every((byte, at) => {
      const taken = Math.min(8, Math.max(0, bits - at * 8)); // bits of this byte that count
      return byte >> (8 - taken) === (prefix[at] ?? 0) >> (8 - taken);
    });
}

/** IPv4 blocks that are not the public internet. */
const special4 = networks(
  "0.0.0.0/8", // this host
  "10.0.0.0/8", // private
  "100.64.0.0/10", // carrier-grade NAT
  "127.0.0.0/8", // loopback
  "169.254.0.0/16", // link-local: the metadata services of clouds
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "192.31.196.0/24", // AS112
  "192.52.193.0/24", // AMT
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16", // private
  "192.175.48.0/24", // AS112
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, broadcast
);

/** Public IPv6 is given out of this block alone: loopback, `::`, v4-mapped, NAT64, local and multicast ones are outside. */
const global6 = networks("2000::/3");

/** Blocks in it that reach something else. */
const special6 = networks(
  "2001::/23", // protocol assignments: Teredo, ORCHID, benchmarks
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4: any IPv4 address inside
  "2620:4f:8000::/48", // AS112
  "3fff::/20", // documentation
);

/** Is it an address of the public internet? */
export function isPublic(address: readonly number[]): boolean {
  if (address.length === 4) return !special4.some((network) => network(address));
  return global6.some((network) => network(address)) && !special6.some((network) => network(address));
}

function networks(...texts: readonly string[]): readonly Network[] {
  return texts.map((text) => parseNetwork(text)).filter((network) => network !== undefined);
}
