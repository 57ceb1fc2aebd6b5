// Validates ../openapi.json against the OpenAPI 3.1 schema.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";

const document = JSON.parse(readFileSync(new URL("../openapi.json", import.meta.url), "utf8"));
const { valid, errors } = await new Validator().validate(structuredClone(document));
assert.ok(valid, JSON.stringify(errors, null, 2));
const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
const ids = new Set(operations.map(({ operationId }) => operationId));
assert.equal(ids.size, operations.length, "every operation has a name of its own");
console.log(`openapi.json: ${operations.length} operations, valid`);
