import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memoryKeyValue } from "../../src/adapters/memory/index.ts";
import { codec, debug, finish, type FinishReason, image, isMillraceError, json, MillraceError, type Part, type Processor, retry, status, text, tool, withTools } from "../../src/index.ts";
import { approximateTokens } from "../../src/kinds/token-counter.ts";
import { mockModel } from "../../src/testing/mock-model.ts";
import { conversation, type ConversationTurn } from "../../src/tools/conversation.ts";
import { structured } from "../../src/tools/structured.ts";
import { trimHistory } from "../../src/tools/trim-history.ts";
import { gate, soon, turns } from "../streams/support.ts";
import { call, failure, lines, result, says, system } from "./support.ts";

const ended = (reason: FinishReason = "stop"): Part => finish({ reason, usage: { inputTokens: 10, outputTokens: 5 } });

/** A model, tools and all, that says these parts at each turn; an error among them is thrown, a promise waited for. */
const saying = (...turnsOfIt: readonly (readonly (Part | Error | Promise<unknown>)[])[]): Processor & { readonly inputs: string[][] } => {
  const inputs: string[][] = [];
  const model: Processor = async function* (input) {
    const heard: Part[] = [];
    for await (const part of input) heard.push(part);
    inputs.push(lines(heard));
    for (const each of turnsOfIt[inputs.length - 1] ?? []) {
      if (each instanceof Error) throw each;
      if (each instanceof Promise) await each;
      else yield each;
    }
  };
  return Object.assign(model, { inputs });
};

const read = async (stream: AsyncIterable<Part>, count: number): Promise<void> => {
  let seen = 0;
  for await (const _ of stream) if ((seen += 1) === count) break;
};

describe("a history", () => {
  test("is what was said and answered, and all of it is shown to the model at the next turn", async () => {
    const model = mockModel(["Hello Ada.", "Ada, you said."]);
    const chat = conversation(model);
    expect(chat.history).toEqual([]);
    expect(await chat.send("I am Ada.").text()).toBe("Hello Ada.");
    expect(await chat.send("Who am I?").text()).toBe("Ada, you said.");
    expect(lines(model.calls[1]?.input ?? [])).toEqual(["user: I am Ada.", "assistant: Hello Ada.", "user: Who am I?"]);
    expect(lines(chat.history)).toEqual(["user: I am Ada.", "assistant: Hello Ada.", "user: Who am I?", "assistant: Ada, you said."]);
  });

  test("begins with what it was given, and leaves that array alone", async () => {
    const given = [system("brief"), text("Hi"), says("Hello.")];
    const model = mockModel(["Fine."]);
    const chat = conversation(model, { history: given });
    given.push(text("not said yet"));
    await chat.send("How are you?").text();
    expect(lines(model.calls[0]?.input ?? [])).toEqual(["system: brief", "user: Hi", "assistant: Hello.", "user: How are you?"]);
    expect([given.length, chat.history.length]).toEqual([4, 5]);
  });

  test("is a new array after a turn: one that was taken before stays as it was", async () => {
    const chat = conversation(mockModel(["a", "b"]));
    await chat.send("1").text();
    const before = chat.history;
    await chat.send("2").text();
    expect([before.length, chat.history.length]).toEqual([2, 4]);
  });

  test("has none of what is about an answer and not of it; the reader has all", async () => {
    const asides = [status("busy"), debug("200"), json({ url: "u" }, { role: "assistant", substream: "sources" }), json({}, { role: "assistant", substream: "partial" }), text("from a tool", { role: "tool" })];
    const chat = conversation(saying([...asides, says("Hello."), ended()]));
    expect(await chat.send("Hi").collect()).toHaveLength(7);
    expect(lines(chat.history)).toEqual(["user: Hi", "assistant: Hello."]);
  });

  test("has what a service wants back, as it came and where it came", async () => {
    const sealed = says("", { substream: "reasoning", metadata: { openai: { item: { type: "reasoning", id: "rs_1" } } } });
    const searched = json({ type: "server_tool_use" }, { role: "assistant", substream: "sources", metadata: { anthropic: { block: true } } });
    const signed = says("It is ", { metadata: { gemini: { thoughtSignature: "s" } } });
    const chat = conversation(saying([sealed, says(""), searched, says("I "), says("think "), signed, says("noon."), ended()]));
    await chat.send("What time is it?").text();
    expect(lines(chat.history).slice(1)).toEqual(["assistant/reasoning: ", "assistant/sources: json", "assistant: I think ", "assistant: It is ", "assistant: noon."]);
    expect([chat.history[1], chat.history[2], chat.history[4]].map((part, at) => part === [sealed, searched, signed][at])).toEqual([true, true, true]);
  });

  test("joins deltas of one kind alone: thoughts stay apart from words", async () => {
    const chat = conversation(saying([says("h", { substream: "reasoning" }), says("m", { substream: "reasoning" }), says("o"), says("k"), says("<b>", { mimeType: "text/html" }), ended()]));
    await chat.send("Hi").text();
    expect(lines(chat.history)).toEqual(["user: Hi", "assistant/reasoning: hm", "assistant: ok", "assistant: <b>"]);
  });

  test("has nothing of an attempt that was taken back", async () => {
    const model = retry(mockModel([["Half ", { error: new MillraceError("unavailable", "down") }], "Whole."]), { afterCommit: "restart", random: () => 0 });
    const chat = conversation(model);
    expect(await chat.send("Hi").text()).toBe("Whole.");
    expect(lines(chat.history)).toEqual(["user: Hi", "assistant: Whole."]);
  });

  test("survives the codec, but for system parts, which come back as data and are refused", async () => {
    const chat = conversation(mockModel([[says("Hello.", { metadata: { gemini: { thoughtSignature: "s" } } })]]), { history: [system("brief")] });
    await chat.send("Hi").text();
    const saved = JSON.parse(JSON.stringify(chat.history.map((part) => codec.encode(part)))) as unknown[];
    const loaded = saved.map((value) => codec.decode(value));
    expect(loaded).toEqual(chat.history);
    expect(await failure(conversation(mockModel(["b"]), { history: loaded }).send("2").text())).toMatchObject({ code: "refused" });
    expect(await conversation(mockModel(["b"]), { history: loaded.slice(1) }).send("2").text()).toBe("b");
  });
});

