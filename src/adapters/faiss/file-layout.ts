/**
 * What FAISS's files and ours have in common: names of index kinds, words, and where our own part begins.
 *
 * Source: `faiss/impl/index_write.cpp` and `index_read.cpp` of FAISS 1.15; all numbers are little-endian. A file of ours is one of FAISS
 * with records behind the index, where FAISS does not look. That they are there says a field of the header that FAISS writes and skips
 * (`dummy`); when FAISS has written the file once more, neither is left.
 *
 * @module
 */
import type { VectorMetric } from "../../kinds/vector-store.ts";

/** Kinds of index, by the four letters that a file begins with. */
export const kindsOfIndex: Readonly<Record<"flatL2" | "flatDot" | "flat" | "idMap" | "idMap2" | "hnswFlat", string>> = {
  flatL2: "IxF2",
  flatDot: "IxFI",
  flat: "IxFl",
  idMap: "IxMp",
  idMap2: "IxM2",
  hnswFlat: "IHNf",
};

/** FAISS's numbers for metrics (`faiss/MetricType.h`). It has no cosine: that is the inner product of vectors of length 1. */
export const metricNumbers: Readonly<Record<VectorMetric, number>> = { dot: 0, cosine: 0, l2: 1 };

/** What FAISS writes into the header's first unused field. */
export const unmarked: bigint = 2n ** 20n;
/** What we write there: "millrace" as eight bytes. */
export const marked = 0x6563_6172_6c6c_696dn;

/** The form of our own part. */
export const recordsVersion = 1;
