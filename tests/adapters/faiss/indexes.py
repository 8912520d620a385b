"""Indexes by FAISS itself, for tests/adapters/faiss-files.test.ts.

    pip install faiss-cpu==1.15.1 numpy
    python tests/adapters/faiss/indexes.py fixtures        the files beside this one, anew
    python tests/adapters/faiss/indexes.py version
    python tests/adapters/faiss/indexes.py search FILE     answers {"queries": [...], "limit": n} from the standard input
    python tests/adapters/faiss/indexes.py continue FILE   adds {"vectors": [...], "ids": [...]} and writes the file once more
    python tests/adapters/faiss/indexes.py build FILE M    an HNSW index of {"vectors": [...], "efConstruction": n}
"""

import json
import os
import sys

import faiss
import numpy

folder = os.path.dirname(os.path.abspath(__file__))


def vectors(count, dimensions, seed):
    made = numpy.random.default_rng(seed).standard_normal((count, dimensions)).astype("float32")
    return made / numpy.linalg.norm(made, axis=1, keepdims=True)


def answers(index, queries, limit):
    distances, ids = index.search(numpy.asarray(queries, dtype="float32"), limit)
    return {"ids": ids.tolist(), "distances": distances.tolist()}


def fixtures():
    data, queries = vectors(200, 8, 1), vectors(5, 8, 2)
    ids = numpy.arange(200, dtype="int64") * 7 + 2**53 - 700  # on both sides of what a number of JavaScript holds
    made = {
        "flat-l2": faiss.IndexFlatL2(8),
        "flat-ip": faiss.IndexFlatIP(8),
        "hnsw-l2": faiss.IndexHNSWFlat(8, 8, faiss.METRIC_L2),
        "hnsw-ip": faiss.IndexHNSWFlat(8, 8, faiss.METRIC_INNER_PRODUCT),
        "idmap-flat-ip": faiss.IndexIDMap(faiss.IndexFlatIP(8)),
        "idmap2-hnsw-l2": faiss.IndexIDMap2(faiss.IndexHNSWFlat(8, 8, faiss.METRIC_L2)),
        "ivf": faiss.index_factory(8, "IVF2,Flat"),
        "flat-l1": faiss.IndexFlat(8, faiss.METRIC_L1),
    }
    expected = {"faiss": faiss.__version__, "queries": queries.tolist(), "files": {}}
    for name, index in made.items():
        for graph in [faiss.downcast_index(getattr(index, "index", index))]:
            if isinstance(graph, faiss.IndexHNSWFlat):
                graph.hnsw.efSearch = 64
        if not index.is_trained:
            index.train(data)
        if name.startswith("idmap"):
            index.add_with_ids(data, ids)
        else:
            index.add(data)
        faiss.write_index(index, os.path.join(folder, name + ".faiss"))
        expected["files"][name] = {key: [[str(item) if key == "ids" else item for item in row] for row in rows] for key, rows in answers(index, queries, 5).items()}
    for name, index in {"empty-flat-l2": faiss.IndexFlatL2(8), "empty-hnsw-ip": faiss.IndexHNSWFlat(8, 8, faiss.METRIC_INNER_PRODUCT)}.items():
        faiss.write_index(index, os.path.join(folder, name + ".faiss"))
    with open(os.path.join(folder, "expected.json"), "w") as file:
        json.dump(expected, file)
        file.write("\n")


def main(command, *rest):
    if command == "fixtures":
        fixtures()
    elif command == "version":
        print(faiss.__version__)
    elif command == "search":
        asked = json.load(sys.stdin)
        index = faiss.read_index(rest[0])
        inner = faiss.downcast_index(index.index) if hasattr(index, "index") else index
        if hasattr(inner, "hnsw") and "efSearch" in asked:
            inner.hnsw.efSearch = asked["efSearch"]
        found = answers(index, asked["queries"], asked["limit"])
        print(json.dumps({"type": type(index).__name__, "inner": type(inner).__name__, "count": index.ntotal, "metric": index.metric_type, **found}))
    elif command == "continue":
        given = json.load(sys.stdin)
        index = faiss.read_index(rest[0])
        index.add_with_ids(numpy.asarray(given["vectors"], dtype="float32"), numpy.asarray(given["ids"], dtype="int64"))
        faiss.write_index(index, rest[0])
    elif command == "build":
        given = json.load(sys.stdin)
        data = numpy.asarray(given["vectors"], dtype="float32")
        index = faiss.IndexHNSWFlat(data.shape[1], int(rest[1]))
        index.hnsw.efConstruction = given["efConstruction"]
        index.add(data)
        faiss.write_index(index, rest[0])


main(*sys.argv[1:])