describe("tools", () => {
  test("are in it round by round: what the model said, its calls, all results in the order of the calls", async () => {
    const rounds = [says("Let me see."), call("1"), call("2"), ended("tool_calls"), result("2"), result("1"), call("3"), ended("tool_calls"), result("3"), says("Noon."), ended()];
    const model = saying(rounds, [says("Yes."), ended()]);
    const chat = conversation(model);
    await chat.send("What time is it?").text();
    const whole = ["user: What time is it?", "assistant: Let me see.", "call 1", "call 2", "result 1", "result 2", "call 3", "result 3", "assistant: Noon."];
    expect(lines(chat.history)).toEqual(whole);
    await chat.send("Sure?").text();
    expect(model.inputs[1]).toEqual([...whole, "user: Sure?"]);
  });

  test("may be called by one id again and again, also twice in a round", async () => {
    const model = saying([call("1"), call("1"), ended("tool_calls"), result("1", "a"), result("1", "b"), call("1"), result("1", "c"), says("ok"), ended()]);
    const chat = conversation(model);
    await chat.send("Hi").text();
    expect(chat.history.map((part) => (part.kind === "toolResult" ? part.result : part.kind))).toEqual(["text", "toolCall", "toolCall", "a", "b", "toolCall", "c", "text"]);
  });

  test("images that a tool answered with stand behind its result, also those of the last one", async () => {
    const png = (n: number): Part => image(new Uint8Array([n]));
    const picture = tool({ name: "picture", input: { type: "object", properties: { n: { type: "number" } } }, run: ({ n }: { n: number }) => [text(`picture ${n}`), png(n)] });
    const shown: string[][] = [];
    const model = mockModel(({ input, turn }) => {
      shown.push(lines(input));
      return turn === 1 ? [1, 2].map((n) => ({ toolCall: { name: "picture", arguments: { n }, id: String(n) } })) : "Seen.";
    });
    const chat = conversation(withTools(model, [picture]));
    await chat.send("show me").text();
    await chat.send("again").text();
    expect(shown[2]).toEqual(["user: show me", "call 1", "call 2", "result 1", "tool: bytes", "result 2", "tool: bytes", "assistant: Seen.", "user: again"]);
    expect(chat.history.flatMap((part) => (part.kind === "bytes" ? [...part.bytes] : []))).toEqual([1, 2]);
  });

  test("answers of `structured` that did not fit are not in it, the value is", async () => {
    const model = mockModel([[{ reasoning: "hm" }, "no JSON"], '{"n": 1}', '{"n": 2}']);
    const chat = conversation(structured(model, { type: "object", properties: { n: { type: "number" } }, required: ["n"] }));
    expect(await chat.send("one").json()).toEqual({ n: 1 });
    expect(await chat.send("two").json()).toEqual({ n: 2 });
    expect(lines(chat.history)).toEqual(["user: one", "assistant: json", "user: two", "assistant: json"]);
    expect(chat.usage.outputTokens).toBeGreaterThan(4);
  });

  test("results that answer no call are left out: every service refuses them", async () => {
    const chat = conversation(saying([result("9"), call("1"), result("1"), result("1"), says("ok"), ended()]));
    await chat.send("Hi").text();
    expect(lines(chat.history)).toEqual(["user: Hi", "call 1", "result 1", "assistant: ok"]);
  });

  test("that are called in a turn which the service withholds are run by nobody: the calls are answered for, and the talk goes on", async () => {
    let ran = 0;
    const time = tool({ name: "time", description: "The time.", run: () => `${(ran += 1)}` });
    for (const reason of ["refusal", "content_filter"] as const) {
      const model = mockModel([["Let me see.", { toolCall: { name: "time", id: "1" } }, { finish: reason }], "Fine."]);
      const chat = conversation(withTools(model, [time]));
      await chat.send("What time is it?").collect();
      expect(lines(chat.history)).toEqual(["user: What time is it?", "assistant: Let me see.", "call 1", "result 1 failed"]);
      expect(await chat.send("And you?").text()).toBe("Fine.");
    }
    expect(ran).toBe(0);
    const chat = conversation(saying([call("1"), ended("refusal")]));
    await read(chat.send("Hi"), 2);
    expect(lines(chat.history)).toEqual(["user: Hi", "call 1", "result 1 failed"]); // left behind its last finish part
  });

  test("may be the caller's: the next input brings the results, and nothing goes on without them", async () => {
    const model = mockModel([[{ toolCall: { name: "time", id: "1" } }, { toolCall: { name: "zone", id: "2" } }], "Noon."]);
    const chat = conversation(model);
    await chat.send("What time is it?").text();
    expect(await failure(chat.send("Well?").text())).toMatchObject({ code: "invalid_input", message: "conversation: the model called time; send its result, or an error as one, before anything else" });
    expect(await failure(chat.send(result("1")).text())).toMatchObject({ message: expect.stringContaining("called zone") });
    expect([model.calls.length, chat.history.length]).toEqual([1, 3]);
    expect(await chat.send([result("1"), result("2")]).text()).toBe("Noon.");
    expect(lines(chat.history)).toEqual(["user: What time is it?", "call 1", "call 2", "result 1", "result 2", "assistant: Noon."]);
  });
});

