import fc from "fast-check";
import { isIP } from "node:net";
import { describe, expect, test } from "vitest";
import { isMillraceError } from "../../src/core/errors.ts";
import { addressGuard } from "../../src/wire/address-guard.ts";
import { isPublic, parseAddress, parseNetwork } from "../../src/wire/ip.ts";

function code(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return isMillraceError(error) ? error.code : String(error);
  }
  return "allowed";
}

describe("IP addresses", () => {
  test("reads what the runtime takes for an address, and nothing else", () => {
    const text = fc.oneof(fc.ipV4(), fc.ipV6(), fc.ipV4Extended(), fc.stringMatching(/^[0-9a-f:.]{1,24}$/));
    fc.assert(
      fc.property(text, (text) => {
        expect(parseAddress(text) !== undefined).toBe(isIP(text) !== 0);
      }),
      { numRuns: 5_000 },
    );
  });

  test.each([
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.170", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:1::1", "2001:20::1", "2001:db8::1",
    "2002:7f00:1::", "3fff::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "5f00::1",
  ])("%s is not public", (address) => {
    const bytes = parseAddress(address);
    expect(bytes).toBeDefined();
    expect(isPublic(bytes ?? [])).toBe(false);
  });

  test.each(["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1", "198.17.255.255", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "2003::1"])(
    "%s is public",
    (address) => expect(isPublic(parseAddress(address) ?? [])).toBe(true),
  );

  test("a network holds what begins like it, bit by bit", () => {
    const network = parseNetwork("10.128.0.0/9");
    expect(["10.127.255.255", "10.128.0.0", "10.255.255.255", "11.0.0.0", "::1"].map((text) => network?.(parseAddress(text) ?? []))).toEqual([false, true, true, false, false]);
    expect(parseNetwork("0.0.0.0/0")?.(parseAddress("9.9.9.9") ?? [])).toBe(true);
    expect(["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0/8", "x", ""].map(parseNetwork)).toEqual(Array(6).fill(undefined));
  });
});

describe("address guard: check", () => {
  const loopback = [
    "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://017700000001/",
    "https://127.0.0.1./", "https://１２７.0.0.1/", "https://127。0。0。1/", "https://[::1]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/",
    "https://0/", "https://[::]/", "https://169.254.169.254/latest/meta-data/", "https://[64:ff9b::127.0.0.1]/", "https://%31%32%37.0.0.1/", "https://[fe80::1]/", "https://10.0.0.1/",
  ];
  test.each(loopback)("refuses %s though every host is allowed", (address) => {
    expect(code(() => addressGuard("test", { allowHosts: ["*"] }).check(address))).toBe("refused");
    const listed = addressGuard("test", { allowHosts: [new URL(address).host] });
    expect(code(() => listed.check(address))).toBe("refused");
  });

  test.each([
    "file:///etc/passwd", "data:text/html,x", "gopher://example.com/", "blob:https://example.com/x", "ftp://example.com/", "javascript:alert(1)", "http://example.com/", "ws://example.com/",
    "https://user@example.com/", "https://user:secret@example.com/", "https://:secret@example.com/", "https://example.com:8443/", "https://example.com.evil.test/", "https://evilexample.com/", "https://example.com@evil.test/",
    "https://evil.test/#@example.com", "https://evil.test\\@example.com/", "https://sub.example.com/",
  ])("refuses %s with only example.com allowed, and tells no secret", (address) => {
    const guard = addressGuard("test", { allowHosts: ["example.com"] });
    expect(code(() => guard.check(address))).toBe("refused");
    expect(() => guard.check(address)).not.toThrow(/secret|passwd/);
  });

  test("allows by host, subdomain and port, in any case, with and without the last dot", () => {
    const guard = addressGuard("test", { allowHosts: ["Example.com", "*.wiki.org", "müller.de", "api.test:8443", "8.8.8.8"], allowHttp: true });
    const allowed = ["https://example.com/a?b", "https://EXAMPLE.com.", "http://example.com", "https://en.wiki.org", "https://a.b.wiki.org", "https://xn--mller-kva.de", "https://api.test:8443", "https://8.8.8.8"];
    expect(allowed.map((address) => code(() => guard.check(address)))).toEqual(allowed.map(() => "allowed"));
    const not = ["https://wiki.org", "https://xwiki.org", "https://api.test", "https://example.com:80", "http://example.com:443", "https://8.8.4.4", "https://x.api.test:8443"];
    expect(not.map((address) => code(() => guard.check(address)))).toEqual(not.map(() => "refused"));
    expect(code(() => guard.check("no address"))).toBe("invalid_input");
  });

  test("is refused when it is made with no hosts, or ones that are none", () => {
    const bad: unknown[] = [[], undefined, ["https://example.com"], ["example.com/path"], ["a b"], ["*.*.x"], [""], ["*."], [5], ["u@x"], ["x:99999"]];
    for (const allowHosts of bad) expect(code(() => addressGuard("test", { allowHosts: allowHosts as string[] })), String(allowHosts)).toBe("invalid_input");
    expect(code(() => addressGuard("test", { allowHosts: ["x"], allowNetworks: ["10.0.0.0/99"] }))).toBe("invalid_input");
  });

  test("refuses a name of which a single address is not public", async () => {
    const answers = [["8.8.8.8", "127.0.0.1"], ["fe80::1%eth0"], ["::ffff:8.8.8.8"], ["not an address"], ["8.8.8.8"]];
    const codes: string[] = [];
    for (const answer of answers) {
      const guard = addressGuard("test", { allowHosts: ["*"], resolve: async () => answer });
      codes.push(await guard.addresses(new URL("https://x.test")).then(() => "allowed", (error) => error.code));
    }
    expect(codes).toEqual(["refused", "refused", "refused", "refused", "allowed"]);
  });
});
