import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { quotedError, redaction } from "../../src/wire/redact.ts";

const none = redaction({ secrets: [] });

describe("what looks like a key is not quoted", () => {
  test.each([
    ["OpenAI", "sk-proj-abcdEFGH1234"],
    ["OpenAI, masked by the service", "sk-abcd********wxyz"],
    ["Anthropic", "sk-ant-api03-abcdefgh"],
    ["Stripe", "rk_live_abcdefgh1234"],
    ["Groq", "gsk_abcdefgh1234"],
    ["xAI", "xai-abcdefgh1234"],
    ["Hugging Face", "hf_abcdefgh1234"],
    ["GitHub", "ghp_abcdefgh1234"],
    ["GitHub, of an app", "ghs_abcdefgh1234"],
    ["a header", "Bearer abc.def-ghi_jkl"],
    ["a header in another case", "bearer abcdefgh=="],
    ["Google", `AIza${"Sy0_-".repeat(7)}`],
    ["AWS", "AKIAIOSFODNN7EXAMPLE"],
    ["AWS, for a session", "ASIAIOSFODNN7EXAMPLE"],
    ["a JSON web token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"],
    ["hexadecimal", "0123456789abcdef".repeat(4)],
    ["base64", `${"Ab1+/".repeat(9)}==`],
  ])("%s", (_, key) => {
    expect(none(`wrong key: ${key}, try again`)).toBe("wrong key: …, try again");
    expect(none(`"${key}"`)).toBe('"…"');
  });

  test("words that only begin like one are", () => {
    for (const text of ["the sk-ill of asking", "a token-like thing", "Bearer of news", "key-value", "eyJ", "AKIA"]) expect(none(text)).toBe(text);
  });
});

describe("a secret that is known is not quoted", () => {
  test("wherever it stands, however often, the longer one first", () => {
    const redact = redaction({ secrets: ["hunter2", "hunter2-of-yore"] });
    expect(redact("hunter2, hunter2-of-yore and hunter2")).toBe("…, … and …");
  });

  test("of four characters and more; a shorter one would blank out words", () => {
    expect(redaction({ secrets: ["", "a", "abc", "abcd"] })("abc abcd a")).toBe("abc … a");
  });

  test("when the limit of what is quoted cuts it in two", () => {
    for (const secret of ["p4ss-w0rd", "correct horse battery staple ".repeat(12)]) {
      const redact = redaction({ secrets: [secret] });
      for (let shown = 1; shown < secret.length; shown += 1) {
        const quoted = redact(`${".".repeat(500 - shown)}${secret}tail`);
        expect(quoted.slice(500 - shown)).toMatch(/^…/);
      }
    }
  });

  test("when its signs mean something to patterns", () => expect(redaction({ secrets: ["a.*b$1(c"] })("x a.*b$1(c y")).toBe("x … y"));
});

describe("at most 500 characters are quoted", () => {
  test("and a sign for more", () => {
    expect(none("a b ".repeat(125))).toBe("a b ".repeat(125));
    expect(none("a b ".repeat(126))).toBe(`${"a b ".repeat(125)}…`);
    expect(none("a b ".repeat(100_000))).toBe(`${"a b ".repeat(125)}…`);
  });

  test("counted after redaction, as long as what follows was looked at", () => {
    expect(redaction({ secrets: ["x".repeat(30)] })(`${"x".repeat(30)} ${"a b ".repeat(120)}`)).toBe(`… ${"a b ".repeat(120)}`);
  });
});

describe("of an address", () => {
  test.each([
    ["https://user:pass@host/path", "https://host/path"],
    ["postgres://admin:s3cret@db:5432/app", "postgres://db:5432/app"],
    ["https://user@host", "https://host"],
    ["https://host/path?token=abc&x=1", "https://host/path"],
    ["https://host/path#fragment", "https://host/path"],
    ["https://host?sig=abc", "https://host"],
    ['fetch("https://u:p@host/a?b=c") failed', 'fetch("https://host/a") failed'],
    ["amqp://a:b@one, amqp://c:d@two?x", "amqp://one, amqp://two"],
    ["postgres://me:pa/ss@host/db", "postgres://…@host/db"],
    ["no postgres://me:/pa//s@s:/@host:5432/db?ssl=1 there", "no postgres://…@host:5432/db there"],
    ["postgres://me:pa/s?s@host/db", "postgres://…"],
    ["http://host:80/a?mail=a@b.c&key=abc", "http://…"],
    ["http://host?mail=a@b.c&key=abc", "http://…"],
    ["http://host/a?mail=a@b.c&key=abc", "http://host/a"],
    ["https://user:pass@host/a@b", "https://…@b"],
    ["http://one/,amqp://c:d/e@two,amqp://f:g/h@three", "http://one/,amqp://…@two,amqp://…@three"],
    ["https://packages.example.org/@scope/name", "https://packages.example.org/@scope/name"],
    ["http://host:80/a b@c", "http://host:80/a b@c"],
    ['{"url":"http://host:80/a","mail":"a@b.c"}', '{"url":"http://host:80/a","mail":"a@b.c"}'],
  ])("%s stays %s", (text, shown) => expect(none(text)).toBe(shown));

  test("that is none, all stays", () => expect(none("what? a@b, 1:2 #3")).toBe("what? a@b, 1:2 #3"));

  test("with a sign of its own in the password, nothing of the password stays", () => {
    const sign = fc.constantFrom("@", "?", "#", "/", ":", "%", "'", "&", "x");
    fc.assert(
      fc.property(fc.array(sign, { maxLength: 8 }), fc.array(sign, { maxLength: 8 }), (before, after) => {
        const password = `${before.join("")}word${after.join("")}`;
        fc.pre(!password.includes("://"));
        expect(none(`cannot reach amqp://user:${password}@host/v`)).not.toContain("word");
      }),
      { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 500) },
    );
  });
});