describe("a turn that fails", () => {
  const down = new MillraceError("unavailable", "down");

  test("leaves its input and nothing half, and may be asked again with nothing", async () => {
    const model = mockModel([["Half", { error: down }], "Whole."]);
    const chat = conversation(model);
    expect(await failure(chat.send("Hi").text())).toMatchObject({ code: "interrupted", cause: down });
    expect(lines(chat.history)).toEqual(["user: Hi"]);
    expect(await chat.send([]).text()).toBe("Whole.");
    expect(lines(model.calls[1]?.input ?? [])).toEqual(["user: Hi"]);
    expect(lines(chat.history)).toEqual(["user: Hi", "assistant: Whole."]);
  });

  test("before anything came leaves its input too, where that is not at fault", async () => {
    const chat = conversation(saying([down], [new Error("bug")]));
    await expect(chat.send("1").text()).rejects.toBe(down);
    await chat.send("2").text().catch(() => {});
    expect(lines(chat.history)).toEqual(["user: 1", "user: 2"]);
  });

  test("leaves nothing of its tools either", async () => {
    const broken = new Error("broken");
    const chat = conversation(saying([call("1"), ended("tool_calls"), result("1"), says("No"), broken]));
    await expect(chat.send("Hi").text()).rejects.toBe(broken);
    expect(lines(chat.history)).toEqual(["user: Hi"]);
  });

  test("before anything came, at an input that is itself at fault, leaves no trace: it would fail every turn from then on", async () => {
    const unreadable = new MillraceError("invalid_input", "cannot take audio");
    const chat = conversation(saying([unreadable], [says("a"), new MillraceError("tool_failed", "limit")], [unreadable, ended()]));
    await expect(chat.send("1").text()).rejects.toBe(unreadable);
    expect(lines(chat.history)).toEqual([]);
    expect(await failure(chat.send("2").text())).toMatchObject({ code: "tool_failed" });
    expect(lines(chat.history)).toEqual(["user: 2"]);
  });

  test("keeps, where partial answers are kept, the words, marked", async () => {
    const chat = conversation(saying([says("hm", { substream: "reasoning" }), says("It is "), says("n", { metadata: { gemini: { thoughtSignature: "s" } } }), call("1"), down]), { keepPartial: true });
    await expect(chat.send("Hi").text()).rejects.toBe(down);
    expect(lines(chat.history)).toEqual(["user: Hi", "assistant: It is ", "assistant: n"]);
    expect(chat.history.map(({ metadata }) => metadata)).toEqual([{}, { conversation: { interrupted: true } }, { conversation: { interrupted: true } }]);
  });

  test("keeps then whole rounds, and one in which a tool has answered: the others are answered for", async () => {
    const broken = new Error("broken");
    const model = saying([call("1"), ended("tool_calls"), result("1"), says("Now "), call("2"), call("3"), call("4"), ended("tool_calls"), result("3"), broken], [call("5"), result("5"), call("6"), broken]);
    const chat = conversation(model, { keepPartial: true });
    await expect(chat.send("Hi").text()).rejects.toBe(broken);
    expect(lines(chat.history)).toEqual(["user: Hi", "call 1", "result 1", "assistant: Now ", "call 2", "call 3", "call 4", "result 2 failed", "result 3", "result 4 failed"]);
    expect(chat.history[7]).toMatchObject({ result: "Interrupted before it answered.", metadata: { conversation: { interrupted: true } } });
    expect(chat.history[3]?.metadata).toEqual({});
    await expect(chat.send("Go on").text()).rejects.toBe(broken);
    expect(lines(chat.history.slice(10))).toEqual(["user: Go on", "call 5", "result 5"]);
  });
});

