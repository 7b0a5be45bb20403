import { describe, expect, test } from "vitest";
import { FILES, vectors, verdict } from "./verdict";

describe.each(FILES)("docs/vectors/%s.json", (file) => {
  test.each(vectors(file))("$kind: $name", async (vector) => {
    const { ok, error } = await verdict(vector);
    expect({ ok, error }).toEqual({ ok: vector.valid, error: vector.valid ? null : error });
    if (!vector.valid) expect(error).toBeTruthy();
  });
});
