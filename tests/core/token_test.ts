import assert from "node:assert/strict";
import { tokenLife } from "../../lib/core/grpc/token.ts";
import { test } from "../harness.ts";

/** 2026-01-01, in milliseconds. */
const NOW = 1_767_225_600_000;

function jwt(claims: unknown): string {
  const part = (value: unknown) =>
    btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `${part({ alg: "HS256" })}.${part(claims)}.c2lnbmF0dXJl`;
}

const ENDLESS = { renewAt: Infinity, endsAt: Infinity };

const CASES: readonly [title: string, token: string, life: { renewAt: number; endsAt: number }][] = [
  ["an opaque token", "opaque", ENDLESS],
  ["three parts of something else", "a.b.c", ENDLESS],
  ["no claims", jwt(null), ENDLESS],
  ["claims that are a list", jwt([1]), ENDLESS],
  ["no exp, as Viam's own", jwt({ iat: NOW / 1000, sub: "x" }), ENDLESS],
  ["an exp that is not a number", jwt({ exp: "tomorrow" }), ENDLESS],
  ["exp alone", jwt({ exp: NOW / 1000 + 3600 }), { endsAt: NOW + 3_600_000, renewAt: NOW + 3_590_000 }],
  ["exp and iat", jwt({ iat: NOW / 1000, exp: NOW / 1000 + 3600 }), {
    endsAt: NOW + 3_600_000,
    renewAt: NOW + 3_590_000,
  }],
  // The server's clock is a year ahead, but the token lasts an hour.
  ["iat and exp by another clock", jwt({ iat: NOW / 1000 + 31e6, exp: NOW / 1000 + 31e6 + 3600 }), {
    endsAt: NOW + 3_600_000,
    renewAt: NOW + 3_590_000,
  }],
  ["iat and exp by a clock that is behind", jwt({ iat: NOW / 1000 - 31e6, exp: NOW / 1000 - 31e6 + 3600 }), {
    endsAt: NOW + 3_600_000,
    renewAt: NOW + 3_590_000,
  }],
  ["an iat that was rounded down", jwt({ iat: NOW / 1000 - 1, exp: NOW / 1000 + 8 }), {
    endsAt: NOW + 8_000,
    renewAt: NOW + 6_000,
  }],
  ["a life of eight seconds", jwt({ iat: NOW / 1000, exp: NOW / 1000 + 8 }), {
    endsAt: NOW + 8_000,
    renewAt: NOW + 6_000,
  }],
  ["an exp in eight seconds, alone", jwt({ exp: NOW / 1000 + 8 }), {
    endsAt: NOW + 8_000,
    renewAt: NOW + 6_000,
  }],
  ["an exp in the past", jwt({ exp: NOW / 1000 - 5 }), { endsAt: NOW - 5_000, renewAt: NOW - 5_000 }],
  ["an iat after its exp", jwt({ iat: NOW / 1000 + 9, exp: NOW / 1000 + 8 }), {
    endsAt: NOW + 8_000,
    renewAt: NOW + 6_000,
  }],
];

for (const [title, token, life] of CASES) {
  test(`tokenLife() of ${title}`, () => {
    assert.deepEqual(tokenLife(token, NOW), life);
  }, { pure: true });
}