describe("a turn that is left", () => {
  test("leaves its input, and is over with the loop", async () => {
    const chat = conversation(mockModel(["one two three", "Whole."]));
    await read(chat.send("Hi"), 1);
    expect(lines(chat.history)).toEqual(["user: Hi"]);
    expect(await chat.send("Again").text()).toBe("Whole.");
  });

  test("behind its last finish part is complete: there was no more to read", async () => {
    const chat = conversation(saying([says("Hello."), ended()], [call("1"), ended("tool_calls"), result("1"), says("ok"), ended()]));
    await read(chat.send("Hi"), 2);
    expect(lines(chat.history)).toEqual(["user: Hi", "assistant: Hello."]);
    await read(chat.send("Again"), 2); // a finish part too, but a call waits
    expect(lines(chat.history)).toEqual(["user: Hi", "assistant: Hello.", "user: Again"]);
  });

  test("between rounds of tools is not complete, though a finish part came", async () => {
    const chat = conversation(saying([call("1"), ended("tool_calls"), result("1"), says("ok"), ended()], [says("a"), ended(), says("b"), ended()]));
    await read(chat.send("Hi"), 3);
    expect(lines(chat.history)).toEqual(["user: Hi"]);
    await read(chat.send("2"), 3); // the second of two models is speaking
    expect(lines(chat.history)).toEqual(["user: Hi", "user: 2"]);
  });

  test("by an abort rejects with the reason, and the history is right by then", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const chat = conversation(mockModel([["one ", { stall: true }], "Whole."]));
    const stream = chat.send("Hi", { signal: controller.signal });
    await expect(stream.forEach(() => controller.abort(reason))).rejects.toBe(reason);
    expect(lines(chat.history)).toEqual(["user: Hi"]);
    expect(await chat.send([]).text()).toBe("Whole.");
  });

  test("is over also where the model is deaf to it; what that says later is not heard", async () => {
    const door = gate();
    const controller = new AbortController();
    const chat = conversation(saying([says("one"), door.promise, says("two"), ended()], [says("Whole."), ended()]), { keepPartial: true });
    const reading = chat.send("Hi", { signal: controller.signal }).collect();
    await turns();
    controller.abort("enough");
    await expect(soon(reading)).rejects.toBe("enough");
    expect(lines(chat.history)).toEqual(["user: Hi", "assistant: one"]);
    expect(await soon(chat.send("Again").text())).toBe("Whole.");
    const before = chat.history;
    door.open();
    await turns();
    expect(chat.history).toBe(before);
  });

  test("before the model was asked leaves no trace", async () => {
    const controller = new AbortController();
    const door = gate();
    async function* late(): AsyncGenerator<string> {
      yield "Hi";
      await door.promise;
    }
    const model = saying([says("ok"), ended()]);
    const chat = conversation(model);
    const reading = chat.send(late(), { signal: controller.signal }).collect();
    await turns();
    controller.abort("enough");
    await expect(soon(reading)).rejects.toBe("enough");
    door.open();
    await turns();
    expect([model.inputs.length, chat.history.length]).toEqual([0, 0]);
    expect(await soon(chat.send("Again").text())).toBe("ok");
  });

  test("while the history is trimmed leaves no trace, and the model is not asked when that has ended", async () => {
    const door = gate();
    const controller = new AbortController();
    let isDeaf = true;
    const trim: Processor = async function* (input) {
      if (isDeaf) await door.promise;
      yield* input;
    };
    const model = saying([says("ok"), ended()]);
    const chat = conversation(model, { trim });
    const reading = chat.send("Hi", { signal: controller.signal }).collect();
    await turns();
    controller.abort("enough");
    await expect(soon(reading)).rejects.toBe("enough");
    isDeaf = false;
    door.open();
    await turns();
    expect([model.inputs.length, chat.history.length]).toEqual([0, 0]);
    expect(await soon(chat.send("Again").text())).toBe("ok");
  });

  test("that a model takes for the end of its answer is no end", async () => {
    const controller = new AbortController();
    const model: Processor = async function* (_, context) {
      yield says("one");
      controller.abort("enough");
      await turns(1);
      if (context?.signal.aborted === false) yield says("two");
    };
    const chat = conversation(model);
    await expect(chat.send("Hi", { signal: controller.signal }).collect()).rejects.toBe("enough");
    expect(lines(chat.history)).toEqual(["user: Hi"]);
  });
});

