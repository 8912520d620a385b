import { expect, test } from "vitest";
import { keySource } from "../../src/wire/endpoint.ts";

const nothing = (): string => undefined as unknown as string;

test("a key that is missing is looked for in the environment only where a variable is named, and the message says where", async () => {
  await expect(keySource({ who: "test", apiKey: nothing, variable: "NO_SUCH_KEY" }).get()).rejects.toMatchObject({ code: "missing_config", message: "test: needs an apiKey, as option or in NO_SUCH_KEY" });
  await expect(keySource({ who: "test", apiKey: nothing }).get()).rejects.toMatchObject({ code: "missing_config", message: "test: needs an apiKey" });
  await expect(keySource({ who: "test" }).get()).rejects.toMatchObject({ code: "missing_config", message: "test: needs an apiKey" });
  expect(await keySource({ who: "test", otherwise: "none" }).get()).toBe("none");
});
