/**
 * LangChain's documents as text parts.
 *
 * @module
 */
import { text } from "../../core/constructors.ts";
import { invalidOption, MillraceError, received } from "../../core/errors.ts";
import { checkedMetadata } from "../../core/json-border.ts";
import type { Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import { each } from "../../streams/each.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { heard } from "../../wire/heard.ts";
import { shapeOf, wordsOf } from "../../wire/json-shape.ts";

/** A retriever, by what is called. */
export interface LangChainRetriever {
  invoke(query: string, options?: { readonly signal?: AbortSignal }): Promise<unknown>;
}

/** A document as a part; undefined for what is none. Its text is somebody's words, never an instruction of ours: role user. */
export function documentPart(value: unknown): Part | undefined {
  const document = shapeOf(value);
  if (typeof document?.pageContent !== "string") return undefined;
  const id = wordsOf(document.id);
  const metadata = { ...checkedMetadata(document.metadata ?? {}, "document.metadata"), ...(id === undefined ? {} : { langchain: { id } }) };
  return text(document.pageContent, { metadata });
}

/**
 * Finds documents for each text part and puts them before it.
 *
 * Reads:  text parts of the main stream with more than white space in them, but those of role system; the others pass by.
 * Yields: a text part a document, in the retriever's order, role user, with its metadata and its id as `metadata.langchain.id`. Then the
 *         part itself.
 * Throws: `bad_response` for an answer that is no list of documents; whatever the retriever throws.
 * Closes: nothing; the retriever belongs to the caller.
 *
 * @example
 * import { FakeRetriever } from "@langchain/core/utils/testing";
 *
 * const withNotes = langchainRetriever(new FakeRetriever());
 * console.log(await run(withNotes, " What do we know?").text()); // foobar What do we know?
 */
export function langchainRetriever(retriever: LangChainRetriever): Processor {
  const who = "langchainRetriever";
  if (typeof fieldOf(retriever, "invoke") !== "function") throw invalidOption(who, "retriever", "a retriever", retriever);
  return each(
    async (part, { signal }) => {
      if (part.kind !== "text") return part;
      const found = await heard(retriever.invoke(part.text, { signal }), signal);
      if (!Array.isArray(found)) throw new MillraceError("bad_response", `${who}: needs a list of documents, got ${received(found)}`);
      const documents = found.map((value: unknown) => {
        const document = documentPart(value);
        if (document === undefined) throw new MillraceError("bad_response", `${who}: needs documents, got ${received(value)}`);
        return document;
      });
      return [...documents, part];
    },
    { match: (part) => part.kind === "text" && part.substream === "" && part.role !== "system" && part.text.trim() !== "", name: who },
  );
}