describe("what was sent is not echoed", () => {
  const prompt = "Translate: the patient has a rare disease of the left foot, and nobody must know.";
  const redact = redaction({ secrets: [], sent: () => [prompt] });

  test("from 24 characters in a row", () => {
    for (let at = 0; at + 24 <= prompt.length; at += 1) expect(redact(`bad: <${prompt.slice(at, at + 24)}>`)).toBe("bad: <…>");
    for (let at = 0; at + 23 <= prompt.length; at += 1) expect(redact(`bad: <${prompt.slice(at, at + 23)}>`)).toBe(`bad: <${prompt.slice(at, at + 23)}>`);
  });

  test("all of a longer run, and each of several", () => {
    expect(redact(`${prompt} // ${prompt.slice(0, 40)} // ok`)).toBe("… // … // ok");
  });

  test("of any of the texts that were sent, which are asked for only then", () => {
    let asked = 0;
    const some = redaction({ secrets: [], sent: () => ((asked += 1), ["a first text, sent long before", "the second one of those texts"]) });
    expect(asked).toBe(0);
    expect(some("no the second one of those texts, please")).toBe("no …, please");
    expect(asked).toBe(1);
  });

  test("no run of 24 stays, and nothing else is lost, whatever was sent and said", () => {
    const word = fc.constantFrom("ab", "abc", "ba ", "c", " ", "aa", "bcb");
    const text = fc.array(word, { maxLength: 40 }).map((words) => words.join(""));
    fc.assert(
      fc.property(text, text, (sent, said) => {
        const quoted = redaction({ secrets: [], sent: () => [sent] })(said);
        const echoed = new Set<number>();
        for (let at = 0; at + 24 <= said.length; at += 1) {
          if (sent.includes(said.slice(at, at + 24))) for (let i = at; i < at + 24; i += 1) echoed.add(i);
        }
        const expected = [...said].map((char, i) => (!echoed.has(i) ? char : echoed.has(i - 1) ? "" : "…")).join("");
        // Letters without a space in a row of 40 look like base64, and are hidden before
        if (!/[abc]{40}/.test(said)) expect(quoted).toBe(expected);
      }),
      { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 500) },
    );
  });
});

test("addresses are looked for in time that is in proportion to the text, where a long secret makes what is looked at long", () => {
  const redact = redaction({ secrets: ["x".repeat(500_000)] });
  for (const text of ["://", "a", "x://", "x://a:", "x://a:b/", "x://a?", "x://a@", "@", "x:"]) redact(text.repeat(500_000));
});

// Steps that grow with the square would take hours here: the time limit of the test is what fails then.
test("redaction takes time in proportion to what was sent, and to what is said none beyond the limit (L-lin)", () => {
  const sent = "ab ".repeat(4_000_000);
  redaction({ secrets: [], sent: () => [sent] })("ab ".repeat(400));
  for (const text of ["://".repeat(3_000_000), "a".repeat(9_000_000), "eyJ".repeat(3_000_000), "sk-".repeat(3_000_000), `x://${"@".repeat(9_000_000)}`]) none(text);
});

describe("an error that stands in for another", () => {
  test("has its name, its codes and its quoted message, and nothing that it held", () => {
    const original = Object.assign(new TypeError("key hunter2 is wrong"), { code: "hunter2", status: 401, type: "auth", request: { headers: { authorization: "hunter2" } } });
    const copy = quotedError(original, redaction({ secrets: ["hunter2"] }));
    expect(copy).toMatchObject({ name: "TypeError", message: "key … is wrong", code: "…", status: 401, type: "auth" });
    expect(copy).not.toHaveProperty("request");
    expect(copy.stack).not.toContain("hunter2");
  });

  test("has its causes, a few links of them, redacted too", () => {
    const nested = (links: number): Error => new Error(`hunter2 ${links}`, links === 0 ? undefined : { cause: nested(links - 1) });
    const messages: string[] = [];
    for (let at: unknown = quotedError(nested(20), redaction({ secrets: ["hunter2"] })); at instanceof Error; at = at.cause) messages.push(at.message);
    expect(messages).toEqual(["… 20", "… 19", "… 18", "… 17", "… 16"]);
  });

  test("says so when what was thrown is no error", () => {
    expect(quotedError("hunter2 failed", redaction({ secrets: ["hunter2"] })).message).toBe("… failed");
    expect(quotedError(null, none).message).toBe("not an error: object");
    expect(quotedError({ code: "secret" }, none)).toMatchObject({ message: "not an error: object" });
  });

  test("is made of an error whose fields throw or are of the wrong kind", () => {
    const hostile = Object.defineProperty(Object.assign(new Error("x"), { code: { toString: null }, status: [] }), "message", {
      get() {
        throw new Error("a trap");
      },
    });
    const copy = quotedError(hostile, none);
    expect(copy.message).toBe("");
    expect(Object.keys(copy)).toEqual([]);
  });
});