describe("turns", () => {
  test("do not run at once: the second is a conflict, and the first goes on", async () => {
    const chat = conversation(mockModel(["one two", "three"]));
    const first = chat.send("1")[Symbol.asyncIterator]();
    await first.next();
    expect(await failure(chat.send("2").text())).toMatchObject({ code: "conflict", message: "conversation: a turn is running; read its stream to the end, or leave it, first" });
    expect(lines(chat.history)).toEqual([]);
    while ((await first.next()).done !== true);
    expect(lines(chat.history)).toEqual(["user: 1", "assistant: one two"]);
    expect(await chat.send("2").text()).toBe("three");
  });

  test("begin when they are read: a stream that nobody reads is none", async () => {
    const model = mockModel(["a"]);
    const chat = conversation(model);
    chat.send("never read");
    await turns();
    expect(model.calls).toEqual([]);
    expect(await chat.send("1").text()).toBe("a");
    expect(lines(chat.history)).toEqual(["user: 1", "assistant: a"]);
  });

  test("are summed up: every finish part, and what a cut answer took as far as it says", async () => {
    const cut = new MillraceError("interrupted", "cut", { partial: { parts: 1, text: "x", usage: { inputTokens: 3, partial: true } } });
    const chat = conversation(saying([call("1"), ended("tool_calls"), result("1"), says("ok"), ended()], [says("x"), cut], [says("y"), ended()]));
    expect(chat.usage).toEqual({});
    await chat.send("1").text();
    expect(chat.usage).toEqual({ inputTokens: 20, outputTokens: 10 });
    await expect(chat.send("2").text()).rejects.toBe(cut);
    expect(chat.usage).toEqual({ inputTokens: 23, outputTokens: 10 });
    await chat.send("3").text();
    expect(chat.usage).toEqual({ inputTokens: 33, outputTokens: 15 });
  });

  test("are told of once they are in the history, cut ones too, and the stream ends after that", async () => {
    const told: (Omit<ConversationTurn, "input" | "answer"> & { readonly said: string[]; readonly known: number })[] = [];
    const chat = conversation(saying([says("a"), ended()], [says("b"), new Error("broken")]), {
      history: [text("0"), says("zero")],
      keepPartial: true,
      onTurn: async ({ input, answer, ...rest }) => {
        await turns(1);
        told.push({ ...rest, said: lines([...input, ...answer]), known: chat.history.length });
      },
    });
    await chat.send("1").text();
    expect(told).toEqual([{ complete: true, usage: { inputTokens: 10, outputTokens: 5 }, said: ["user: 1", "assistant: a"], known: 4 }]);
    await chat.send("2").text().catch(() => {});
    expect(told[1]).toEqual({ complete: false, usage: {}, said: ["user: 2", "assistant: b"], known: 6 });
  });

  test("fail with what onTurn throws, unless they failed before", async () => {
    const [first, second] = [new Error("first"), new Error("second")];
    const chat = conversation(saying([says("a"), ended()], [first]), {
      onTurn: () => {
        throw second;
      },
    });
    await expect(chat.send("1").text()).rejects.toBe(second);
    expect(lines(chat.history)).toEqual(["user: 1", "assistant: a"]);
    await expect(chat.send("2").text()).rejects.toBe(first);
  });
});

