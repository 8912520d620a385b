import { describe, it } from "vitest";
import { memoryBlobStore } from "../../src/adapters/memory/index.ts";
import { blobStoreContract } from "../../src/testing/contracts/blob-store.ts";

blobStoreContract({ describe, it }, { name: "memory", open: () => memoryBlobStore() });