describe("trimming", () => {
  test("takes place before the model is asked, and what is left is the history", async () => {
    const model = saying([says("a"), ended()], [says("b"), ended()]);
    const chat = conversation(model, { history: [system("s")], trim: trimHistory({ maxTokens: 3, count: (parts) => parts.length }) });
    await chat.send("1").text();
    await chat.send("2").text();
    expect(model.inputs[1]).toEqual(["system: s", "user: 2"]);
    expect(lines(chat.history)).toEqual(["system: s", "user: 2", "assistant: b"]);
  });

  test("that fails fails the turn, and the input that was too much is not in the history", async () => {
    const model = saying([says("a"), ended()]);
    const chat = conversation(model, { trim: trimHistory({ maxTokens: 100, count: approximateTokens }) });
    expect(await failure(chat.send("x".repeat(1_000)).text())).toMatchObject({ code: "too_large" });
    expect([chat.history.length, model.inputs.length]).toEqual([0, 0]);
    expect(await chat.send("Hi").text()).toBe("a");
  });

  test("tells of its progress, and puts none of that into the history", async () => {
    const trim: Processor = async function* (input) {
      yield status("looking");
      yield* input;
    };
    const chat = conversation(saying([says("a"), ended()]), { trim });
    expect(lines(await chat.send("Hi").collect())).toEqual(["user/status: looking", "assistant: a", "assistant: finish"]);
    expect(lines(chat.history)).toEqual(["user: Hi", "assistant: a"]);
  });
});

describe("a store", () => {
  test("lets another program go on, with system parts of its own ahead", async () => {
    await using store = memoryKeyValue();
    const first = conversation(mockModel(["a"]), { store, id: "ada", history: [system("s"), text("0"), says("zero")] });
    await first.send("1").text();
    const model = mockModel(["b"]);
    const second = conversation(model, { store, id: "ada", history: [system("t"), text("not this")] });
    await second.send("2").text();
    expect(lines(model.calls[0]?.input ?? [])).toEqual(["system: t", "user: 0", "assistant: zero", "user: 1", "assistant: a", "user: 2"]);
    const other = conversation(mockModel(["c"]), { store, id: "bob", history: [text("0")] });
    expect(lines(await other.load())).toEqual(["user: 0"]);
  });

  test("is read once, by the first turn or before", async () => {
    await using store = memoryKeyValue();
    await conversation(mockModel(["a"]), { store, id: "ada" }).send("1").text();
    let reads = 0;
    const counted = { ...store, get: (...args: Parameters<typeof store.get>) => ((reads += 1), store.get(...args)) };
    const chat = conversation(mockModel(["b", "c"]), { store: counted, id: "ada" });
    expect(chat.history).toEqual([]);
    expect(lines(await chat.load())).toEqual(["user: 1", "assistant: a"]);
    expect(lines(chat.history)).toEqual(["user: 1", "assistant: a"]);
    await chat.send("2").text();
    await chat.load();
    expect([reads, chat.history.length]).toEqual([1, 4]);
  });

  test("that answers late does not undo a turn", async () => {
    await using store = memoryKeyValue();
    await conversation(mockModel(["a"]), { store, id: "ada" }).send("1").text();
    const door = gate();
    let reads = 0;
    const late = {
      ...store,
      get: async (...args: Parameters<typeof store.get>) => {
        reads += 1;
        if (reads === 1) await door.promise;
        return store.get(...args);
      },
    };
    const chat = conversation(mockModel(["b"]), { store: late, id: "ada", history: [] });
    const loading = chat.load();
    await chat.send("2").text();
    const after = chat.history;
    door.open();
    expect(await soon(loading)).toBe(after);
    expect(lines(chat.history)).toEqual(["user: 1", "assistant: a", "user: 2", "assistant: b"]);
  });

  test("has a turn when its stream ends or is left", async () => {
    await using store = memoryKeyValue();
    const stored = async (): Promise<string[]> => lines(await conversation(mockModel([]), { store, id: "ada" }).load());
    const chat = conversation(mockModel(["one two", "three"]), { store, id: "ada" });
    await read(chat.send("1"), 1);
    expect(await stored()).toEqual(["user: 1"]);
    await chat.send("2").text();
    expect(await stored()).toEqual(["user: 1", "user: 2", "assistant: three"]);
  });

  test("that fails fails the turn, but not the conversation: the next turn writes everything", async () => {
    await using store = memoryKeyValue();
    const full = new MillraceError("unavailable", "full");
    let isFull = true;
    const flaky = { ...store, set: async (...args: Parameters<typeof store.set>) => (isFull ? Promise.reject(full) : store.set(...args)) };
    const chat = conversation(mockModel(["a", "b"]), { store: flaky, id: "ada" });
    await expect(chat.send("1").text()).rejects.toBe(full);
    expect(lines(chat.history)).toEqual(["user: 1", "assistant: a"]);
    isFull = false;
    await chat.send("2").text();
    expect(lines(await conversation(mockModel([]), { store, id: "ada" }).load())).toEqual(["user: 1", "assistant: a", "user: 2", "assistant: b"]);
  });

  test("is written in the order of turns, however long a write takes", async () => {
    await using store = memoryKeyValue();
    const door = gate();
    let writes = 0;
    const slow = {
      ...store,
      set: async (...args: Parameters<typeof store.set>) => {
        writes += 1;
        if (writes === 1) await door.promise;
        return store.set(...args);
      },
    };
    const chat = conversation(mockModel(["one two", "b"]), { store: slow, id: "ada" });
    const controller = new AbortController();
    await chat.send("1", { signal: controller.signal }).forEach(() => controller.abort("enough")).catch(() => {});
    const second = chat.send("2").text();
    await turns();
    expect(writes).toBe(1);
    door.open();
    await soon(second);
    expect(lines(await conversation(mockModel([]), { store, id: "ada" }).load())).toEqual(["user: 1", "user: 2", "assistant: b"]);
  });

  test("that holds something else is bad_response, and nothing is asked", async () => {
    await using store = memoryKeyValue();
    const model = mockModel(["a"]);
    for (const value of ["{", "null", "[]", '{"v":2,"parts":[]}', '{"v":1}', '{"v":1,"parts":[{"kind":"none"}]}']) {
      await store.set("conversation:ada", new TextEncoder().encode(value));
      expect(await failure(conversation(model, { store, id: "ada" }).send("1").text())).toMatchObject({ code: "bad_response", message: "conversation: memory holds under conversation:ada what is no history of version 1" });
    }
    expect(model.calls).toEqual([]);
  });

  test("is not given what is no data: the turn fails, the history has it", async () => {
    await using store = memoryKeyValue();
    const chat = conversation(saying([says("a", { metadata: { handle: () => {} } }), ended()]), { store, id: "ada" });
    expect(await failure(chat.send("1").text())).toMatchObject({ code: "invalid_input" });
    expect(chat.history).toHaveLength(2);
  });
});

describe("wherever a turn is cut", () => {
  const round = fc.record({ words: fc.constantFrom("", "so "), calls: fc.integer({ min: 1, max: 4 }), swaps: fc.array(fc.nat({ max: 3 }), { minLength: 4, maxLength: 4 }) });
  const script = fc.array(round, { maxLength: 4 }).map((rounds) => [
    ...rounds.flatMap(({ words, calls, swaps }, at) => {
      const ids = Array.from({ length: calls }, (_, n) => `${at}.${n}`);
      const answered = ids.map((id, n) => ({ id, by: swaps[n] ?? 0 })).toSorted((a, b) => a.by - b.by);
      return [...(words === "" ? [] : [says(words)]), ...ids.map((id) => call(id)), ended("tool_calls"), ...answered.map(({ id }) => result(id))];
    }),
    says("done"),
    ended(),
  ]);

  test("every call of the history has its result, right behind the calls of its round and in their order, and the next turn is asked with all of it", async () => {
    await fc.assert(
      fc.asyncProperty(script, fc.nat(), fc.boolean(), fc.constantFrom("leave", "fail"), async (parts, at, keepPartial, how) => {
        const cut = at % parts.length;
        const model = saying([...parts.slice(0, cut), ...(how === "fail" ? [new Error("broken")] : parts.slice(cut))], [says("ok"), ended()]);
        const chat = conversation(model, { keepPartial });
        if (how === "fail") await chat.send("Hi").text().catch(() => {});
        else await read(chat.send("Hi"), cut);
        const left = lines(chat.history);
        const rounds = left.join("\n").match(/(?:call .*\n?)+(?:result .*\n?)+/g) ?? [];
        for (const each of rounds) {
          const ids = (what: string): (string | undefined)[] => [...each.matchAll(new RegExp(`^${what} ([\\d.]+)`, "gm"))].map((match) => match[1]);
          expect(ids("result")).toEqual(ids("call"));
        }
        expect(rounds.join("").match(/call/g)?.length ?? 0).toBe(left.filter((line) => line.startsWith("call ")).length);
        if (how === "leave" && cut === 0) return; // read to its end
        expect(keepPartial || left.length === 1).toBe(true);
        await chat.send("Go on").text();
        expect(model.inputs[1]).toEqual([...left, "user: Go on"]);
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
    );
  });
});

test("options that are none are refused, by name", () => {
  const store = memoryKeyValue();
  const refused = (options: object | null): string => {
    try {
      conversation(mockModel([]), options as object);
    } catch (error) {
      return isMillraceError(error, "invalid_input") ? error.message.replace(/^conversation: | must be.*/g, "") : String(error);
    }
    return "taken";
  };
  const bad = [null, { history: "x" }, { history: [5] }, { trim: 5 }, { keepPartial: 1 }, { onTurn: 5 }, { store: {}, id: "a" }, { store, id: "" }];
  expect(bad.map(refused)).toEqual(["options", "history", "history", "trim", "keepPartial", "onTurn", "store", "id"]);
  expect([{ store }, { id: "a" }].map(refused)).toEqual(["a store needs an id, and an id a store", "a store needs an id, and an id a store"]);
  expect(refused({ store, id: "\0" })).toBe("key");
  expect(() => conversation(5 as never)).toThrow(/^conversation: model must be a processor, got number 5/);
});
